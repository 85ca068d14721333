/** The lock that is kept to show how it fails: it works without faults, and fails in each of these cases. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { SEED_KEY_PREFIX } from "../../worker/contract.ts";
import { createConstantValueLock } from "../../worker/locks/constant-value-lock.ts";
import { LockAborted, LockDenied, LockLost, LockTimeout, LockUnreachable } from "../../worker/locks/lock.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { overlaps, startContender } from "./contenders.ts";

let redis: TestRedis;
let seed: Redis;
before(async () => {
  redis = await startRedis();
  const rules = [`~${SEED_KEY_PREFIX}*`, "-@all", "+ping", "+hello", "+set", "+eval", "+evalsha", "+exists", "+del"];
  await redis.admin.acl("SETUSER", "seed", "on", ">seed", ...rules);
  seed = redis.connect({ username: "seed" });
});
after(() => redis.stop());

test("excludes while every holder is quick", async () => {
  const processes = [startContender(), startContender()];
  try {
    for (const each of processes) {
      await each.open({ kind: "constant", url: redis.url("seed"), options: { pollMs: 2, ttlMs: 5_000 } });
    }
    const loops = await Promise.all(processes.map((each) => each.loop("quick", 400, 1, 6)));
    assert.deepEqual(overlaps(loops.flat()), []);
    assert.ok(loops.every((records) => records.length > 5));
  } finally {
    for (const each of processes) await each.kill();
  }
});

test("waits end by deadline, signal and close", async () => {
  const lock = createConstantValueLock(seed, { pollMs: 5 });
  const held = await lock.acquire("a");
  await assert.rejects(lock.acquire("a", { timeoutMs: 0 }), LockTimeout);
  await assert.rejects(lock.acquire("a", { timeoutMs: 30 }), LockTimeout);
  await assert.rejects(lock.acquire("a", { signal: AbortSignal.timeout(20) }), LockAborted);
  const waiting = assert.rejects(lock.acquire("a"), LockAborted);
  await lock.close();
  await waiting;
  await held.release();
  assert.equal(await redis.admin.exists(`${SEED_KEY_PREFIX}a`), 0);
});

test("with a TTL: two hold at the same time without an error, and the first releases the lock of the second", async () => {
  const lock = createConstantValueLock(seed, { pollMs: 5, ttlMs: 60 });
  const slow = await lock.acquire("ttl");
  const second = await lock.acquire("ttl");
  assert.equal(slow.signal.aborted, false);
  await slow.release();
  const third = await lock.acquire("ttl", { timeoutMs: 0 });
  await third.release();
  await assert.rejects(second.release(), LockLost);
});

test("without a TTL: a dead holder keeps it", async () => {
  const dead = startContender();
  await dead.open({ kind: "constant", url: redis.url("seed"), options: { pollMs: 5 } });
  await dead.acquire("dead");
  await dead.kill();
  const lock = createConstantValueLock(seed, { pollMs: 5 });
  await assert.rejects(lock.acquire("dead", { timeoutMs: 200 }), LockTimeout);
  assert.equal(await redis.admin.pttl(`${SEED_KEY_PREFIX}dead`), -1);
});

test("a refused user and an unreachable server give different errors", async () => {
  const denied = createConstantValueLock(redis.connect(), { pollMs: 5 });
  await assert.rejects(denied.acquire("x"), LockDenied);
  const lock = createConstantValueLock(seed, { pollMs: 5 });
  const held = await lock.acquire("x");
  await redis.kill();
  await sleep(20);
  await assert.rejects(lock.acquire("y"), LockUnreachable);
  await assert.rejects(held.release(), LockUnreachable);
});
