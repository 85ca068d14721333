import assert from "node:assert/strict";
import { once } from "node:events";
import { after, afterEach, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { LOCK_KEY_PREFIX } from "../../worker/contract.ts";
import { type Lock, LockAborted, LockDenied, LockLost, LockTimeout, LockUnreachable } from "../../worker/locks/lock.ts";
import { createRedlock, type RedlockOptions } from "../../worker/locks/redlock.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { overlaps, startContender } from "./contenders.ts";

let servers: TestRedis[];
const locks: Lock[] = [];
let keys = 0;
const newKey = () => `redlock ${keys++}`;

before(async () => {
  servers = await Promise.all([1, 2, 3].map(() => startRedis()));
});
afterEach(async () => {
  await Promise.all(locks.splice(0).map((lock) => lock.close()));
});
after(async () => {
  await Promise.all(servers.map((server) => server.stop()));
});

/** Generous for servers on a busy machine, except in tests of slow ones. */
async function open(options: Partial<RedlockOptions> = {}, user = "lock") {
  const connections = servers.map((server) => server.connect({ username: user }));
  const lock = await createRedlock(connections, { ttlMs: 6_000, serverTimeoutMs: 1_000, ...options });
  locks.push(lock);
  // A majority is enough for the lock, but the tests need all running servers.
  const ready = connections.map((connection) => connection.status === "ready" || once(connection, "ready"));
  await Promise.race([Promise.allSettled(ready), sleep(500)]);
  return lock;
}

const owners = (key: string) => Promise.all(servers.map(({ admin }) => admin.get(LOCK_KEY_PREFIX + key)));

/** The caller gets its answer at once; requests that are still on their way reach the servers a little later. */
async function untilOwners(key: string, expected: (string | null)[]) {
  for (const end = performance.now() + 2_000; performance.now() < end; await sleep(5)) {
    if (isDeepStrictEqual(await owners(key), expected)) return;
  }
  assert.deepEqual(await owners(key), expected);
}

const set = (at: number, key: string, value: string) => servers[at]!.admin.set(LOCK_KEY_PREFIX + key, value);
const forget = (at: number, key: string) => servers[at]!.admin.del(LOCK_KEY_PREFIX + key);
const address = (at: number) => `127.0.0.1:${servers[at]!.port}`;

/** Makes the server stop answering writes for a while. */
const pause = (at: number, ms: number) => servers[at]!.admin.client("PAUSE", ms, "WRITE");

async function withDown(down: readonly number[], body: () => Promise<void>) {
  for (const at of down) await servers[at]!.kill();
  try {
    await body();
  } finally {
    for (const at of down) await servers[at]!.start();
    for (const at of down) await servers[at]!.admin.ping().catch(() => {});
  }
}

test("one holds at a time among processes", async () => {
  const processes = [startContender(), startContender()];
  try {
    const urls = servers.map((server) => server.url("lock"));
    const options = { ttlMs: 6_000, serverTimeoutMs: 1_000, retryMs: 4 };
    await Promise.all(processes.map((each) => each.open({ kind: "redlock", urls, options })));
    const key = newKey();
    const loops = await Promise.all(
      processes.flatMap((each) => [each.loop(key, 600, 1, 6), each.loop(key, 600, 0, 6)]),
    );
    assert.ok(loops.flat().length > 20, `${loops.flat().length}`);
    assert.deepEqual(overlaps(loops.flat()), []);

    // The lock of a process that dies ends with its TTL on the servers.
    const [dead] = processes;
    await dead!.open({ kind: "redlock", urls, options: { ...options, ttlMs: 500 } });
    await dead!.acquire(key);
    await dead!.kill();
    await (await (await open()).acquire(key, { timeoutMs: 4_000 })).release();
  } finally {
    for (const each of processes) await each.kill();
  }
});

test("the same random value is on all servers, and on none after the release", async () => {
  const lock = await open();
  const key = newKey();
  const held = await lock.acquire(key);
  const values = await owners(key);
  assert.equal(new Set(values).size, 1);
  assert.match(values[0]!, /^[0-9a-f-]{36}$/);
  await held.release();
  await untilOwners(key, [null, null, null]);
});

test("works with one of three servers down, and gives back", async () => {
  await withDown([1], async () => {
    const [a, b] = [await open(), await open()];
    const key = newKey();
    const held = await a.acquire(key);
    await assert.rejects(b.acquire(key, { timeoutMs: 100 }), LockTimeout);
    await held.extend();
    await held.release();
    await (await b.acquire(key)).release();
  });
});

test("with two of three down: no lock, the servers named, and no vote left on the third", async () => {
  const lock = await open();
  const key = newKey();
  const held = await lock.acquire(newKey());
  await withDown([0, 2], async () => {
    const named = (error: unknown) =>
      error instanceof LockUnreachable &&
      [0, 2].every((at) => error.message.includes(address(at))) &&
      !error.message.includes(address(1)) &&
      /ECONNREFUSED|connection was lost/.test(error.message);
    await sleep(50);
    await assert.rejects(lock.acquire(key, { timeoutMs: 300 }), named);
    assert.equal(await servers[1]!.admin.get(LOCK_KEY_PREFIX + key), null);
    await assert.rejects(held.extend(), named);
    const asked = performance.now();
    await assert.rejects(held.release(), named);
    assert.ok(performance.now() - asked < 1_500);
    await assert.rejects(open({ timeoutMs: 300 }), /no majority of the 3 Redis servers could be reached/);
  });
});

test("a minority of votes is released before the next attempt", async () => {
  const lock = await open();
  const key = newKey();
  await set(0, key, "another");
  await set(1, key, "a third");
  await assert.rejects(lock.acquire(key, { timeoutMs: 200 }), LockTimeout);
  await untilOwners(key, ["another", "a third", null]);
  const next = lock.acquire(key, { timeoutMs: 3_000 });
  await sleep(50);
  await forget(1, key);
  await (await next).release();
  await untilOwners(key, ["another", null, null]);
});

test("contenders that split the votes do not block each other until the TTL", async () => {
  const contenders = await Promise.all([1, 2, 3].map(() => open({ ttlMs: 30_000 })));
  const key = newKey();
  const started = performance.now();
  for (let round = 0; round < 5; round += 1) {
    await Promise.all(contenders.map((lock) => lock.using(key, { timeoutMs: 20_000 }, async () => {})));
  }
  assert.ok(performance.now() - started < 15_000);
});

test("votes that came too late for the lease are no lock", async () => {
  const lock = await open({ ttlMs: 150, serverTimeoutMs: 2_000 });
  const key = newKey();
  for (const at of [0, 1, 2]) await pause(at, 300);
  const asked = performance.now();
  const held = await lock.acquire(key);
  assert.equal(held.signal.aborted, false);
  assert.ok(performance.now() - asked > 290);
  await held.release().catch(() => {});
});

test("servers that answer late keep nothing of a lock that was not given", async () => {
  const lock = await open({ serverTimeoutMs: 30 });
  const key = newKey();
  for (const at of [1, 2]) await pause(at, 400);
  await assert.rejects(lock.acquire(key, { timeoutMs: 200 }), /no answer within 30 ms/);
  // The servers carry out what they were sent once the pause is over.
  await sleep(500);
  await untilOwners(key, [null, null, null]);
});

test("is extended by a majority for as long as it is held, and lost with the majority", async () => {
  const lock = await open({ ttlMs: 900 });
  const key = newKey();
  const held = await lock.acquire(key);
  await forget(0, key);
  await sleep(1_500);
  assert.equal(held.signal.aborted, false);
  await set(1, key, "another");
  await sleep(500);
  assert.equal(held.signal.aborted, true);
  await assert.rejects(held.release(), LockLost);
  assert.equal((await owners(key))[1], "another");
});

test("without extension the holder gets an error before the servers drop its lock", async () => {
  const [a, b] = [await open({ ttlMs: 200, extend: false }), await open()];
  const key = newKey();
  const held = await a.acquire(key);
  const other = await b.acquire(key);
  assert.equal(held.signal.aborted, true);
  await assert.rejects(held.release(), LockLost);
  assert.equal(new Set(await owners(key)).size, 1);
  await other.extend();
  await other.release();
});

test("waits end by signal and close, and leave no vote behind", async () => {
  const [a, b] = [await open(), await open()];
  const key = newKey();
  const held = await a.acquire(key);
  await assert.rejects(b.acquire(key, { signal: AbortSignal.timeout(30) }), LockAborted);
  const waiting = assert.rejects(b.acquire(key), LockAborted);
  await sleep(30);
  await b.close();
  await waiting;
  await held.release();
  await untilOwners(key, [null, null, null]);
});

test("a user that a majority refuses gets an error at once", async () => {
  for (const { admin } of servers.slice(0, 2)) {
    await admin.acl("SETUSER", "half", "on", ">half", "~other:*", "+@all");
  }
  await servers[2]!.admin.acl("SETUSER", "half", "on", ">half", "~*", "+@all");
  const lock = await open({}, "half");
  const asked = performance.now();
  await assert.rejects(
    lock.acquire(newKey()),
    (error) => error instanceof LockDenied && error.message.includes(address(0)),
  );
  await assert.rejects(open({}, "nobody"), LockDenied);
  assert.ok(performance.now() - asked < 3_000);
});
