/** A real MariaDB with TLS, as coordinator and workers connect to it. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { RowDataPacket } from "mysql2/promise";
import { createDatabase } from "../../coordinator/clients/mysql.ts";
import { ServerError } from "../../coordinator/errors.ts";
import { type Servers, startServers } from "../../coordinator/platform/local/servers/index.ts";
import { createRows } from "../../worker/rows.ts";
import { type MysqlVariables, openMysqlPool } from "../../worker/servers/mysql.ts";
import { createNetwork } from "../../worker/servers/network.ts";
import { SPEC } from "../platform/kubernetes/spec.ts";
import { type Certificates, makeCertificates } from "../support/certificates.ts";

let certificates: Certificates;
let servers: Servers;
let port: string;
/** With all that the strictest account needs. */
let full: MysqlVariables;
before(async () => {
  certificates = await makeCertificates();
  const { folder, ca, cert, key, clientCert, clientKey } = certificates;
  const accounts = join(folder, "accounts.sql");
  const account = (name: string, requirement: string) =>
    `CREATE USER ${name}@127.0.0.1 IDENTIFIED BY 'secret' REQUIRE ${requirement};\nGRANT ALL PRIVILEGES ON holdfast.* TO ${name}@127.0.0.1;\n`;
  await writeFile(
    accounts,
    account("encrypted", "SSL") +
      account("certified", "X509") +
      account("anyone", "NONE") +
      account("admin", "NONE").replaceAll("holdfast.*", "*.*"),
  );
  // The server may run as another user.
  for (const file of [folder, ca, cert, key, accounts]) await chmod(file, 0o755);
  servers = await startServers({
    coordinatorUrl: "http://127.0.0.1:9",
    only: ["mysql"],
    mysqlOptions: [`--init-file=${accounts}`, `--ssl-ca=${ca}`, `--ssl-cert=${cert}`, `--ssl-key=${key}`],
  });
  ({ port } = new URL(servers.mysql!.url));
  full = {
    ...urlOf("certified"),
    MYSQL_PASSWORD: "secret",
    MYSQL_TLS_CA: ca,
    MYSQL_TLS_CERT: clientCert,
    MYSQL_TLS_KEY: clientKey,
  };
});
after(async () => {
  await servers?.[Symbol.asyncDispose]();
  await certificates?.[Symbol.asyncDispose]();
});

const urlOf = (user: string, host = "127.0.0.1") => ({ MYSQL_URL: `mysql://${user}@${host}:${port}/holdfast` });

/** The cipher of a connection; empty for plain text. */
async function cipherOf(variables: MysqlVariables): Promise<string> {
  const pool = openMysqlPool(variables, { connectionLimit: 1, connectTimeout: 3_000 });
  try {
    const [[row]] = await pool.query<RowDataPacket[]>("SHOW STATUS LIKE 'Ssl_cipher'");
    return row!.Value;
  } finally {
    await pool.end();
  }
}

test("coordinator and worker connect with a private CA and a client certificate, by address and by name", async () => {
  for (const host of ["127.0.0.1", "localhost"]) {
    const variables = { ...full, ...urlOf("certified", host) };
    assert.notEqual(await cipherOf(variables), "");
    const database = createDatabase(variables);
    assert.match((await database.check()).mysql!, /MariaDB/);
    await database.reset(`tls-${host}`, 1);
    await database.close();
    const spec = { run: `tls-${host}`, concurrency: 1, statementTimeoutMs: 5_000, ledger: true };
    for (const network of [undefined, createNetwork(Math.random)]) {
      const rows = createRows({ server: variables, spec, network });
      assert.equal((await rows.read(1)).version, 1);
      await rows.close();
    }
  }
});

