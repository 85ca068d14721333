/** What is said about a real Redis that cannot be used, and whether that is waited for. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createRedisMonitor } from "../../coordinator/clients/redis.ts";
import { checkAccess, checkOtherServers } from "../../coordinator/clients/redis-acl.ts";
import { ServerError } from "../../coordinator/errors.ts";
import { freePort } from "../../coordinator/platform/local/servers/ports.ts";
import { waitUntil } from "../../coordinator/wait.ts";
import { REDIS_USERS } from "../../worker/contract.ts";
import { explainRedis, isComplaintAboutArguments, isRefusal } from "../../worker/server-errors.ts";
import { passwordVariable } from "../../worker/servers/redis.ts";
import { clusterNode, startRedis, type TestRedis } from "../support/redis.ts";

const passwords = Object.fromEntries(REDIS_USERS.map((user) => [passwordVariable(user), user]));
const OWN_USER = {};

/** All that the coordinator asks before the first run. */
async function checkAll(url: string, logins: Record<string, string> = passwords) {
  const variables = { REDIS_URL: url, ...logins };
  const monitor = createRedisMonitor(variables);
  try {
    await monitor.check();
    await checkAccess(variables);
  } finally {
    monitor.close();
  }
}

async function assertFails(asked: Promise<unknown>, message: RegExp, final: boolean) {
  await assert.rejects(asked, (error) => {
    assert.ok(error instanceof ServerError, String(error));
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /\n/);
    assert.equal(error.final, final, "final");
    return true;
  });
}

let redis: TestRedis;
before(async () => {
  redis = await startRedis(["--enable-protected-configs", "yes", "--busy-reply-threshold", "20"]);
});
after(() => redis?.stop());

test("a replica is not used, whoever logs in", async () => {
  await redis.admin.replicaof("127.0.0.1", 1);
  const url = `redis://127.0.0.1:${redis.port}`;
  try {
    await assertFails(checkAll(url), /is a replica of 127.0.0.1:1; use the address of the primary in REDIS_URL$/, true);
    await assertFails(checkAll(redis.url("admin"), OWN_USER), /user admin: it is a replica/, true);
    await assertFails(
      checkAccess({ REDIS_URL: url, ...passwords }),
      /user lock, SET: READONLY .*; use the address/,
      true,
    );
    // Sentinels and clusters name the primary themselves, so this is a moment of a failover.
    const monitor = ["--sentinel", "monitor", "primary", "127.0.0.1", `${redis.port}`, "1"];
    await using sentinel = await startPlain(["--sentinel", ...monitor]);
    const named = `${sentinel.url.replace("redis:", "redis+sentinel:")}/primary`;
    await assertFails(checkAll(named), /is a replica of 127.0.0.1:1; wait until the failover has ended$/, false);
    await assertFails(checkAccess({ REDIS_URL: named, ...passwords }), /SET: READONLY .*; wait until the fail/, false);
  } finally {
    await redis.admin.replicaof("NO", "ONE");
  }
});

for (const [what, setting, value, original, message, final] of [
  ["memory is full", "maxmemory", "1", "0", /user lock, SET: OOM .*; its memory is full: raise maxmemory/, true],
  ["replicas are missing", "min-replicas-to-write", "1", "0", /SET: NOREPLICAS .*; start its replicas/, false],
] as const)
  test(`a Redis whose ${what}`, async () => {
    await redis.admin.config("SET", setting, value);
    await assertFails(checkAll(`redis://127.0.0.1:${redis.port}`), message, final);
    await assertFails(checkAll(redis.url("admin"), OWN_USER), /user admin, SET: /, final);
    await redis.admin.config("SET", setting, original);
    await checkAll(redis.url("admin"), OWN_USER);
  });

test("a Redis that cannot save", async () => {
  const { admin, port } = redis;
  const [, folder] = (await admin.config("GET", "dir")) as string[];
  await admin.config("SET", "save", "3600 1");
  await admin.config("SET", "dir", "/proc/sys");
  await admin.bgsave();
  const failed = async () => ((await admin.info("persistence")).includes("status:err") ? undefined : "no failure yet");
  await waitUntil(failed, { deadlineMs: 5_000, signal: new AbortController().signal });
  await assertFails(checkAll(`redis://127.0.0.1:${port}`), /: MISCONF .*; the server cannot save to its disk/, true);
  await admin.config("SET", "save", "");
  await admin.config("SET", "dir", folder!);
});

