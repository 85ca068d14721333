import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type Held,
  type Lock,
  LockAborted,
  LockDenied,
  LockLost,
  LockTimeout,
  LockUnreachable,
} from "../../worker/locks/lock.ts";
import { createZooKeeperLock, type ZooKeeperLockOptions } from "../../worker/locks/zookeeper-lock.ts";
import { locksPath, type ZooKeeperVariables, zooKeeperAccess } from "../../worker/servers/zookeeper.ts";
import { zooKeeperClient } from "../../worker/servers/zookeeper-session.ts";
import { eventually } from "../support/leftovers.ts";
import { startZooKeeper, type TestZooKeeper, zooKeeperMissing } from "../support/zookeeper.ts";
import { type Contender, monotonicMs, overlaps, startContender } from "./contenders.ts";

/** Much longer than what counts as prompt, so that even on a busy machine the two cannot be confused. */
const TTL_MS = 6_000;
const PROMPTLY_MS = 2_000;
const SHORT_TTL_MS = 1_000;
/** A server ends a session at the next of its ticks. */
const TICK_MS = 200;

describe("the lock in ZooKeeper", { skip: await zooKeeperMissing() }, () => {
  let zookeeper: TestZooKeeper;
  let keys = 0;
  const locks: Lock[] = [];
  const contenders: Contender[] = [];
  const newKey = () => `key ${keys++}`;

  before(async () => {
    zookeeper = await startZooKeeper();
  });
  afterEach(async () => {
    await Promise.all(locks.splice(0).map((lock) => lock.close()));
    await Promise.all(contenders.splice(0).map((contender) => contender.kill()));
  });
  after(() => zookeeper.stop());

  async function open(options: Partial<ZooKeeperLockOptions> = {}, variables: Partial<ZooKeeperVariables> = {}) {
    const client = zooKeeperClient({ ...zookeeper.variables, ...variables });
    const lock = await createZooKeeperLock(client, { ttlMs: TTL_MS, ...options });
    locks.push(lock);
    return lock;
  }

  async function contender(options: Partial<ZooKeeperLockOptions> = {}) {
    const contender = startContender();
    contenders.push(contender);
    const { variables } = zookeeper;
    await contender.open({ kind: "zookeeper", variables, options: { ttlMs: SHORT_TTL_MS, ...options } });
    return contender;
  }

  const untilPlaces = async (key: string, count: number) => {
    const left = await eventually(
      5_000,
      () => zookeeper.places(key),
      (names) => names.length === count,
    );
    assert.equal(left.length, count, `${left}`);
  };
  const isAborted = ({ signal }: Held) =>
    eventually(
      10_000,
      async () => signal.aborted,
      (aborted) => aborted,
    );

  test("a free lock is acquired and released without leaving a node, and its token grows", async () => {
    const lock = await open();
    const key = newKey();
    const fences: number[] = [];
    for (let i = 0; i < 20; i += 1) await lock.using(key, {}, async ({ fence }) => void fences.push(fence));
    assert.ok(
      fences.every((fence, i) => fence > (fences[i - 1] ?? 0)),
      `${fences}`,
    );
    await untilPlaces(key, 0);
  });

  test("the token is the transaction that created the holder's node", async () => {
    const held = await (await open()).acquire("token");
    const [name] = await zookeeper.places("token");
    const path = `${locksPath(zooKeeperAccess(zookeeper.variables))}/token/${name}`;
    const { value } = await zookeeper.admin.exists(path);
    assert.equal(BigInt(held.fence), value?.czxid);
    await held.release();
  });

  test("a key may have any characters", async () => {
    const lock = await open();
    for (const key of [".", "..", "a/b", "ä ö", "%", "x".repeat(200)]) {
      const held = await lock.acquire(key);
      await assert.rejects(lock.acquire(key, { timeoutMs: 0 }), LockTimeout, key);
      await held.release();
    }
  });

  test("processes that contend never hold it at the same time, and their tokens grow", async () => {
    const key = newKey();
    const all = await Promise.all([1, 2, 3, 4].map(() => contender({ ttlMs: TTL_MS })));
    const records = (await Promise.all(all.map(({ loop }) => loop(key, 2_000, 1, 13)))).flat();
    assert.ok(records.length > 50, `${records.length}`);
    assert.deepEqual(overlaps(records), []);
    const fences = records.toSorted((a, b) => a.from - b.from).map(({ fence }) => fence);
    assert.ok(fences.every((fence, i) => fence > (fences[i - 1] ?? 0)));
    assert.ok(records.every(({ lost }) => !lost));
    await untilPlaces(key, 0);
  });

  test("waiters get it in the order in which they came, and each release wakes one of them", async () => {
    const [a, b] = [await open(), await open()];
    const key = newKey();
    const first = await a.acquire(key);
    const order: number[] = [];
    const waits: Promise<void>[] = [];
    const count = 20;
    for (let i = 0; i < count; i += 1) {
      waits.push([a, b][i % 2]!.using(key, {}, async () => void order.push(i)));
      await untilPlaces(key, i + 2);
    }
    const watched = await eventually(
      5_000,
      () => zookeeper.metric("zk_watch_count"),
      (watches) => watches === count,
    );
    assert.equal(watched, count, "watches on the server");
    const eventsOf = async () =>
      (await zookeeper.metric("zk_sum_node_deleted_watch_count")) +
      (await zookeeper.metric("zk_sum_node_children_watch_count")) +
      (await zookeeper.metric("zk_sum_node_changed_watch_count"));
    const before = await eventsOf();
    await first.release();
    await Promise.all(waits);
    assert.deepEqual(
      order,
      order.map((_, i) => i),
    );
    assert.equal(order.length, count);
    assert.equal((await eventsOf()) - before, count, "events of watches");
  });

  test("a wait that is refused, late or aborted leaves no node, and the next one gets the lock", async () => {
    const [a, b, c] = [await open(), await open(), await open()];
    const key = newKey();
    const held = await a.acquire(key);
    await assert.rejects(b.acquire(key, { timeoutMs: 0 }), LockTimeout);
    await assert.rejects(
      b.acquire(key, { timeoutMs: 200 }),
      (error) => error instanceof LockTimeout && error.message.includes(`"${key}"`),
    );
    const abort = new AbortController();
    const aborted = [1, 2, 3].map(() => assert.rejects(b.acquire(key, { signal: abort.signal }), LockAborted));
    await untilPlaces(key, 4);
    const next = c.acquire(key, { timeoutMs: PROMPTLY_MS });
    await untilPlaces(key, 5);
    abort.abort(new Error("enough"));
    await Promise.all(aborted);
    await untilPlaces(key, 2);
    await held.release();
    await (await next).release();
    await untilPlaces(key, 0);
  });

  test("close ends all waiting and deletes the nodes", async () => {
    const [a, b] = [await open(), await open()];
    const key = newKey();
    const held = await a.acquire(key);
    const wait = assert.rejects(b.acquire(key), LockAborted);
    await untilPlaces(key, 2);
    await b.close();
    await wait;
    await untilPlaces(key, 1);
    await assert.rejects(b.acquire(key), LockAborted);
    await held.release();
  });

  test("a holder keeps it for longer than its TTL, unless it is not extended", async () => {
    const [a, b] = [await open({ ttlMs: SHORT_TTL_MS }), await open({ ttlMs: SHORT_TTL_MS, extend: false })];
    const key = newKey();
    const held = await a.acquire(key);
    await sleep(SHORT_TTL_MS * 2.5);
    assert.equal(held.signal.aborted, false);
    await held.release();
    const started = performance.now();
    const short = await b.acquire(key);
    const next = await a.acquire(key);
    assert.ok(performance.now() - started > SHORT_TTL_MS * 0.9, "given away too early");
    assert.ok(short.signal.aborted);
    assert.match(short.signal.reason.message, /held for longer than its TTL/);
    await assert.rejects(short.release(), LockLost);
    await next.release();
  });

  test("a holder is told when its node is gone, and does not delete the next holder's", async () => {
    const [a, b] = [await open({ ttlMs: SHORT_TTL_MS }), await open()];
    const key = newKey();
    const held = await a.acquire(key);
    const path = `${locksPath(zooKeeperAccess(zookeeper.variables))}/${encodeURIComponent(key)}`;
    await zookeeper.admin.delete(`${path}/${(await zookeeper.places(key))[0]}`);
    const next = await b.acquire(key);
    assert.ok(await isAborted(held));
    await assert.rejects(held.release(), LockLost);
    assert.equal((await zookeeper.places(key)).length, 1);
    await next.release();
  });

  test("a holder that is killed loses it after the timeout of its session", async () => {
    const key = newKey();
    const [holder, waiter] = [await contender(), await contender()];
    const first = await holder.acquire(key);
    const waiting = waiter.acquire(key);
    await untilPlaces(key, 2);
    const killedAt = monotonicMs();
    await holder.kill();
    const second = await waiting;
    assert.ok(second.fence > first.fence);
    assert.ok(second.at - first.at > SHORT_TTL_MS, "given away before the timeout");
    assert.ok(second.at - killedAt < SHORT_TTL_MS + TICK_MS + PROMPTLY_MS);
    await waiter.release();
  });

  test("a holder that is stopped beyond its session is told so when it goes on", async () => {
    const key = newKey();
    const [holder, waiter] = [await contender(), await contender()];
    const first = await holder.acquire(key);
    holder.signal("SIGSTOP");
    const second = await waiter.acquire(key);
    assert.ok(second.at - first.at > SHORT_TTL_MS * 0.9);
    holder.signal("SIGCONT");
    const { holds, reason } = await holder.state();
    assert.equal(holds, false);
    assert.match(reason ?? "", /^LockLost: /);
    await assert.rejects(holder.release(), /LockLost/);
    await waiter.extend();
    await waiter.release();
    // A new session serves the same lock.
    await holder.acquire(key);
    await holder.release();
  });

  test("a wrong password is refused at once", async () => {
    const started = performance.now();
    await assert.rejects(
      open({}, { ZOOKEEPER_PASSWORD: "wrong" }),
      (error) => error instanceof LockDenied && /user "holdfast" .*NoAuth; correct the user/.test(error.message),
    );
    assert.ok(performance.now() - started < PROMPTLY_MS);
  });

  test("a path without the nodes of the locks is refused with the fix", async () => {
    const { ZOOKEEPER_URL } = zookeeper.variables;
    await assert.rejects(
      open({}, { ZOOKEEPER_URL: `${ZOOKEEPER_URL}/elsewhere` }),
      (error) => error instanceof LockUnreachable && /NoNode; create the node of the locks/.test(error.message),
    );
  });

  test("a server that is restarted with its data keeps the queue, and nobody else gets in", async () => {
    const [a, b] = [await open({ ttlMs: 30_000 }), await open({ ttlMs: 30_000 })];
    const key = newKey();
    const held = await a.acquire(key, { timeoutMs: 60_000 });
    let entered = false;
    const waiting = b.acquire(key, { timeoutMs: 60_000 }).then((next) => {
      entered = true;
      assert.ok(held.signal.aborted || released, "two holders");
      return next;
    });
    let released = false;
    await untilPlaces(key, 2);
    await zookeeper.kill();
    await zookeeper.start();
    await held.extend().catch(() => {});
    await eventually(
      10_000,
      async () =>
        held.extend().then(
          () => true,
          () => false,
        ),
      (extended) => extended,
    );
    assert.equal(entered, false);
    assert.equal(held.signal.aborted, false);
    released = true;
    await held.release();
    const next = await waiting;
    assert.ok(next.fence > held.fence);
    await next.release();
    await untilPlaces(key, 0);
  });

  test("a server that stays away is reported to waiters, and to the holder before its lease ends", async () => {
    const lock = await open({ ttlMs: SHORT_TTL_MS });
    const held = await lock.acquire(newKey());
    const acquired = performance.now();
    await zookeeper.kill();
    try {
      await assert.rejects(
        lock.acquire(newKey(), { timeoutMs: 300 }),
        (error) => error instanceof LockUnreachable && /ZooKeeper at 127.0.0.1:\d+ is unreachable/.test(error.message),
      );
      assert.ok(await isAborted(held));
      assert.ok(performance.now() - acquired < SHORT_TTL_MS + PROMPTLY_MS);
      assert.match(held.signal.reason.message, /ended before it was extended/);
    } finally {
      await zookeeper.start();
    }
    const later = await lock.acquire(newKey());
    await later.release();
  });
});