test("the answer to a write over TLS is lost when the write has been carried out", async () => {
  const database = createDatabase(full);
  await database.reset("tls-lost", 1);
  const network = createNetwork(Math.random);
  const spec = { run: "tls-lost", concurrency: 1, statementTimeoutMs: 5_000, ledger: true };
  const rows = createRows({ server: full, spec, network });
  try {
    const employee = await rows.read(1);
    let lost = 0;
    network.loseAnswer("mysql", () => {
      lost += 1;
    });
    const written = rows.write({ id: 7 }, employee, employee.salary + 5);
    await assert.rejects(written, { outcome: "unknown", class: "commit-unanswered" });
    const after = await rows.read(1);
    assert.deepEqual([lost, after.version, after.salary], [1, employee.version + 1, employee.salary + 5]);
  } finally {
    await rows.close();
    await database.close();
  }
});

const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === "::1"));
test("an IPv6 address is connected to, and compared with the certificate", {
  skip: !hasIpv6 && "this machine has no address ::1",
}, async () => {
  const forward = createServer((client) => client.pipe(connect(Number(port), "127.0.0.1")).pipe(client)).listen(
    0,
    "::1",
  );
  await once(forward, "listening");
  const { port: ipv6Port } = forward.address() as AddressInfo;
  assert.notEqual(await cipherOf({ ...full, MYSQL_URL: `mysql://certified@[::1]:${ipv6Port}/holdfast` }), "");
  forward.close();
});

test("without a request for TLS the connection is in plain text", async () => {
  const plain = { ...urlOf("anyone"), MYSQL_PASSWORD: "secret" };
  assert.equal(await cipherOf(plain), "");
  assert.equal(await cipherOf({ ...plain, MYSQL_TLS: "off" }), "");
  assert.notEqual(await cipherOf({ ...plain, MYSQL_TLS_CA: certificates.ca }), "");
});

test("the name of the server can be given where the URL has another one", async () => {
  assert.notEqual(await cipherOf({ ...full, MYSQL_TLS_SERVER_NAME: "db.test" }), "");
  await assert.rejects(cipherOf({ ...full, MYSQL_TLS_SERVER_NAME: "other.test" }), /does not match certificate/);
});

test("NODE_TLS_REJECT_UNAUTHORIZED=0 accepts any certificate, as it does elsewhere in Node", async () => {
  const unverified = { ...full, MYSQL_TLS_CA: certificates.otherCa, NODE_TLS_REJECT_UNAUTHORIZED: "0" };
  assert.notEqual(await cipherOf(unverified), "");
});

describe("a login or a certificate that does not suit is final, and the error says what to do", () => {
  for (const [what, change, message] of [
    [
      "no CA",
      { MYSQL_TLS_CA: undefined, MYSQL_TLS: "required" },
      /certificate.*; name the certificate of its CA in MYSQL_TLS_CA/,
    ],
    ["another CA", { MYSQL_TLS_CA: "otherCa" }, /certificate.*; name the certificate of its CA in MYSQL_TLS_CA/],
    ["no client certificate", { MYSQL_TLS_CERT: undefined, MYSQL_TLS_KEY: undefined }, /Access denied/],
    [
      "plain text",
      { MYSQL_TLS_CA: undefined, MYSQL_TLS_CERT: undefined, MYSQL_TLS_KEY: undefined },
      /Access denied.*MYSQL_TLS=required/,
    ],
    [
      "a name that the certificate has not",
      { MYSQL_TLS_SERVER_NAME: "elsewhere.test" },
      /does not match.*; use a name in the URL/,
    ],
  ] as const)
    test(what, async () => {
      const paths = {
        ...change,
        ...("MYSQL_TLS_CA" in change && change.MYSQL_TLS_CA === "otherCa"
          ? { MYSQL_TLS_CA: certificates.otherCa }
          : {}),
      };
      const database = createDatabase({ ...full, ...paths });
      await assert.rejects(database.check(), (error) => {
        assert.ok(error instanceof ServerError, String(error));
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /secret|\n/);
        assert.ok(error.final);
        return true;
      });
      await database.close();
    });
});

