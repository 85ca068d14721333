/** The lock where more than one Redis server is involved: in a cluster, and with a replica that becomes the primary. */
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Cluster, Redis } from "ioredis";
import { LOCK_KEY_PREFIX } from "../../worker/contract.ts";
import { type Lock, LockDenied, LockTimeout } from "../../worker/locks/lock.ts";
import { createRedisLock } from "../../worker/locks/redis-lock.ts";
import { lockScripts } from "../../worker/locks/redis-scripts.ts";
import { startRedisCluster, type TestCluster } from "../support/redis-cluster.ts";
import { startReplication, startSentinel } from "../support/redis-sentinel.ts";

const TTL_MS = 8_000;
/** Much shorter than the TTL: the lock was handed over, and nobody waited for a lease to end. */
const PROMPTLY_MS = 4_000;
const keyOf = (key: string, part: string) => `${LOCK_KEY_PREFIX}{${key}}:${part}`;

const locks: Lock[] = [];
afterEach(async () => {
  await Promise.all(locks.splice(0).map((lock) => lock.close()));
});
async function open(client: Redis | Cluster, ttlMs = TTL_MS) {
  const lock = await createRedisLock(client, { ttlMs });
  locks.push(lock);
  return lock;
}

async function untilQueued(admin: Redis, key: string) {
  for (const deadline = performance.now() + 5_000; performance.now() < deadline; await sleep(2)) {
    if ((await admin.llen(keyOf(key, "queue"))) > 0) return;
  }
  assert.fail(`nobody in the queue of ${key} after 5 s`);
}

describe("in a Redis Cluster", () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await startRedisCluster({ replica: true });
  });
  after(() => cluster.stop());
  const openLock = async () => open(await cluster.connect());
  const adminOf = async (key: string) => (await cluster.nodeOf(keyOf(key, "owner"))).admin;
  /** Finds a key on the node that has a replica. */
  async function replicatedKey() {
    for (let i = 0; ; i += 1)
      if ((await cluster.nodeOf(keyOf(`replicated ${i}`, "owner"))) === cluster.nodes[2]) return `replicated ${i}`;
  }

  test("a lock is handed to its waiter wherever the key is, and nobody else gets in meanwhile", async () => {
    const [a, b, c] = [await openLock(), await openLock(), await openLock()];
    const served = new Set<TestCluster["nodes"][number]>();
    for (let i = 0; i < 12; i += 1) {
      const key = `handed ${i}`;
      served.add(await cluster.nodeOf(keyOf(key, "owner")));
      const first = await a.acquire(key);
      const waiting = b.acquire(key, { timeoutMs: PROMPTLY_MS });
      await untilQueued(await adminOf(key), key);
      await first.release();
      const second = await waiting;
      await assert.rejects(c.acquire(key, { timeoutMs: 0 }), LockTimeout, `two hold "${key}"`);
      await second.release();
    }
    assert.equal(served.size, 3);
  });

  test("a lock moves with its slot: the holder releases it, and the waiter gets it", async () => {
    const [a, b] = [await openLock(), await openLock()];
    const held = await a.acquire("moved");
    const waiting = b.acquire("moved", { timeoutMs: PROMPTLY_MS });
    await untilQueued(await adminOf("moved"), "moved");
    await cluster.move(keyOf("moved", "owner"));
    await held.extend().catch(() => {});
    await held.release();
    await (await waiting).release();
  });

  test("a refused user is named", async () => {
    const stranger = await cluster.connect("seed");
    await assert.rejects(
      createRedisLock(stranger, { ttlMs: TTL_MS }),
      (error) => error instanceof LockDenied && /does not let user "seed" subscribe/.test(error.message),
    );
  });

  test("a planned failover and a killed primary: the holder keeps the lock, and the waiter gets it", async () => {
    const [, , primary, replica] = cluster.nodes;
    const key = await replicatedKey();
    const [a, b, c] = [await openLock(), await openLock(), await openLock()];
    for (const fail of [() => replica!.admin.cluster("FAILOVER"), () => replica!.kill()]) {
      const held = await a.acquire(key, { timeoutMs: TTL_MS });
      const waiting = b.acquire(key, { timeoutMs: TTL_MS });
      await untilQueued(await adminOf(key), key);
      const [before] = [await cluster.nodeOf(keyOf(key, "owner"))];
      assert.equal(await before.admin.wait(1, 1_000), 1);
      await fail();
      for (const deadline = performance.now() + 10_000; performance.now() < deadline; await sleep(20))
        if ((await cluster.nodeOf(keyOf(key, "owner"))) !== before) break;
      assert.equal(await cluster.nodeOf(keyOf(key, "owner")), before === primary ? replica : primary);
      await held.release();
      const next = await waiting;
      assert.ok(next.fence > held.fence);
      await assert.rejects(c.acquire(key, { timeoutMs: 300 }), LockTimeout);
      await next.release();
    }
  });
});

test("Sentinel: the primary is killed, the holder keeps the lock on the new one, and the waiter gets it", async () => {
  const sentinel = await startSentinel();
  try {
    const [a, b] = [await open(sentinel.connect()), await open(sentinel.connect())];
    const held = await a.acquire("failed over");
    const waiting = b.acquire("failed over", { timeoutMs: TTL_MS });
    await untilQueued(sentinel.primary.admin, "failed over");
    await sentinel.replicated();
    await sentinel.primary.kill();
    await held.release();
    const next = await waiting;
    assert.ok(next.fence > held.fence);
    await next.release();
    assert.equal(await sentinel.replica.admin.exists(keyOf("failed over", "fence")), 1);
  } finally {
    await sentinel.stop();
  }
});

test("a waiter that is subscribed at a replica only is passed over, and is not told otherwise", async () => {
  const { primary, replica, replicated, stop } = await startReplication();
  try {
    await replica.admin.replicaof("NO", "ONE");
    const [a, b] = [await open(replica.connect(), 1_000), await open(replica.connect(), 1_000)];
    const held = await a.acquire("passed over");
    let entered = false;
    const waiting = b.acquire("passed over").then((next) => {
      entered = true;
      return next;
    });
    await untilQueued(replica.admin, "passed over");
    // The primary gets what the other server has, and the two change places, while the connections stay.
    await primary.admin.replicaof("127.0.0.1", replica.port);
    await replicated(replica);
    await primary.admin.replicaof("NO", "ONE");
    await replica.admin.replicaof("127.0.0.1", primary.port);
    await replicated();
    const owner = await primary.admin.get(keyOf("passed over", "owner"));
    const scripts = lockScripts(primary.connect());
    assert.equal(await scripts.release("passed over", owner!), 1);
    await replicated();
    assert.equal(await primary.admin.exists(keyOf("passed over", "owner")), 0);
    await sleep(50);
    assert.equal(entered, false);
    await held.release().catch(() => {});
    await replica.admin.replicaof("NO", "ONE");
    await (await waiting).release();
  } finally {
    await stop();
  }
});
