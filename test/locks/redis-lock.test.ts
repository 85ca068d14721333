import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { LOCK_KEY_PREFIX } from "../../worker/contract.ts";
import {
  type Lock,
  LockAborted,
  LockDenied,
  LockError,
  LockLost,
  LockTimeout,
  LockUnreachable,
} from "../../worker/locks/lock.ts";
import { createRedisLock, type RedisLockOptions } from "../../worker/locks/redis-lock.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { type Contender, jain, monotonicMs, overlaps, startContender } from "./contenders.ts";

let redis: TestRedis;
const locks: Lock[] = [];
/** The TTL is much longer than what counts as prompt, so that even on a busy machine the two cannot be confused. */
const TTL_MS = 6_000;
const PROMPTLY_MS = 2_000;

/** Processes are slow to start, so living ones are reused. */
const idle: Contender[] = [];
const busy: Contender[] = [];
let keys = 0;
/** A key that no other test uses. */
const newKey = () => `key ${keys++}`;
const keyOf = (key: string, part: string) => `${LOCK_KEY_PREFIX}{${key}}:${part}`;

before(async () => {
  redis = await startRedis();
  idle.push(...Array.from({ length: 4 }, startContender));
});
afterEach(async () => {
  idle.push(...busy.splice(0).filter((contender) => contender.alive()));
  await Promise.all(locks.splice(0).map((lock) => lock.close()));
});
after(async () => {
  await Promise.all(idle.map((contender) => contender.kill()));
  await redis.stop();
});

async function open(options: Partial<RedisLockOptions> = {}, connection = redis.connect()) {
  const lock = await createRedisLock(connection, { ttlMs: TTL_MS, ...options });
  locks.push(lock);
  return lock;
}

async function contender(options: Partial<RedisLockOptions> = {}) {
  const contender = idle.pop() ?? startContender();
  busy.push(contender);
  await contender.open({ kind: "redis", url: redis.url("lock"), options: { ttlMs: TTL_MS, ...options } });
  return contender;
}

/** Calls of scripts by clients; commands that a script calls are counted separately. */
async function scriptCalls() {
  const stats = await redis.admin.info("commandstats");
  return [...stats.matchAll(/cmdstat_eval(?:sha)?:calls=(\d+)/g)].reduce((sum, [, calls]) => sum + Number(calls), 0);
}

/** Waits until the queue of a key has this many entries. */
async function untilQueued(key: string, length: number) {
  for (const deadline = performance.now() + 5_000; performance.now() < deadline; await sleep(2)) {
    if ((await redis.admin.llen(keyOf(key, "queue"))) === length) return;
  }
  assert.fail(`not ${length} in the queue of ${key} after 5 s`);
}

describe("a free lock", () => {
  test("is acquired and released with one command each, and leaves only its fence", async () => {
    const lock = await open();
    await (await lock.acquire("warm")).release();
    const key = newKey();
    const before = await scriptCalls();
    for (let i = 0; i < 20; i += 1) await (await lock.acquire(key)).release();
    assert.equal((await scriptCalls()) - before, 40);
    assert.deepEqual(await redis.admin.keys(`${LOCK_KEY_PREFIX}{${key}}*`), [keyOf(key, "fence")]);
    assert.ok((await redis.admin.pttl(keyOf(key, "fence"))) > 0);
  });

  test("carries a fence that is the time in microseconds and grows with each holder", async () => {
    const lock = await open();
    const key = newKey();
    const fences: number[] = [];
    for (let i = 0; i < 20; i += 1) await lock.using(key, {}, async (held) => void fences.push(held.fence));
    for (const [i, fence] of fences.entries()) assert.ok(i === 0 || fence > fences[i - 1]!, `${fences}`);
    assert.ok(Math.abs(fences[0]! / 1_000 - Date.now()) < 60_000);
  });

  test("is released after the body has thrown, and the body's error is kept", async () => {
    const failed = Promise.withResolvers<unknown>();
    const lock = await open({ onReleaseFailed: failed.resolve });
    const key = newKey();
    const body = async () => {
      await redis.admin.del(keyOf(key, "owner"));
      throw new Error("of the body");
    };
    await assert.rejects(lock.using(key, {}, body), /of the body/);
    assert.ok((await failed.promise) instanceof LockLost);
    await (await lock.acquire(key, { timeoutMs: 0 })).release();
  });

  test("is taken again by the same loop before the answer to its release is there", async () => {
    const [a, b] = [await open(), await open()];
    const key = newKey();
    for (let i = 0; i < 10; i += 1) await a.using(key, { timeoutMs: 0 }, async () => {});
    await a.close();
    await (await b.acquire(key, { timeoutMs: 0 })).release();
  });
});

