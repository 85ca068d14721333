/**
 * Random schedules of several clients on one lock, with short leases, lost data and cut connections, against a real
 * Redis and a real Redis Cluster.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import type { Cluster, Redis } from "ioredis";
import { LOCK_KEY_PREFIX } from "../../worker/contract.ts";
import { type Held, type Lock, LockAborted, LockError, LockLost } from "../../worker/locks/lock.ts";
import { createRedisLock } from "../../worker/locks/redis-lock.ts";
import { startRedis } from "../support/redis.ts";
import { startRedisCluster } from "../support/redis-cluster.ts";

const TTL_MS = 60;
const CLIENTS = 3;

/** One Redis, or a cluster of them. */
interface Kind {
  readonly clients: readonly Redis[] | readonly Cluster[];
  /** The administrator's connection to the server that has this key now. */
  admin(key: string): Promise<Redis>;
  /** Cuts all connections of one client. */
  cut(client: number): Promise<unknown>;
  /** Moves the lock to another node, if there is one. */
  move(key: string): Promise<void>;
  stop(): Promise<void>;
}

let locks: Lock[] = [];
let schedules = 0;

const client = fc.nat(CLIENTS - 1);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("acquire" as const), client }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("release" as const), of: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("extend" as const), of: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("abort" as const), of: fc.nat(9) }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("sleep" as const), ms: fc.integer({ min: 1, max: 2 * TTL_MS }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("block" as const), ms: fc.integer({ min: 1, max: 2 * TTL_MS }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("cut" as const), client }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("lose data" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("move" as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

for (const [name, start] of [
  ["one Redis", startOne],
  ["a Redis Cluster", startCluster],
] as const)
  describe(name, () => {
    let kind: Kind;
    before(async () => {
      kind = await start();
      // Only the first extends, so that leases end while they are held.
      const opened = [...kind.clients].map((client, i) => createRedisLock(client, { ttlMs: TTL_MS, extend: i === 0 }));
      locks = await Promise.all(opened);
    });
    after(async () => {
      for (const lock of locks) await lock.close();
      await kind.stop();
    });

    test("whatever the order of events: one valid holder, growing fences, honest releases, no traces", async () => {
      const counts = { granted: 0, aborted: 0, lost: 0, released: 0 };
      const endAtMs = performance.now() + 8_000;
      await fc.assert(
        // fast-check's own limit would leave the last schedule running on servers that are being stopped.
        fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
          if (performance.now() < endAtMs) await runSchedule(kind, steps, counts);
        }),
        { numRuns: 400, endOnFailure: true },
      );
      // The schedules must have covered the cases that they are made for.
      for (const [what, count] of Object.entries(counts)) assert.ok(count > 5, `${what}: ${count}`);
    });
  });

async function startOne(): Promise<Kind> {
  const redis = await startRedis();
  const clients = Array.from({ length: CLIENTS }, () => redis.connect());
  return {
    clients,
    admin: async () => redis.admin,
    cut: async (client) => clients[client]!.stream.destroy(),
    move: async () => {},
    stop: redis.stop,
  };
}

async function startCluster(): Promise<Kind> {
  const cluster = await startRedisCluster();
  const everywhere = (command: string, ...args: string[]) =>
    Promise.all(cluster.nodes.map(({ admin }) => admin.call(command, args)));
  const users = Array.from({ length: CLIENTS }, (_, i) => `client${i}`);
  const rules = ["on", "~*", "&*", "+@all"];
  for (const user of users) await everywhere("acl", "SETUSER", user, `>${user}`, ...rules);
  return {
    clients: await Promise.all(users.map((user) => cluster.connect(user))),
    admin: async (key) => (await cluster.nodeOf(key)).admin,
    cut: (client) => everywhere("client", "KILL", "USER", users[client]!),
    move: cluster.move,
    stop: cluster.stop,
  };
}

async function runSchedule(kind: Kind, steps: readonly Step[], counts: Record<string, number>) {
  const key = `schedule ${schedules++}`;
  const redisKey = (part: string) => `${LOCK_KEY_PREFIX}{${key}}:${part}`;
  const holding: Held[] = [];
  const waiting: { abort: AbortController; done: Promise<void> }[] = [];
  const releasing: Promise<void>[] = [];
  const violations: string[] = [];
  /**
   * Apparent violations. They are real unless Redis had lost its data after it issued the first fence: then two clients
   * may both hold, and notice it in any order.
   */
  const suspicions: { fence: number; before: number; what: string }[] = [];
  const losses: number[] = [];
  let lastFence = 0;

  function acquire(lock: Lock) {
    const abort = new AbortController();
    const done = lock.acquire(key, { signal: abort.signal, timeoutMs: 5_000 }).then(
      (held) => {
        counts.granted! += 1;
        const suspect = (fence: number, what: string) =>
          suspicions.push({ fence: Math.min(fence, held.fence), before: Math.max(fence, held.fence), what });
        if (held.fence <= lastFence) suspect(lastFence, `fence ${held.fence} after ${lastFence}`);
        lastFence = Math.max(lastFence, held.fence);
        for (const { fence } of holding.filter((other) => !other.signal.aborted))
          suspect(fence, `${held.fence} entered while ${fence} held`);
        holding.push(held);
      },
      (error) => {
        counts.aborted! += 1;
        if (!(error instanceof LockAborted)) violations.push(`acquire: ${error}`);
      },
    );
    waiting.push({ abort, done });
  }

  async function release(held: Held) {
    const askedAt = performance.now();
    const admin = await kind.admin(redisKey("owner"));
    const leaseLeftMs = await admin.pttl(redisKey("owner"));
    const wasLost = held.signal.aborted;
    try {
      await held.release();
      counts.released! += 1;
      if (wasLost) violations.push(`${held.fence} was lost, and its release said nothing`);
    } catch (error) {
      counts.lost! += 1;
      if (!(error instanceof LockError)) violations.push(`release: ${error}`);
      // A lease may also end while the release is on its way.
      if (error instanceof LockLost && !wasLost && performance.now() < askedAt + leaseLeftMs) {
        suspicions.push({ fence: held.fence, before: Infinity, what: `${held.fence} was not lost: ${error.message}` });
      }
    }
  }
  const take = (of: number) => holding.splice(of % Math.max(1, holding.length), 1)[0];

  for (const step of steps) {
    switch (step.do) {
      case "acquire":
        acquire(locks[step.client]!);
        break;
      case "release": {
        const one = take(step.of);
        if (one !== undefined) releasing.push(release(one));
        break;
      }
      case "extend": {
        const one = holding[step.of % Math.max(1, holding.length)];
        await one?.extend().catch((error) => {
          if (!(error instanceof LockError)) violations.push(`extend: ${error}`);
          if (error instanceof LockLost && !one.signal.aborted) violations.push("extend told more than the signal");
        });
        break;
      }
      case "abort":
        waiting[step.of % Math.max(1, waiting.length)]?.abort.abort();
        break;
      case "sleep":
        await sleep(step.ms);
        break;
      case "block":
        for (const end = performance.now() + step.ms; performance.now() < end; );
        break;
      case "cut":
        await kind.cut(step.client);
        break;
      case "move":
        await kind.move(redisKey("owner"));
        break;
      case "lose data": {
        const admin = await kind.admin(redisKey("owner"));
        const answers = await admin.multi().del(redisKey("owner"), redisKey("queue"), redisKey("fence")).time().exec();
        const [seconds, microseconds] = answers![1]![1] as [string, string];
        losses.push(Number(seconds) * 1e6 + Number(microseconds));
        break;
      }
    }
  }

  for (const { abort } of waiting) abort.abort();
  await Promise.all(waiting.map(({ done }) => done));
  await Promise.all([...releasing, ...holding.splice(0).map(release)]);
  for (const { fence, before, what } of suspicions) {
    if (!losses.some((lostAt) => fence <= lostAt && lostAt < before)) violations.push(what);
  }
  assert.deepEqual(violations, []);

  // Nothing remains: new clients acquire the lock, and only the fence is left. On a busy machine a release may take
  // longer than the lease.
  for (const lock of locks) {
    const held = await lock.acquire(key, { timeoutMs: 2_000 });
    await held.release().catch(() => {});
  }
  const admin = await kind.admin(redisKey("owner"));
  const left = () => admin.keys(redisKey("*"));
  for (const end = performance.now() + 1_000; performance.now() < end && (await left()).length > 1; ) await sleep(1);
  assert.deepEqual(await left(), [redisKey("fence")]);
}
