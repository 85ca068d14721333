/** Faults of the servers of a release, made of real servers that have the users of the chart. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import mysql, { type RowDataPacket } from "mysql2/promise";
import { ONE_SHOT_OPTIONS } from "../../../coordinator/clients/redis.ts";
import { ConfigError } from "../../../coordinator/errors.ts";
import { PLATFORM_FAULT_NAMES, SERVER_FAULT_NAMES, type ServerFaultName } from "../../../coordinator/plan/run-plan.ts";
import {
  createClusterFaultMaker,
  faultedServers,
  missingClusterFaults,
} from "../../../coordinator/platform/kubernetes/faults.ts";
import { type Servers, startServers } from "../../../coordinator/platform/local/servers/index.ts";
import { openRedis } from "../../../worker/servers/redis.ts";
import { settings } from "./settings.ts";

const RUN = "faulted-1";
const FOR_MS = 500;

let servers: Servers;
let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "holdfast-faults-"));
  const users = join(folder, "faults.sql");
  await writeFile(users, sqlOfChart());
  servers = await startServers({
    coordinatorUrl: "",
    only: ["mysql", "redis"],
    redisServers: 3,
    faultUser: true,
    mysqlOptions: [`--init-file=${users}`],
  });
});
after(async () => {
  await servers?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

/** With characters that end a string, or begin another one. */
const MYSQL_PASSWORD_FAULTS = 'it\'s a \\ "$1" `x`';

/** What the image would have MySQL do when it creates the data. */
function sqlOfChart(): string {
  const script = join(import.meta.dirname, "../../../helm/files/faults-mysql.sh");
  const sourced = `docker_process_sql() { cat; }; . "${script}"`;
  return execFileSync("bash", ["-euc", sourced], { env: { ...process.env, MYSQL_PASSWORD_FAULTS }, encoding: "utf8" });
}

/** Makes a fault as the coordinator's pod does: the passwords stand beside the addresses. */
function make(name: ServerFaultName, passwords: Readonly<Record<string, string>> = {}) {
  const mysqlUrl = new URL(servers.mysql!.url);
  const { password: MYSQL_PASSWORD } = mysqlUrl;
  mysqlUrl.password = "";
  const [REDIS_URL = "", ...others] = servers.redis!.urls;
  const REDIS_PASSWORD_FAULTS = String(servers.redis!.faultLogin!.password);
  const HOLDFAST_SERVER_FAULTS = "mysql,redis";
  const allowed = settings({ HOLDFAST_SERVER_FAULTS, MYSQL_PASSWORD_FAULTS, REDIS_PASSWORD_FAULTS, ...passwords });
  const makeFault = createClusterFaultMaker(allowed, {
    MYSQL_URL: mysqlUrl.href,
    MYSQL_PASSWORD,
    REDIS_URL,
    REDIS_URLS: [REDIS_URL, ...others].join(","),
    PROMETHEUS_URL: "http://prometheus.nowhere",
  });
  const fault = { name, afterMs: 0, everyMs: 0, times: 1, forMs: FOR_MS };
  return makeFault(fault, { run: RUN, time: 1, over: new AbortController().signal });
}

async function as<T>(
  user: "lock" | "health" | "faults",
  server: number,
  work: (redis: Redis) => Promise<T>,
): Promise<T> {
  const { urls, passwords, faultLogin } = servers.redis!;
  const logins = { lock: { user, password: passwords.lock }, health: { user, password: "none" }, faults: faultLogin! };
  const redis = openRedis({ REDIS_URL: urls[server]! }, logins[user], ONE_SHOT_OPTIONS);
  redis.on("error", () => {});
  try {
    return await work(redis);
  } finally {
    redis.disconnect();
  }
}

const lockOf = (run: string) => `holdfast:lock:{${run}:1}`;

/** Takes the lock of the run on the first server until it is lost or the fault is made. Returns the longest time that this took once. */
function lockUntil(made: Promise<void>): Promise<number> {
  let isMade = false;
  const end = made.finally(() => {
    isMade = true;
  });
  return as("lock", 0, async (redis) => {
    let longestMs = 0;
    while (!isMade && redis.status !== "end") {
      const askedMs = performance.now();
      await redis.set(lockOf(RUN), "me", "PX", 60_000).catch(() => {});
      longestMs = Math.max(longestMs, performance.now() - askedMs);
    }
    await end;
    return longestMs;
  });
}

for (const [name, left] of [
  ["lock-deleted", [null, "another"]],
  ["redis-data-loss", [null, null]],
] as const)
  test(`${name} reaches the other server, too`, async () => {
    const keys = [lockOf(RUN), lockOf("another")];
    await as("lock", 1, (redis) => Promise.all(keys.map((key) => redis.set(key, "another", "PX", 60_000))));
    await lockUntil(make(name));
    assert.deepEqual(await as("lock", 1, (redis) => Promise.all(keys.map((key) => redis.get(key)))), left);
  });