test("a Redis that runs a long script is waited for", async () => {
  const script = redis.connect({ username: "admin" }).eval("while true do end", 0);
  script.catch(() => {});
  const { port } = redis;
  const busy = async () => ((await redis.admin.ping().catch((error) => error.message)) !== "PONG" ? undefined : "idle");
  await waitUntil(busy, { deadlineMs: 5_000, signal: new AbortController().signal });
  await assertFails(checkAll(`redis://127.0.0.1:${port}`), /: BUSY .*; wait until the script has ended/, false);
  await redis.admin.script("KILL");
  await assert.rejects(script);
});

test("a Redis that lacks INFO or EVAL", async () => {
  const hardened = await startRedis(["--rename-command", "EVAL", ""]);
  const blind = await startRedis(["--rename-command", "INFO", ""]);
  try {
    const url = `redis://127.0.0.1:${hardened.port}`;
    const blocked = /, EVAL: ERR unknown command 'eval'.*; the server is older .* renamed or blocked this command/;
    await assertFails(checkAll(url), blocked, true);
    await assertFails(checkAll(hardened.url("admin"), OWN_USER), blocked, true);
    await assertFails(checkAll(blind.url("admin"), OWN_USER), /unknown command 'info'.*blocked this command/, true);
  } finally {
    await hardened.stop();
    await blind.stop();
  }
});

test("the state before and after a run is that of REDIS_URL, or of all independent servers together", async () => {
  const other = await startRedis(["--maxmemory-policy", "allkeys-lru"]);
  const [first, second] = [redis.url("admin"), other.url("admin")];
  const monitor = createRedisMonitor({ REDIS_URL: first, REDIS_URLS: `${first},${second}` });
  await other.admin.flushall();
  const [one, all] = [await monitor.state(), await monitor.state("all")];
  assert.deepEqual([one?.flushes, one?.maxmemory_policy], ["0", "noeviction"]);
  assert.deepEqual([all?.flushes, all?.maxmemory_policy], ["1", "allkeys-lru,noeviction"]);
  assert.equal(all?.run_id?.split(",").length, 2);
  // An error of another server counts only if waiting does not resolve it.
  const servers = { REDIS_URL: first, REDIS_URLS: `${first},${second}` };
  await checkOtherServers(servers);
  await other.admin.replicaof("127.0.0.1", 1);
  await assertFails(
    checkOtherServers(servers),
    new RegExp(`:${other.port}, user admin, SET: READONLY .* primary`),
    true,
  );
  await other.stop();
  await checkOtherServers(servers);
  assert.equal(await monitor.state("all"), undefined);
  monitor.close();
});

test("a Redis in cluster mode whose slots are not served", async () => {
  const cluster = await startRedis(clusterNode(await freePort()));
  try {
    await assertFails(
      checkAccess({ REDIS_URL: `redis://127.0.0.1:${cluster.port}`, ...passwords }),
      /: CLUSTERDOWN .*; the cluster does not serve all of its slots/,
      false,
    );
    const url = `redis+cluster://127.0.0.1:${cluster.port}`;
    const unusable = /user monitor: the cluster names no usable node: no slot is served, or .*cluster-announce-ip/;
    await assertFails(checkAll(url), unusable, false);
    await cluster.admin.call("cluster", "ADDSLOTSRANGE", 0, 16_383);
    await assertFails(checkAll(url), unusable, false);
  } finally {
    await cluster.stop();
  }
});

test("a Sentinel keeps no keys", async () => {
  await using sentinel = await startPlain(["--sentinel", "--sentinel", "monitor", "primary", "127.0.0.1", "1", "1"]);
  await assertFails(
    checkAll(sentinel.url, OWN_USER),
    /: it is a Sentinel, which keeps no keys; write redis\+sentinel:\/\/127.0.0.1:\d+\/primary in REDIS_URL/,
    true,
  );
});

