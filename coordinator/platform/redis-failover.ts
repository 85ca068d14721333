/** A failover of Redis: a replica takes the place of each server, at the address that the clients have. Every platform makes it in the same way. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { settleAll } from "../wait.ts";
import { type FaultedServers, heldKeys, type Making, onEachRedis, onRedis, untilTaken } from "./fault-maker.ts";
import { portOf, type RemovableRedis } from "./redis-faults.ts";

/** A server and a process beside it on the same machine, which has a port of its own and no data. */
export interface RedisPair {
  readonly url: string;
  readonly replicaUrl: string;
  readonly server: RemovableRedis;
  /** Called when the replica has the address of the server, which is down. */
  succeed(): Promise<void> | void;
}

/**
 * Ends each server just after somebody has taken the lock, and promotes its replica. The link between the two was cut
 * before, so the replica has all data up to then and no lock. Another `prepare` replaces this: it is called while the
 * replicas follow, and the servers are ended when it resolves. Throws an Error if a replica has not what it should have.
 */
export async function failOver(
  making: Making,
  pairs: readonly RedisPair[],
  prepare: typeof fallBehind = fallBehind,
): Promise<void> {
  const { servers } = making;
  try {
    await settleAll(pairs.map((pair) => follow(making, pair)));
    await prepare(making, pairs);
    await onEachReplica(servers, pairs, async (redis) => {
      if ((await redis.get(MARK)) === null) throw new Error("the replica lost what was there before the link was cut");
    });
    await replace(making, pairs);
  } finally {
    // A server that is down has lost the mark, and a pause.
    await settleAll(servers.redis!.urls.map((url) => onRedis(servers, url, resume))).catch(() => {});
  }
}

/** Ends each server, and gives its address to its replica, whatever that one has. */
export async function replace({ servers }: Making, pairs: readonly RedisPair[]): Promise<void> {
  try {
    await settleAll(pairs.map(({ server }) => server.down()));
    await settleAll(
      pairs.map(async (pair) => {
        await onRedis(servers, pair.replicaUrl, async (redis) => {
          await redis.replicaof("NO", "ONE");
          await redis.config("SET", "port", portOf(pair.url));
        });
        await pair.succeed();
      }),
    );
  } finally {
    // A server whose replica did not take its place serves its clients again.
    await settleAll(pairs.map(({ server }) => server.up())).catch(() => {});
  }
}

/** Pauses the writes until each replica has made all of them. For {@link failOver}: it then breaks no lock. */
export async function catchUp({ servers }: Making, pairs: readonly RedisPair[]): Promise<void> {
  await onEachRedis(servers, (redis) => redis.client("PAUSE", SYNC_MS * 2, "WRITE"));
  const deadline = performance.now() + SYNC_MS;
  await settleAll(
    pairs.map(async ({ url, replicaUrl }) => {
      const written = await onRedis(servers, url, offsetOf("master_repl_offset"));
      await onRedis(servers, replicaUrl, async (redis) => {
        while ((await offsetOf("slave_repl_offset")(redis)) < written) {
          if (performance.now() > deadline) throw new Error(NOT_IN_STEP);
          await sleep(5);
        }
      });
    }),
  );
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** Set before the link is cut, and there after the failover. The name belongs to no lock. */
const MARK = "holdfast:failover";
/** How long a replica may take to get all data, milliseconds. Below the timeout of a command. */
const SYNC_MS = 2_500;

/** How many bytes of writes a server has sent, or a replica has made. Throws an Error for one that does not say so. */
const offsetOf =
  (field: "master_repl_offset" | "slave_repl_offset") =>
  async (redis: Redis): Promise<number> => {
    const offset = new RegExp(`^${field}:(\\d+)`, "m").exec(await redis.info("replication"))?.[1];
    if (offset === undefined) throw new Error(`Redis did not report its ${field}`);
    return Number(offset);
  };

/** Takes back what a failover that was not made has left at a server. */
async function resume(redis: Redis): Promise<void> {
  await redis.client("UNPAUSE");
  await redis.del(MARK);
}

/** Resolves when the replica has all data of the server, and gets each change. */
async function follow({ servers }: Making, { url, replicaUrl }: RedisPair): Promise<void> {
  const { user = "", password = "" } = servers.redis!.login;
  const masterauth = typeof password === "string" ? password : await password.read();
  const deadline = performance.now() + SYNC_MS;
  await onRedis(servers, replicaUrl, async (redis) => {
    await onRedis(servers, url, (primary) => primary.config("SET", "repl-diskless-sync-delay", 0));
    // It keeps no file of what it loads, so a server that a later fault restarts comes back empty.
    await redis.config("SET", "repl-diskless-load", "on-empty-db");
    await redis.config("SET", "masteruser", user);
    await redis.config("SET", "masterauth", masterauth);
    await redis.replicaof("127.0.0.1", portOf(url));
    while (!/^master_link_status:up/m.test(await redis.info("replication"))) {
      if (performance.now() > deadline) throw new Error(NOT_IN_STEP);
      await sleep(10);
    }
  });
  // It gets the first change up to a second after the data.
  await onRedis(servers, url, async (redis) => {
    await redis.set(MARK, "set");
    if ((await redis.wait(1, SYNC_MS)) === 0) throw new Error(NOT_IN_STEP);
  });
}
const NOT_IN_STEP = `the replica had not all data after ${SYNC_MS} ms`;

/**
 * Cuts the links while nobody waits, waits until each lock that the replicas know has expired, and then until somebody has
 * taken one.
 */
async function fallBehind(making: Making, pairs: readonly RedisPair[]): Promise<void> {
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
const CUT_TRIES = 10;

const onEachReplica = (
  servers: FaultedServers,
  pairs: readonly RedisPair[],
  command: (redis: Redis) => Promise<unknown>,
) => Promise.all(pairs.map(({ replicaUrl }) => onRedis(servers, replicaUrl, command)));