for (const [name, left] of [
  ["redis-restart", null],
  ["redis-restart-saved", "another"],
] as const)
  test(`${name} ends each server, which comes back ${left === null ? "without" : "with"} its data`, async () => {
    const { started } = servers.redis!;
    const before = started.map(({ process }) => process.pid);
    for (const server of [0, 1]) await as("lock", server, (redis) => redis.set(lockOf(name), "another", "PX", 60_000));
    await startingAgain(lockUntil(make(name)));
    for (const [server, { process }] of started.entries()) assert.notEqual(process.pid, before[server]);
    for (const server of [0, 1]) assert.equal(await as("lock", server, (redis) => redis.get(lockOf(name))), left);
  });

/** Starts each server again when it has ended, as its container does. */
async function startingAgain(
  made: Promise<unknown>,
  processes = servers.redis!.started.map(({ process }) => process),
): Promise<void> {
  let isMade = false;
  const end = made.finally(() => {
    isMade = true;
  });
  const keepers = processes.map(async (process) => {
    // It may end while it is asked whether it answers.
    while (!isMade) await Promise.all([process.start().catch(() => {}), sleep(10)]);
  });
  await Promise.all([end, ...keepers]);
}

for (const [name, down] of [
  ["redlock-minority", [false, false, true]],
  ["redlock-majority", [false, true, true]],
  ["redlock-amnesia", [true, false, true]],
] as const)
  test(`${name}: servers cut off and refuse their clients, and come back empty without a restart`, async () => {
    const before = servers.redis!.started.map(({ process }) => process.pid);
    const other = lockOf(name);
    await onEach("lock", (redis) => redis.set(other, "another", "PX", 60_000));
    const { open, anew } = await refusals("lock", takenUntil(make(name)), /ECONNREFUSED|closed/);
    assert.deepEqual(open, down);
    // The first server is away for a moment only.
    assert.deepEqual(anew.slice(1), down.slice(1));
    const left = await onEach("lock", (redis) => redis.get(other));
    assert.deepEqual(
      left.map((value) => value === null),
      down,
    );
    assert.deepEqual(
      servers.redis!.started.map(({ process }) => process.pid),
      before,
    );
  });

for (const [name, reason] of [
  ["acl-revoked", /NOPERM/],
  ["password-rotated", /WRONGPASS|closed/],
] as const)
  test(`${name} refuses workers and probes, and gives back what they had`, async () => {
    const rules = () => as("faults", 0, (redis) => redis.call("ACL", "LIST"));
    const before = await rules();
    const made = make(name);
    const refused = await Promise.all([refusals("lock", made, reason), refusals("health", made, reason)]);
    for (const { open, anew } of refused) assert.deepEqual([...open, ...anew], Array(6).fill(true));
    assert.deepEqual(await rules(), before);
  });

const onEach = <T>(user: "lock" | "health", work: (redis: Redis) => Promise<T>) =>
  Promise.all(servers.redis!.urls.map((_, server) => as(user, server, work)));

/** Which servers refuse a user while a fault is made: on a connection that was open before, and on a new one. */
async function refusals(user: "lock" | "health", made: Promise<void>, reason: RegExp) {
  let isMade = false;
  const end = made.finally(() => {
    isMade = true;
  });
  const refused = servers.redis!.urls.map(async (_, server) => {
    const seen = { open: false, anew: false };
    const refuses = (work: Promise<unknown>) =>
      work.then(
        () => false,
        (error) => reason.test(error.message),
      );
    await as(user, server, async (open) => {
      await open.ping().catch(() => {});
      while (!isMade) {
        seen.open ||= await refuses(open.ping());
        seen.anew ||= await refuses(as(user, server, (redis) => redis.ping()));
        await sleep(5);
      }
    });
    return seen;
  });
  await end;
  const seen = await Promise.all(refused);
  return { open: seen.map(({ open }) => open), anew: seen.map(({ anew }) => anew) };
}

/** Takes the lock of the run on each server again and again, as another holder each time, until the fault is made. */
async function takenUntil(made: Promise<void>): Promise<void> {
  let isMade = false;
  const end = made.finally(() => {
    isMade = true;
  });
  for (let holder = 0; !isMade; holder += 1) {
    await Promise.allSettled(
      [0, 1, 2].map((server) => as("lock", server, (redis) => redis.set(lockOf(RUN), holder, "PX", 60_000))),
    );
    await sleep(20);
  }
  await end;
}

test("redis-stall keeps others waiting", async () => {
  assert.ok((await lockUntil(make("redis-stall"))) > FOR_MS / 2);
});

test("foreign-writer writes the row and the ledger", async () => {
  const connection = await mysql.createConnection(servers.mysql!.url);
  try {
    await connection.query("INSERT INTO employee (run, id, email, version, salary) VALUES (?, 1, 'a', 7, 100)", [RUN]);
    await make("foreign-writer");
    const [[row]] = await connection.query<RowDataPacket[]>(
      "SELECT e.version, e.salary, l.read_version FROM employee e JOIN ledger l ON l.run = e.run AND l.op = e.last_op WHERE e.run = ?",
      [RUN],
    );
    assert.deepEqual({ ...row }, { version: 8, salary: 105, read_version: 7 });
  } finally {
    await connection.end();
  }
});