test("a port that speaks only TLS, and a port that does not", async () => {
  const files = await makeCertificate();
  await using tls = await startPlain(
    ["--tls-cert-file", files.cert, "--tls-key-file", files.key, "--tls-auth-clients", "no"],
    "tls-port",
  );
  await assertFails(checkAll(tls.url, OWN_USER), /ECONNRESET.*; .* write rediss:\/\/ in place of redis:\/\/$/, true);
  const untrusted = /self-signed certificate;.* name the certificate of its CA in REDIS_TLS_CA$/;
  await assertFails(checkAll(tls.url.replace("redis:", "rediss:"), OWN_USER), untrusted, true);
  const plain = `rediss://127.0.0.1:${redis.port}`;
  await assertFails(
    checkAll(plain, OWN_USER),
    /; start it or correct REDIS_URL \(redis:\/\/ if it has no TLS\)$/,
    false,
  );
});

test("the errors of proxies and managed servers that block a command do not show that it is allowed", () => {
  for (const message of [
    "ERR unknown command 'KEYS', with args beginning with: 'x*' ",
    "ERR unsupported command 'FLUSHALL'",
    "ERR invalid command",
    "ERR command 'CONFIG' is not allowed",
    "ERR handle response, backend conn reset",
    "ERR this cluster only supports database 0",
    "LOADING Redis is loading the dataset in memory",
    "READONLY You can't write against a read only replica.",
  ])
    assert.ok(!isComplaintAboutArguments(message) && !isRefusal(message), message);
  for (const message of ["ERR operation not permitted", "ERR invalid password", "-NOPERM no permissions"])
    assert.ok(isRefusal(message), message);
});

test("errors that no server here can be made to give", () => {
  for (const [message, final, fix] of [
    ["MOVED 866 127.0.0.1:7001", true, /cluster/],
    ["ASK 866 127.0.0.1:7001", true, /cluster/],
    ["LOADING Redis is loading the dataset in memory", false, /loaded/],
    ["MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", true, /primary/],
    ["DENIED Redis is running in protected mode because protected mode is enabled", true, /protected-mode no/],
    ["ERR max number of clients reached", false, /maxclients/],
    ["ERR unsupported command 'publish'", true, /proxy/],
    ["ERR command 'EVAL' is not allowed", true, /blocked this command/],
    ["ERR invalid command", true, /blocked this command/],
    ["ERR Error running script: @user_script:1: -OOM command not allowed", true, /maxmemory/],
  ] as const) {
    const remedy = explainRedis(new Error(message));
    assert.equal(remedy?.final, final, message);
    assert.match(remedy.fix, fix);
  }
  assert.equal(explainRedis(new Error("connect ECONNREFUSED 127.0.0.1:1")), undefined);
});

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** A Redis without users. */
async function startPlain(options: readonly string[], portOption = "port") {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-redis-"));
  const port = await freePort();
  await writeFile(join(folder, "redis.conf"), "");
  const ports = portOption === "port" ? ["--port", `${port}`] : ["--port", "0", `--${portOption}`, `${port}`];
  const args = [join(folder, "redis.conf"), "--bind", "127.0.0.1", "--dir", folder, ...ports, ...options];
  const child = spawn("redis-server", args, { stdio: ["ignore", "pipe", "ignore"] });
  let log = "";
  for await (const text of child.stdout.iterator({ destroyOnReturn: false })) {
    log += text;
    if (/Ready to accept connections|\+monitor/.test(log)) break;
  }
  child.stdout.resume();
  return {
    url: `redis://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await once(child, "exit");
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function makeCertificate() {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-tls-"));
  after(() => rm(folder, { recursive: true, force: true }));
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const options = [
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-days",
    "2",
    "-subj",
    "/CN=localhost",
  ];
  const child = spawn("openssl", ["req", "-x509", ...options, "-keyout", key, "-out", cert], { stdio: "ignore" });
  const [code] = await once(child, "exit");
  assert.equal(code, 0);
  return { key, cert };
}