// It retries a server that may become available for 60 s.
test("a worker ends at once, with the cause", { timeout: 40_000 }, async () => {
  const refused = { ...full, MYSQL_TLS_CA: certificates.otherCa };
  const spec = { ...SPEC, coordinatorUrl: "http://127.0.0.1:9" };
  const child = spawn(process.execPath, [join(import.meta.dirname, "../../worker/main.ts")], {
    env: {
      ...refused,
      HOLDFAST_SPEC: JSON.stringify(spec),
      HOLDFAST_UID: "u",
      HOLDFAST_TOKEN: "t",
      HOLDFAST_METRICS_HOST: "127.0.0.1",
      HOLDFAST_METRICS_PORT: "0",
      REDIS_URL: "redis://127.0.0.1:9",
    },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  child.stderr.on("data", (text) => (said += text));
  const [status] = await once(child, "close");
  assert.equal(status, 1, said);
  assert.match(said, /^worker: MySQL: .*certificate.*; name the certificate of its CA in MYSQL_TLS_CA\n$/);
});

test("a server that requires TLS of everybody refuses plain text and takes TLS", async () => {
  const admin = openMysqlPool({ ...urlOf("admin"), MYSQL_PASSWORD: "secret" }, { connectionLimit: 1 });
  await admin.query("SET GLOBAL require_secure_transport = ON");
  try {
    const database = createDatabase({ ...urlOf("anyone"), MYSQL_PASSWORD: "secret" });
    await assert.rejects(database.check(), /(Access denied|insecure transport).*MYSQL_TLS=required/);
    await database.close();
    assert.notEqual(
      await cipherOf({ ...urlOf("anyone"), MYSQL_PASSWORD: "secret", MYSQL_TLS_CA: certificates.ca }),
      "",
    );
  } finally {
    await admin.query("SET GLOBAL require_secure_transport = OFF");
    await admin.end();
  }
});

test("a server without TLS is not used when TLS is asked for", async () => {
  await using bare = await startServers({
    coordinatorUrl: "http://127.0.0.1:9",
    only: ["mysql"],
    mysqlOptions: ["--skip-ssl"],
  });
  const database = createDatabase({ MYSQL_URL: bare.mysql!.url, MYSQL_TLS: "required" });
  await assert.rejects(database.check(), /does not support secure connection; give the server a certificate/);
  await database.close();
});

describe("a password from a file or a command", () => {
  test("is read again for each new connection", async () => {
    const file = join(certificates.folder, "password");
    await writeFile(file, "wrong\n");
    const variables = { ...full, MYSQL_PASSWORD: undefined, MYSQL_PASSWORD_FILE: file };
    const pool = openMysqlPool(variables, { connectionLimit: 1, connectTimeout: 3_000 });
    await assert.rejects(pool.query("SELECT 1"), /Access denied/);
    await writeFile(file, "secret\n");
    await pool.query("SELECT 1");
    await pool.end();
    await cipherOf({ ...variables, MYSQL_PASSWORD_FILE: undefined, MYSQL_PASSWORD_COMMAND: `cat '${file}'` });
  });

  test("without TLS, too; a command that fails is named, without what it wrote", async () => {
    const plain = urlOf("anyone");
    assert.equal(await cipherOf({ ...plain, MYSQL_PASSWORD_COMMAND: "printf secret" }), "");
    const database = createDatabase({ ...plain, MYSQL_PASSWORD_COMMAND: "echo hidden; echo hidden >&2; exit 3" });
    await assert.rejects(database.check(), (error) => {
      assert.match(
        String(error),
        /MYSQL_PASSWORD_COMMAND: the command failed with 3; correct the file, or run the command by hand/,
      );
      assert.doesNotMatch(String(error), /hidden/);
      return error instanceof ServerError && error.final;
    });
    await database.close();
  });
});
