import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { LockAborted, LockTimeout, messageOf } from "../../worker/locks/lock.ts";
import { createMemoryLock } from "../../worker/locks/memory-lock.ts";

test("one holds at a time, in the order of asking; keys do not disturb each other", async () => {
  const lock = createMemoryLock();
  const order: number[] = [];
  let inside = 0;
  const loops = [0, 1, 2, 3].map((i) =>
    lock.using("a", {}, async () => {
      inside += 1;
      assert.equal(inside, 1);
      await sleep(5 - i);
      order.push(i);
      inside -= 1;
    }),
  );
  await lock.using("b", { timeoutMs: 0 }, async () => {});
  await Promise.all(loops);
  assert.deepEqual(order, [0, 1, 2, 3]);
});

test("a wait ends by its deadline, by its signal or by close, and is passed over then", async () => {
  const lock = createMemoryLock();
  const held = await lock.acquire("a");
  const abort = new AbortController();
  const refused = Promise.all([
    assert.rejects(lock.acquire("a", { timeoutMs: 0 }), LockTimeout),
    assert.rejects(lock.acquire("a", { timeoutMs: 10 }), LockTimeout),
    assert.rejects(lock.acquire("a", { signal: abort.signal }), LockAborted),
  ]);
  const next = lock.acquire("a");
  abort.abort();
  await refused;
  await held.release();
  await held.release();
  const other = await next;
  await assert.rejects(lock.acquire("a", { timeoutMs: 0 }), LockTimeout);
  const closed = assert.rejects(lock.acquire("a"), LockAborted);
  await lock.close();
  await closed;
  await other.release();
});

test("is released when the body throws", async () => {
  const lock = createMemoryLock();
  await assert.rejects(
    lock.using("a", {}, async () => {
      throw new Error("of the body");
    }),
    /of the body/,
  );
  await (await lock.acquire("a", { timeoutMs: 0 })).release();
});

test("the message of an error without words is its code", () => {
  const refused = Object.assign(new AggregateError([]), { code: "ECONNREFUSED" });
  assert.deepEqual([refused, new Error("words"), new Error(), "text"].map(messageOf), [
    "ECONNREFUSED",
    "words",
    "Error",
    "text",
  ]);
});