test("mysql-kill-connections ends what is open, and nothing else", async () => {
  const open = await mysql.createConnection(servers.mysql!.url);
  await make("mysql-kill-connections");
  await assert.rejects(open.query("SELECT 1"));
  open.destroy();
  const next = await mysql.createConnection(servers.mysql!.url);
  await next.query("SELECT 1");
  await next.end();
});

test("mysql-restart ends MySQL, which comes back with its data", async () => {
  const { url, process } = servers.mysql!;
  const before = process.pid;
  await startingAgain(make("mysql-restart"), [process]);
  assert.notEqual(process.pid, before);
  const connection = await mysql.createConnection(url);
  const [rows] = await connection.query<RowDataPacket[]>("SELECT version FROM employee WHERE run = ?", [RUN]);
  await connection.end();
  assert.deepEqual(rows, [{ version: 8 }]);
});

test("the user of MySQL who makes faults may do nothing else", async () => {
  const { hostname: host, port, pathname } = new URL(servers.mysql!.url);
  const login = { host, port: Number(port), user: "faults", password: MYSQL_PASSWORD_FAULTS };
  const connection = await mysql.createConnection(login);
  const [grants] = await connection.query<RowDataPacket[]>("SHOW GRANTS");
  await assert.rejects(connection.query(`SELECT * FROM ${pathname.slice(1)}.employee`), /denied/);
  await assert.rejects(connection.query("SET GLOBAL max_connections = 10"), /denied/);
  await connection.end();
  assert.match(Object.values(grants[0]!).join(), /^GRANT SHUTDOWN ON \*\.\* TO/);
  assert.equal(grants.length, 1);
});

test("the user of Redis who makes faults may do nothing else", async () => {
  const refused = [
    ["get", "not-of-holdfast"],
    ["set", lockOf(RUN), "1"],
    ["del", "not-of-holdfast"],
    ["eval", "return 1", "0"],
    ["config", "get", "port"],
    ["script", "load", "return 1"],
    ["acl", "deluser", "lock"],
    ["client", "list"],
    ["flushdb", "no"],
  ] as const;
  for (const [command, ...rest] of refused)
    await assert.rejects(
      as("faults", 0, (redis) => redis.call(command, rest)),
      /^ReplyError: NOPERM/,
      command,
    );
});

test("a password that a server refuses is named as the reason", async () => {
  await assert.rejects(make("mysql-restart", { MYSQL_PASSWORD_FAULTS: "wrong" }), /Access denied for user 'faults'/);
  await assert.rejects(make("redis-data-loss", { REDIS_PASSWORD_FAULTS: "wrong" }), /WRONGPASS/);
});

test("without the password, or without permission, no fault is made", () => {
  const variables = { MYSQL_URL: "mysql://m/db", REDIS_URL: "redis://r", PROMETHEUS_URL: "http://p" };
  const redis = settings({ HOLDFAST_SERVER_FAULTS: "redis" });
  assert.throws(() => faultedServers(redis, variables), ConfigError);
  const mysqlOnly = settings({ HOLDFAST_SERVER_FAULTS: "mysql" });
  assert.throws(() => createClusterFaultMaker(mysqlOnly, variables), /MYSQL_PASSWORD_FAULTS is not set/);

  assert.deepEqual(faultedServers(settings(), variables), { mysql: undefined, redis: undefined });
  const missing = missingClusterFaults(settings());
  assert.deepEqual(Object.keys(missing), [...SERVER_FAULT_NAMES]);
  const impossible: readonly string[] = PLATFORM_FAULT_NAMES.filter(
    (name) => ![...MADE_HERE, "mysql-restart", "redis-failover"].includes(name),
  );
  for (const [name, reason] of Object.entries(missing))
    assert.match(reason, impossible.includes(name) ? /made on one machine only: / : /faults\.enabled=true/);

  for (const name of ["foreign-writer", "mysql-restart"] as const)
    assert.match(missingClusterFaults(redis)[name] ?? "", /mysql\.enabled=true/);
  for (const name of ["redis-data-loss", ...MADE_HERE] as const)
    assert.equal(missingClusterFaults(redis)[name], undefined);

  assert.match(missingClusterFaults(redis)["redis-failover"] ?? "", /redis\.replica\.enabled=true/);
  const replicas = { HOLDFAST_REDIS_REPLICA_URLS: "redis://r:6380" };
  const replicated = settings({ HOLDFAST_SERVER_FAULTS: "redis", ...replicas });
  assert.equal(missingClusterFaults(replicated)["redis-failover"], undefined);
});

const MADE_HERE: readonly ServerFaultName[] = [
  "redis-restart",
  "redis-restart-saved",
  "acl-revoked",
  "password-rotated",
  "redlock-minority",
  "redlock-majority",
  "redlock-amnesia",
];
