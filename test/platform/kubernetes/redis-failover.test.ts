/** A failover in a release: to the replica beside each server and back, with the servers' own commands. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { ONE_SHOT_OPTIONS } from "../../../coordinator/clients/redis.ts";
import { createClusterFaultMaker } from "../../../coordinator/platform/kubernetes/faults.ts";
import { type Servers, startServers } from "../../../coordinator/platform/local/servers/index.ts";
import type { RedisReplica } from "../../../coordinator/platform/local/servers/start-redis.ts";
import { openRedis, type RedisLogin } from "../../../worker/servers/redis.ts";
import { settings } from "./settings.ts";

const RUN = "failed-over-1";
const LOCK = `holdfast:lock:{${RUN}:1}`;
const OTHER = "holdfast:lock:{another-1:1}";
const TTL_MS = 1_000;

let servers: Servers;
let replicas: RedisReplica[];
before(async () => {
  servers = await startServers({ coordinatorUrl: "", only: ["redis"], redisServers: 3, faultUser: true });
  replicas = await Promise.all(servers.redis!.started.map((server) => server.startReplica()));
});
after(() => servers?.[Symbol.asyncDispose]());

const urls = () => servers.redis!.urls;
const replicaUrls = () => replicas.map(({ url }) => url);

function failOver(over = new AbortController().signal): Promise<void> {
  const [REDIS_URL = ""] = urls();
  const makeFault = createClusterFaultMaker(
    settings({
      HOLDFAST_SERVER_FAULTS: "redis",
      REDIS_PASSWORD_FAULTS: String(servers.redis!.faultLogin!.password),
      HOLDFAST_REDIS_REPLICA_URLS: replicaUrls().join(),
    }),
    {
      MYSQL_URL: "mysql://nowhere/db",
      REDIS_URL,
      REDIS_URLS: urls().join(),
      PROMETHEUS_URL: "http://prometheus.nowhere",
    },
  );
  const fault = { name: "redis-failover", afterMs: 0, everyMs: 0, times: 1, forMs: 0 } as const;
  return makeFault(fault, { run: RUN, time: 1, over });
}

async function on<T>(url: string, login: RedisLogin, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = openRedis({ REDIS_URL: url }, login, ONE_SHOT_OPTIONS);
  redis.on("error", () => {});
  try {
    return await work(redis);
  } finally {
    redis.disconnect();
  }
}

const asLock = <T>(url: string, work: (redis: Redis) => Promise<T>) =>
  on(url, { user: "lock", password: servers.redis!.passwords.lock }, work);

/** Which process serves each URL, what it follows and how many keys it has. */
function states() {
  const read = (url: string) =>
    on(url, servers.redis!.faultLogin!, async (redis) => {
      const info = await redis.info();
      return {
        id: /run_id:(\w+)/.exec(info)![1],
        role: /role:(\w+)/.exec(info)![1],
        keys: /keys=(\d+)/.exec(info)?.[1],
      };
    });
  return Promise.all([...urls(), ...replicaUrls()].map(read));
}

/** Takes the lock on a server again and again, as another holder each time. Returns how often its last holder was lost. */
async function takenUntil(made: AbortSignal, url: string): Promise<number> {
  let lost = 0;
  // Whether a request without an answer was carried out is unknown.
  let holders: (string | null)[] = [null];
  for (let holder = 0; !made.aborted; holder += 1) {
    await asLock(url, (redis) => redis.call("SET", LOCK, holder, "PX", TTL_MS, "GET")).then(
      (before) => {
        if (!holders.includes(before as string | null)) lost += 1;
        holders = [String(holder)];
      },
      () => holders.push(String(holder)),
    );
    await sleep(TTL_MS / 50);
  }
  return lost;
}

/** Makes the fault while somebody takes the lock on each server. Returns how often a holder was lost, by server. */
async function lostDuring(fault: () => Promise<void>): Promise<number[]> {
  const made = new AbortController();
  const lost = urls().map((url) => takenUntil(made.signal, url));
  try {
    await fault();
  } finally {
    made.abort();
  }
  return Promise.all(lost);
}

async function assertAsBefore(before: Awaited<ReturnType<typeof states>>): Promise<void> {
  const after = await states();
  assert.deepEqual(
    after.map(({ id }) => id),
    before.map(({ id }) => id),
    "each process has its own port",
  );
  for (const { role } of after) assert.equal(role, "master", "nobody follows");
  for (const { keys } of after.slice(3)) assert.equal(keys, undefined, "a replica keeps no data");
  for (const url of [...urls(), ...replicaUrls()])
    assert.equal(await on(url, servers.redis!.faultLogin!, (redis) => redis.get("holdfast:failover")), null);
}

test("redis-failover: each replica takes its server's address without the lock, and gives it back with the lock", async () => {
  const before = await states();
  for (const url of urls()) await asLock(url, (redis) => redis.set(OTHER, "another", "PX", 60_000));
  assert.deepEqual(await lostDuring(() => failOver()), [1, 1, 1]);
  for (const url of urls())
    assert.equal(await asLock(url, (redis) => redis.get(OTHER)), "another", "it was replicated");
  await assertAsBefore(before);
});

test("redis-failover: if it cannot be made in step back, the servers still get their own ports", async () => {
  const before = await states();
  const changeFollowing = (url: string, rule: string) =>
    on(url, servers.redis!.faultLogin!, (redis) => redis.call("ACL", "SETUSER", "faults", rule));
  // The replicas refuse to be followed.
  for (const url of replicaUrls()) await changeFollowing(url, "-psync");
  await assert.rejects(
    lostDuring(() => failOver()),
    /the replica had not all data/,
  );
  for (const url of replicaUrls()) await changeFollowing(url, "+psync");
  await assertAsBefore(before);
});

test("redis-failover: at the end of the run a fault that waits for the lock is given up", async () => {
  const before = await states();
  const run = new AbortController();
  setTimeout(() => run.abort(), TTL_MS / 2);
  await assert.rejects(
    lostDuring(() => failOver(run.signal)),
    { name: "AbortError" },
  );
  await assertAsBefore(before);
});

test("redis-failover: where nobody takes the lock it is not made, and leaves nothing", async () => {
  for (const url of urls()) await asLock(url, (redis) => redis.del(LOCK, OTHER));
  const before = await states();
  await assert.rejects(failOver(), /nobody took a lock/);
  assert.deepEqual(await states(), before);
});
