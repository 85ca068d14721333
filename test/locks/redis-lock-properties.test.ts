/** Random schedules of several clients on one lock, with short leases, lost data and cut connections, against a real Redis. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import type { Redis } from "ioredis";
import { LOCK_KEY_PREFIX } from "../../worker/contract.ts";
import { type Held, type Lock, LockAborted, LockError, LockLost } from "../../worker/locks/lock.ts";
import { createRedisLock } from "../../worker/locks/redis-lock.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";

const TTL_MS = 60;
const CLIENTS = 3;

let redis: TestRedis;
const clients: { connection: Redis; lock: Lock }[] = [];
let schedules = 0;

before(async () => {
  redis = await startRedis();
  for (let i = 0; i < CLIENTS; i += 1) {
    const connection = redis.connect();
    // Only the first extends, so that leases end while they are held.
    clients.push({ connection, lock: await createRedisLock(connection, { ttlMs: TTL_MS, extend: i === 0 }) });
  }
});
after(async () => {
  for (const { lock } of clients) await lock.close();
  await redis.stop();
});

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
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

test("whatever the order of events: one valid holder, growing fences, honest releases, no traces", async () => {
  const counts = { granted: 0, aborted: 0, lost: 0, released: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), (steps) => runSchedule(steps, counts)),
    { numRuns: 400, interruptAfterTimeLimit: 12_000, markInterruptAsFailure: false, endOnFailure: true },
  );
  // The schedules must have covered the cases that they are made for.
  for (const [what, count] of Object.entries(counts)) assert.ok(count > 5, `${what}: ${count}`);
});

async function runSchedule(steps: readonly Step[], counts: Record<string, number>) {
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
    const leaseLeftMs = await redis.admin.pttl(redisKey("owner"));
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
        acquire(clients[step.client]!.lock);
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
        clients[step.client]!.connection.stream.destroy();
        break;
      case "lose data": {
        const answers = await redis.admin
          .multi()
          .del(redisKey("owner"), redisKey("queue"), redisKey("fence"))
          .time()
          .exec();
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
  for (const { lock } of clients) {
    const held = await lock.acquire(key, { timeoutMs: 2_000 });
    await held.release().catch(() => {});
  }
  const left = () => redis.admin.keys(redisKey("*"));
  for (const end = performance.now() + 1_000; performance.now() < end && (await left()).length > 1; ) await sleep(1);
  assert.deepEqual(await left(), [redisKey("fence")]);
}