describe("a held lock", () => {
  test("is handed to waiters in the order in which they came, also within one process", async () => {
    const [a, b] = [await open(), await open()];
    const key = newKey();
    const first = await a.acquire(key);
    const order: number[] = [];
    const waits: Promise<void>[] = [];
    for (let i = 0; i < 10; i += 1) {
      waits.push([a, b][i % 2]!.using(key, {}, async () => void order.push(i)));
      await untilQueued(key, i + 1);
    }
    await first.release();
    await Promise.all(waits);
    assert.deepEqual(order, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test("goes round among the loops of one process without waiting for a lease to end", async () => {
    const lock = await open();
    const key = newKey();
    const started = performance.now();
    const loop = async () => {
      for (let i = 0; i < 10; i += 1) await lock.using(key, {}, async () => {});
    };
    await Promise.all([loop(), loop(), loop()]);
    assert.ok(performance.now() - started < TTL_MS);
  });

  test("is refused at once where the caller does not want to wait", async () => {
    const [a, b] = [await open(), await open()];
    const key = newKey();
    const held = await a.acquire(key);
    await assert.rejects(b.acquire(key, { timeoutMs: 0 }), LockTimeout);
    assert.equal(await redis.admin.exists(keyOf(key, "queue")), 0);
    await held.release();
  });

  test("is not waited for beyond the deadline, and the next in the queue gets it without delay", async () => {
    const [a, b, c] = [await open(), await open(), await open()];
    const key = newKey();
    const held = await a.acquire(key);
    const asked = performance.now();
    const late = assert.rejects(
      b.acquire(key, { timeoutMs: 500 }),
      (error) => error instanceof LockTimeout && error.message.includes(`"${key}"`),
    );
    await untilQueued(key, 1);
    const next = c.acquire(key);
    await late;
    const waited = performance.now() - asked;
    assert.ok(waited > 495 && waited < 500 + PROMPTLY_MS, `${waited}`);
    await untilQueued(key, 1);
    const released = performance.now();
    await held.release();
    await (await next).release();
    assert.ok(performance.now() - released < PROMPTLY_MS);
  });

  test("an aborted wait leaves no trace", async () => {
    const [a, b, c] = [await open(), await open(), await open()];
    const key = newKey();
    const held = await a.acquire(key);
    const abort = new AbortController();
    const waits = [1, 2, 3].map(() => b.acquire(key, { signal: abort.signal }));
    const refused = Promise.all(waits.map((wait) => assert.rejects(wait, LockAborted)));
    await untilQueued(key, 3);
    abort.abort(new Error("enough"));
    await refused;
    await untilQueued(key, 0);
    await held.release();
    assert.equal(await redis.admin.exists(keyOf(key, "owner"), keyOf(key, "queue")), 0);
    await (await c.acquire(key, { timeoutMs: 0 })).release();
    await assert.rejects(c.acquire(key, { signal: abort.signal }), /aborted by its caller: enough/);
  });

  test("a wait aborted in the very moment of its grant gives the lock to the next", async () => {
    const [a, b, c] = [await open(), await open(), await open()];
    for (let i = 0; i < 30; i += 1) {
      const key = newKey();
      const held = await a.acquire(key);
      const abort = new AbortController();
      const aborted = b.acquire(key, { signal: abort.signal }).then(
        (held) => held.release(),
        () => {},
      );
      await untilQueued(key, 1);
      const next = c.acquire(key, { timeoutMs: PROMPTLY_MS });
      await untilQueued(key, 2);
      const released = held.release();
      if (i % 2 === 0) await Promise.resolve();
      abort.abort();
      await Promise.all([released, aborted]);
      await (await next).release();
    }
  });

  test("close ends all waiting and leaves what is held", async () => {
    const [a, b] = [await open(), await open()];
    const key = newKey();
    const held = await a.acquire(key);
    const waits = [a, b].map((lock) => assert.rejects(lock.acquire(key), LockAborted));
    await untilQueued(key, 2);
    await Promise.all([a.close(), b.close()]);
    await Promise.all(waits);
    await assert.rejects(a.acquire(key), LockAborted);
    assert.equal(await redis.admin.exists(keyOf(key, "queue")), 0);
    assert.equal(await redis.admin.exists(keyOf(key, "owner")), 1);
    await held.release();
    assert.equal(await redis.admin.exists(keyOf(key, "owner")), 0);
  });
});

describe("a lease", () => {
  test("is extended for as long as the lock is held", async () => {
    const [a, b] = [await open({ ttlMs: 800 }), await open({ ttlMs: 800 })];
    const key = newKey();
    const held = await a.acquire(key);
    const next = b.acquire(key);
    await sleep(1_700);
    assert.equal(held.signal.aborted, false);
    await held.release();
    await (await next).release();
  });

  test("without extension ends the hold before another client can acquire, and says what to do", async () => {
    const [a, b] = [await open({ ttlMs: 150, extend: false }), await open({ ttlMs: 150 })];
    const key = newKey();
    const held = await a.acquire(key);
    const next = b.acquire(key).then((other) => ({ other, lostBefore: held.signal.aborted }));
    let toldAt = 0;
    held.signal.addEventListener("abort", () => {
      toldAt = performance.now();
    });
    const { other, lostBefore } = await next;
    assert.ok(lostBefore && toldAt > 0);
    assert.match(held.signal.reason.message, /held for longer than its TTL of 150 ms.*raise ttlMs, or set extend/);
    await assert.rejects(held.extend(), LockLost);
    await assert.rejects(held.release(), LockLost);
    assert.notEqual(await redis.admin.get(keyOf(key, "owner")), null);
    await other.extend();
    await other.release();
  });

  test("that ended while the process could not run its timers is known to be lost at the next look", async () => {
    const lock = await open({ ttlMs: 100 });
    const held = await lock.acquire(newKey());
    assert.equal(held.signal.aborted, false);
    for (const end = performance.now() + 120; performance.now() < end; );
    assert.equal(held.signal.aborted, true);
    await assert.rejects(held.release(), /was stalled/);
  });

  test("can be extended by hand", async () => {
    const lock = await open({ ttlMs: 1_000, extend: false });
    const held = await lock.acquire(newKey());
    for (let i = 0; i < 4; i += 1) {
      await sleep(300);
      await held.extend();
    }
    assert.equal(held.signal.aborted, false);
    await held.release();
    await held.release();
    await assert.rejects(held.extend(), LockLost);
  });
});

describe("among processes", () => {
  test("one holds at a time, all hold equally often, and each acquisition costs two commands", async () => {
    const processes = await Promise.all(Array.from({ length: 4 }, () => contender()));
    const key = newKey();
    const before = await scriptCalls();
    const loops = await Promise.all(
      processes.flatMap((each) => [each.loop(key, 1_500, 0.5, 7), each.loop(key, 1_500, 0, 7)]),
    );
    const calls = (await scriptCalls()) - before;
    const records = loops.flat();
    assert.ok(records.length > 50, `${records.length}`);
    assert.deepEqual(overlaps(records), []);
    const fences = records.toSorted((a, b) => a.from - b.from).map((record) => record.fence);
    assert.deepEqual(
      fences,
      fences.toSorted((a, b) => a - b),
    );
    assert.equal(new Set(fences).size, fences.length);
    assert.ok(jain(loops.map((loop) => loop.length)) > 0.9);
    assert.ok(calls / records.length <= 2.01, `${calls / records.length} commands`);
  });

  test("the lock of a killed holder goes to the first waiter as its lease ends", async () => {
    const [holder, waiter] = [await contender({ ttlMs: 500 }), await open()];
    const key = newKey();
    await holder.acquire(key);
    const next = waiter.acquire(key);
    await untilQueued(key, 1);
    const left = await redis.admin.pttl(keyOf(key, "owner"));
    const asked = performance.now();
    await holder.kill();
    await (await next).release();
    const waited = performance.now() - asked;
    assert.ok(waited > left - 350 && waited < left + PROMPTLY_MS, `${waited} of ${left}`);
  });

  test("a killed waiter is passed over", async () => {
    const [a, dead, c] = [await open(), await contender(), await open()];
    const key = newKey();
    const held = await a.acquire(key);
    dead.acquire(key).catch(() => {});
    await untilQueued(key, 1);
    const next = c.acquire(key);
    await untilQueued(key, 2);
    await dead.kill();
    const released = performance.now();
    await held.release();
    await (await next).release();
    assert.ok(performance.now() - released < PROMPTLY_MS);
  });

  test("a stopped waiter delays the others by its lease and does not believe in its old grant", async () => {
    const [a, stopped, c] = [await open(), await contender({ ttlMs: 400 }), await open()];
    const key = newKey();
    const held = await a.acquire(key);
    const late = stopped.acquire(key);
    await untilQueued(key, 1);
    const next = c.acquire(key);
    await untilQueued(key, 2);
    stopped.signal("SIGSTOP");
    await held.release();
    const other = await next;
    stopped.signal("SIGCONT");
    await untilQueued(key, 1);
    assert.deepEqual(await stopped.state(), { holds: false });
    await other.release();
    const releasedAt = monotonicMs();
    assert.ok((await late).at > releasedAt - 100);
    await stopped.release();
  });

  test("a holder stopped for longer than its lease notices when it wakes, and cannot harm its successor", async () => {
    const [stopped, next] = [await contender({ ttlMs: 400 }), await open()];
    const key = newKey();
    const { fence } = await stopped.acquire(key);
    stopped.signal("SIGSTOP");
    const held = await next.acquire(key);
    assert.ok(held.fence > fence);
    stopped.signal("SIGCONT");
    const state = await stopped.state();
    assert.equal(state.holds, false);
    assert.match(state.reason!, /^LockLost: .*was stalled/);
    await assert.rejects(stopped.extend(), /^Error: LockLost/);
    await assert.rejects(stopped.release(), /^Error: LockLost/);
    await held.extend();
    await held.release();
  });
});

describe("when Redis fails", () => {
  test("a waiter whose connection is cut asks again as soon as it is back", async () => {
    const connection = redis.connect();
    const [a, b] = [await open(), await open({}, connection)];
    const key = newKey();
    const held = await a.acquire(key);
    const next = b.acquire(key);
    await untilQueued(key, 1);
    await cut(connection);
    await held.release();
    const released = performance.now();
    await (await next).release();
    assert.ok(performance.now() - released < PROMPTLY_MS);
  });

  test("a holder whose connection is cut keeps the lock and gives it back", async () => {
    const connection = redis.connect();
    const [a, b] = [await open({ ttlMs: 1_200 }, connection), await open()];
    const key = newKey();
    const held = await a.acquire(key);
    for (let i = 0; i < 6; i += 1) {
      await cut(connection);
      await sleep(250);
    }
    assert.equal(held.signal.aborted, false);
    await cut(connection);
    await held.release();
    await (await b.acquire(key, { timeoutMs: 0 })).release();
  });

  test("lost data: the holder learns at its next extension, waiters get in, and the fence does not go back", async () => {
    const [a, b] = [await open({ ttlMs: 600 }), await open({ ttlMs: 600 })];
    const key = newKey();
    const held = await a.acquire(key);
    const next = b.acquire(key);
    await untilQueued(key, 1);
    const flushed = performance.now();
    await redis.admin.flushall();
    const other = await next;
    assert.ok(performance.now() - flushed < 600 + PROMPTLY_MS);
    assert.ok(other.fence > held.fence);
    assert.equal(held.signal.aborted, true);
    assert.match(held.signal.reason.message, /lost its data/);
    await assert.rejects(held.release(), LockLost);
    assert.equal((await redis.admin.get(keyOf(key, "owner")))?.includes(":"), true);
    await other.release();
  });

  test("a restarted server: waiters and new callers continue, the holder gets an error", async () => {
    const [a, b] = [await open({ ttlMs: 600 }), await open({ ttlMs: 600 })];
    const key = newKey();
    const held = await a.acquire(key);
    const next = b.acquire(key);
    await untilQueued(key, 1);
    await redis.kill();
    await redis.start();
    const other = await next;
    assert.ok(other.fence > held.fence);
    await assert.rejects(held.extend(), LockError);
    await other.release();
  });

  test("a stalled server: the holder gets an error in time, waits end, and everything continues afterwards", async () => {
    const patience = { socketTimeout: 400 };
    const [a, b] = [await open({ ttlMs: 500 }, redis.connect(patience)), await open({}, redis.connect(patience))];
    const key = newKey();
    const held = await a.acquire(key);
    const next = b.acquire(key, { timeoutMs: TTL_MS });
    await untilQueued(key, 1);
    process.kill(redis.pid, "SIGSTOP");
    try {
      await assert.rejects(b.acquire(newKey(), { timeoutMs: 600 }), LockUnreachable);
      assert.match(held.signal.reason?.message, /before it was extended/);
      await assert.rejects(held.release(), LockLost);
    } finally {
      process.kill(redis.pid, "SIGCONT");
    }
    await (await next).release();
    await (await a.acquire(key, { timeoutMs: TTL_MS })).release();
  });

  test("an unreachable server is named, with the reason, when the deadline has passed", async () => {
    const lock = await open();
    const held = await lock.acquire(newKey());
    await redis.kill();
    const address = `127.0.0.1:${redis.port}`;
    const named = (error: unknown) =>
      error instanceof LockUnreachable && error.message.includes(address) && error.message.includes("ECONNREFUSED");
    await sleep(50);
    await assert.rejects(lock.acquire(newKey(), { timeoutMs: 300 }), named);
    await assert.rejects(lock.acquire(newKey(), { timeoutMs: 0 }), named);
    await assert.rejects(createRedisLock(redis.connect(), { ttlMs: 500, timeoutMs: 300 }), named);
    const extended = held.extend();
    await assert.rejects(extended, LockUnreachable);
    await redis.start();
    await (await lock.acquire(newKey(), { timeoutMs: 3_000 })).release();
    await held.release().catch(() => {});
  });
});

describe("a refused user", () => {
  test("fails at once: no channel, no script, wrong password", async () => {
    await redis.admin.acl("SETUSER", "nochannel", "on", ">nochannel", "~*", "+@all", "resetchannels");
    await redis.admin.acl("SETUSER", "nokey", "on", ">nokey", "~other:*", "&*", "+@all");
    await redis.admin.acl("SETUSER", "nocommand", "on", ">nocommand", "~*", "&*", "+@all", "-rpush");
    const started = performance.now();
    const ttlMs = 500;
    await assert.rejects(createRedisLock(redis.connect({ username: "nochannel" }), { ttlMs }), LockDenied);
    await assert.rejects(createRedisLock(redis.connect({ password: "wrong" }), { ttlMs }), LockDenied);
    const noKey = await open({}, redis.connect({ username: "nokey" }));
    await assert.rejects(noKey.acquire(newKey()), LockDenied);
    const key = newKey();
    const held = await (await open()).acquire(key);
    const noCommand = await open({}, redis.connect({ username: "nocommand" }));
    await assert.rejects(
      noCommand.acquire(key),
      (error) => error instanceof LockDenied && /"nocommand".*acquire lock/.test(error.message),
    );
    await held.release();
    assert.ok(performance.now() - started < TTL_MS);
  });

  test("cannot be waiting for long: rights taken away end the wait", async () => {
    await redis.admin.acl("SETUSER", "demoted", "on", ">demoted", "~*", "&*", "+@all");
    const [a, b] = [await open({ ttlMs: 300 }), await open({ ttlMs: 300 }, redis.connect({ username: "demoted" }))];
    const key = newKey();
    const held = await a.acquire(key);
    const wait = assert.rejects(b.acquire(key), LockDenied);
    await untilQueued(key, 1);
    await redis.admin.acl("SETUSER", "demoted", "-@all");
    await wait;
    await held.release();
  });
});

test("options that cannot work are refused by name", async () => {
  await assert.rejects(createRedisLock(redis.connect(), { ttlMs: 0 }), /ttlMs must be from 20/);
  await assert.rejects(createRedisLock(redis.connect(), { ttlMs: Number.NaN }), /ttlMs/);
  await assert.rejects(createRedisLock(redis.connect(), { ttlMs: 100, timeoutMs: -1 }), /timeoutMs/);
  await assert.rejects(createRedisLock(redis.connect({ protocol: 2 }), { ttlMs: 100 }), /protocol: 3/);
  const lock = await open();
  await assert.rejects(lock.acquire(""), /must not be empty/);
  await assert.rejects(lock.acquire(newKey(), { timeoutMs: Number.POSITIVE_INFINITY }), /timeoutMs/);
});

/** Cuts a connection from the server's side as soon as it exists. */
async function cut(connection: Redis) {
  for (const deadline = performance.now() + 5_000; performance.now() < deadline; await sleep(5)) {
    if (connection.status !== "ready") continue;
    const list = String(await redis.admin.client("LIST"));
    const { localPort } = connection.stream as { localPort?: number };
    const id = list
      .split("\n")
      .find((line) => line.includes(`addr=127.0.0.1:${localPort} `))
      ?.match(/^id=(\d+)/)?.[1];
    if (id === undefined) continue;
    await redis.admin.client("KILL", "ID", id);
    return;
  }
  assert.fail("not connected for 5 s");
}
