/** A failover of Redis: a replica takes the place of each private server, at the address that the clients have. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { type FaultedServers, heldKeys, type Making, onEachRedis, onRedis, untilTaken } from "../fault-maker.ts";
import type { Servers } from "./servers/index.ts";
import { startAll } from "./servers/server-process.ts";
import type { RedisReplica, StartedRedis } from "./servers/start-redis.ts";

/**
 * Kills each Redis just after somebody has taken the lock, and promotes its replica. The link between the two was cut
 * before, so the replica has all data up to then and no lock; with `inStep` it has everything. `making` has the rights of
 * the owner. Throws an Error if the replica has not what it should have.
 */
export async function failOver(servers: Servers, making: Making, { inStep = false } = {}): Promise<void> {
  const { started } = servers.redis!;
  const replicas: RedisReplica[] = [];
  try {
    const pairs = await Promise.all(
      started.map(async (server) => {
        const replica = await server.startReplica();
        replicas.push(replica);
        await follow(making, server, replica);
        return { server, replica };
      }),
    );
    if (inStep) await catchUp(making, pairs);
    else await fallBehind(making, pairs);
    await Promise.all(started.map(({ process }) => process.stop("SIGKILL")));
    await Promise.all(
      pairs.map(async ({ server, replica }) => {
        await promote(making, server, replica);
        replicas.splice(replicas.indexOf(replica), 1);
      }),
    );
  } finally {
    await Promise.all(replicas.map(({ process }) => process.stop("SIGKILL")));
    await startAll(started.map(({ process }) => process));
  }
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

interface Pair {
  readonly server: StartedRedis;
  readonly replica: RedisReplica;
}

/** Set before the link is cut, and there after the failover. The name belongs to no lock. */
const MARK = "holdfast:failover";
/** How long a replica may take to get all data, milliseconds. Below the timeout of a command. */
const SYNC_MS = 2_500;

/** Resolves when the replica has all data of the server, and gets each change. */
async function follow({ servers }: Making, server: StartedRedis, replica: RedisReplica): Promise<void> {
  const { user, password } = servers.redis!.login;
  const deadline = performance.now() + SYNC_MS;
  await onRedis(servers, replica.url, async (redis) => {
    await onRedis(servers, server.url, (primary) => primary.config("SET", "repl-diskless-sync-delay", 0));
    await redis.config("SET", "masteruser", `${user}`);
    await redis.config("SET", "masterauth", `${password}`);
    await redis.replicaof("127.0.0.1", new URL(server.url).port);
    while (!/^master_link_status:up/m.test(await redis.info("replication"))) {
      if (performance.now() > deadline) throw new Error(NOT_IN_STEP);
      await sleep(10);
    }
  });
  // It gets the first change up to a second after the data.
  await onRedis(servers, server.url, async (redis) => {
    await redis.set(MARK, "set");
    if ((await redis.wait(1, SYNC_MS)) === 0) throw new Error(NOT_IN_STEP);
  });
}
const NOT_IN_STEP = `the replica had not all data after ${SYNC_MS} ms`;

/**
 * Cuts the links while nobody waits, waits until each lock that the replicas know has expired, and then until somebody has
 * taken one.
 */
async function fallBehind(making: Making, pairs: readonly Pair[]): Promise<void> {
  const { servers, run, over } = making;
  const isWaitedFor = (url: string) =>
    onRedis(servers, url, async (redis) => (await redis.keys(`holdfast:*${run}*:queue`)).length > 0);
  for (let tries = 0; ; tries += 1) {
    await untilTaken(making);
    if (!(await isWaitedFor(servers.redis!.urls[0]!))) break;
    if (tries === CUT_TRIES) throw new Error("somebody always waited for the lock");
  }
  await onEachReplica(servers, pairs, (redis) => redis.replicaof("NO", "ONE"));
  await onEachReplica(servers, pairs, async (redis) => {
    // Redis lists no key that has expired.
    while ((await heldKeys(redis, run)).length > 0) await sleep(10, undefined, { signal: over });
  });
  await untilTaken(making);
}
const CUT_TRIES = 5;

/** Pauses the writes just after somebody has taken the lock, until each replica has the locks of the same holders. */
async function catchUp(making: Making, pairs: readonly Pair[]): Promise<void> {
  const { servers, run } = making;
  const holders = async (redis: Redis) => {
    const keys = (await heldKeys(redis, run)).sort();
    return JSON.stringify([keys, keys.length === 0 ? [] : await redis.mget(keys)]);
  };
  await untilTaken(making);
  await onEachRedis(servers, (redis) => redis.client("PAUSE", SYNC_MS * 2, "WRITE"));
  const deadline = performance.now() + SYNC_MS;
  for (const { server, replica } of pairs) {
    const held = await onRedis(servers, server.url, holders);
    while ((await onRedis(servers, replica.url, holders)) !== held)
      if (performance.now() > deadline) throw new Error(NOT_IN_STEP);
  }
}

/** Gives the replica the port of the server, which has been killed. */
async function promote({ servers }: Making, server: StartedRedis, replica: RedisReplica): Promise<void> {
  await onRedis(servers, replica.url, async (redis) => {
    await redis.replicaof("NO", "ONE");
    if ((await redis.getdel(MARK)) === null) throw new Error("the replica lost what was there before the link was cut");
    await redis.config("SET", "port", new URL(server.url).port);
  });
  replica.succeed();
}

const onEachReplica = (servers: FaultedServers, pairs: readonly Pair[], command: (redis: Redis) => Promise<unknown>) =>
  Promise.all(pairs.map(({ replica }) => onRedis(servers, replica.url, command)));
