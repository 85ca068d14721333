/**
 * The command with the user's own servers, all of them with TLS and a login, as docs/your-servers.md describes it; and no
 * secret in anything that it writes.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, glob, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Report } from "../coordinator/judge/report-data.ts";
import { type Servers, startServers } from "../coordinator/platform/local/servers/index.ts";
import { freePort } from "../coordinator/platform/local/servers/ports.ts";
import { REDIS_USERS } from "../worker/contract.ts";
import { type Certificates, makeCertificates } from "./support/certificates.ts";
import { bareEnvironment } from "./support/environment.ts";
import { PROMETHEUS_LOGIN, startSecuredPrometheus } from "./support/prometheus.ts";
import { startRedis, type TestRedis } from "./support/redis.ts";

const ROOT = join(import.meta.dirname, "..");
const SHORT = ["--duration", "1500ms", "--workers", "3", "--start-deadline", "20s"];
/** Every password contains this word, some in addition what a URL must encode. */
const MARK = "zebra";
const passwordOf = (name: string) => `${MARK}-${name}-%#/?@:`;

let folder: string;
let certificates: Certificates;
let mysql: Servers;
let redis: TestRedis;
let prometheus: Awaited<ReturnType<typeof startSecuredPrometheus>>;
/** All that the page names: a value with every character, files, and commands. */
let variables: Record<string, string>;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "holdfast-own-"));
  certificates = await makeCertificates();
  const { ca, cert, key, clientCert, clientKey } = certificates;
  const accounts = join(folder, "accounts.sql");
  const password = passwordOf("mysql");
  await writeFile(
    accounts,
    `CREATE USER own@127.0.0.1 IDENTIFIED BY '${password}' REQUIRE X509;\nGRANT SELECT, INSERT, UPDATE, DELETE ON holdfast.* TO own@127.0.0.1;\n`,
  );
  // The server may run as another user.
  for (const path of [folder, accounts, certificates.folder, ca, cert, key]) await chmod(path, 0o755);
  const tlsPort = await freePort();
  // Prometheus finds the workers at the same address.
  const listen = `127.0.0.2:${await freePort()}`;
  const job = await readFile(join(ROOT, "helm/files/prometheus-local.yml"), "utf8");
  // One after the other, so that each is stopped if a later one does not start.
  mysql = await startServers({
    coordinatorUrl: "http://127.0.0.1:9",
    only: ["mysql"],
    mysqlOptions: [`--init-file=${accounts}`, `--ssl-ca=${ca}`, `--ssl-cert=${cert}`, `--ssl-key=${key}`],
  });
  redis = await startRedis([
    ...["--tls-port", `${tlsPort}`, "--tls-ca-cert-file", ca],
    ...["--tls-cert-file", cert, "--tls-key-file", key],
  ]);
  const config = job.replaceAll("%COORDINATOR%", `http://${listen}`);
  prometheus = await startSecuredPrometheus({ certificates, path: "/prom", config });
  const files: Record<string, string> = {};
  for (const user of REDIS_USERS) {
    await redis.admin.acl("SETUSER", user, "resetpass", `>${passwordOf(user)}`);
    const file = join(folder, `${user}.password`);
    await writeFile(file, `${passwordOf(user)}\n`);
    files[`REDIS_PASSWORD_${user.toUpperCase()}_FILE`] = file;
  }
  const prometheusPassword = join(folder, "prometheus.password");
  await writeFile(prometheusPassword, PROMETHEUS_LOGIN.password);
  variables = {
    HOLDFAST_LISTEN: listen,
    MYSQL_URL: `mysql://own@localhost:${new URL(mysql.mysql!.url).port}/holdfast`,
    MYSQL_PASSWORD: password,
    MYSQL_TLS_CA: ca,
    MYSQL_TLS_CERT: clientCert,
    MYSQL_TLS_KEY: clientKey,
    REDIS_URL: `rediss://localhost:${tlsPort}`,
    ...files,
    REDIS_TLS_CA: ca,
    REDIS_TLS_CERT: clientCert,
    REDIS_TLS_KEY: clientKey,
    PROMETHEUS_URL: prometheus.url,
    PROMETHEUS_USERNAME: PROMETHEUS_LOGIN.user,
    PROMETHEUS_PASSWORD_COMMAND: `cat ${prometheusPassword}`,
    PROMETHEUS_TLS_CA: ca,
  };
});
after(async () => {
  await Promise.all([mysql?.[Symbol.asyncDispose](), redis?.stop(), prometheus?.[Symbol.asyncDispose]()]);
  await certificates?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** Runs the command with these variables alone, and checks that no secret is in what it wrote. */
async function holdfast(args: readonly string[], given: Readonly<Record<string, string>>) {
  const out = await mkdtemp(join(folder, "run-"));
  const child = spawn(process.execPath, [join(ROOT, "coordinator/main.ts"), ...args], {
    cwd: out,
    env: { ...bareEnvironment(out), ...given },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const text = { out: "", err: "" };
  child.stdout.on("data", (chunk) => (text.out += chunk));
  child.stderr.on("data", (chunk) => (text.err += chunk));
  const [status] = (await once(child, "close")) as [number | null];
  const written = [text.out, text.err];
  for await (const file of glob("reports/**/*.*", { cwd: out })) written.push(await readFile(join(out, file), "utf8"));
  const { user, password } = PROMETHEUS_LOGIN;
  for (const secret of [MARK, password, Buffer.from(`${user}:${password}`).toString("base64")])
    for (const part of written) assert.ok(!part.includes(secret), `"${secret}" in: ${part}`);
  return { status, ...text, files: written.length - 2 };
}

test("a report with TLS, client certificates and a login everywhere, and secrets by value, file and command", async () => {
  // The CA of MySQL by Node's own variable, which must reach the workers.
  const { MYSQL_TLS_CA: ca = "", ...others } = variables;
  const ended = await holdfast([...SHORT, "--json", "--strategies", "none,redis"], {
    ...others,
    NODE_EXTRA_CA_CERTS: ca,
  });
  assert.equal(ended.status, 0, ended.err + ended.out);
  const report = Report.parse(JSON.parse(ended.out));
  assert.match(report.environment.prometheus!, /^\d/, "the version is asked for under the path");
  assert.ok(report.acl.length > 10 && report.acl.every(({ outcome }) => outcome === "refused"));
  assert.ok(ended.files >= 4, `${ended.files} files`);
});

test("a cause that waiting does not resolve ends the command at once, with status 4 and no secret", async () => {
  const port = await freePort();
  const wrong = `${MARK}-wrong`;
  for (const [change, message] of [
    [{ MYSQL_PASSWORD: wrong }, /MySQL at localhost:\d+: Access denied/],
    [{ MYSQL_URL: `mysql://own:${wrong}@127.0.0.1:${port}/holdfast` }, /MySQL at 127.0.0.1:\d+: .*ECONNREFUSED/],
    [{ REDIS_URL: `rediss://own:${wrong}@127.0.0.1:${port}` }, /Redis at 127.0.0.1:\d+.*ECONNREFUSED/],
    [{ PROMETHEUS_PASSWORD_COMMAND: `printf ${wrong}` }, /HTTP status 401/],
    [{ PROMETHEUS_URL: `https://${PROMETHEUS_LOGIN.user}:${wrong}@127.0.0.1:${port}/prom` }, /ECONNREFUSED/],
  ] as const) {
    const ended = await holdfast([...SHORT, "--strategies", "none"], { ...variables, ...change });
    assert.equal(ended.status, 4, ended.err + ended.out);
    assert.match(ended.err, /^holdfast: [^\n]+\n$/);
    assert.match(ended.err, message);
  }
});

test("an invalid variable ends it with status 2, one line and no secret", async () => {
  const raw = `${MARK}%`;
  for (const [change, message] of [
    [
      { MYSQL_URL: `mysql://own:${raw}@localhost/holdfast` },
      /MYSQL_URL: write % as %25, or put the password into MYSQL_PASSWORD/,
    ],
    [{ REDIS_URL: `redis://:a/${MARK}@localhost` }, /REDIS_URL: .*\/ as %2F/],
    [{ HOLDFAST_TOKEN_FILE: "/nowhere" }, /HOLDFAST_TOKEN_FILE: cannot read \/nowhere: ENOENT/],
  ] as const) {
    const ended = await holdfast(SHORT, { ...variables, ...change });
    assert.equal(ended.status, 2, ended.err + ended.out);
    assert.match(ended.err, /^holdfast: [^\n]+\n$/);
    assert.match(ended.err, message);
  }
});
