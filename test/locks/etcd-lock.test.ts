import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type EtcdApi, etcdApi } from "../../worker/locks/etcd-api.ts";
import { createEtcdLock, type EtcdLockOptions } from "../../worker/locks/etcd-lock.ts";
import {
  type Held,
  type Lock,
  LockAborted,
  LockDenied,
  LockLost,
  LockTimeout,
  LockUnreachable,
} from "../../worker/locks/lock.ts";
import { type EtcdVariables, etcdAccess, openEtcd } from "../../worker/servers/etcd.ts";
import { etcdMissing, startEtcd, type TestEtcd } from "../support/etcd.ts";
import { eventually } from "../support/leftovers.ts";
import { type Contender, monotonicMs, overlaps, startContender } from "./contenders.ts";

/** Much longer than what counts as prompt, so that even on a busy machine the two cannot be confused. */
const TTL_MS = 6_000;
const PROMPTLY_MS = 2_000;
const SHORT_TTL_MS = 1_000;
/** A server looks for leases that have ended twice a second. */
const LATE_MS = 500;

describe("the lock in etcd", { skip: await etcdMissing() }, () => {
  let etcd: TestEtcd;
  let keys = 0;
  const opened: { lock: Lock; api: EtcdApi }[] = [];
  const contenders: Contender[] = [];
  const newKey = () => `key ${keys++}`;

  before(async () => {
    etcd = await startEtcd();
  });
  afterEach(async () => {
    await Promise.all(contenders.splice(0).map((contender) => contender.kill()));
    for (const { lock, api } of opened.splice(0)) {
      await lock.close();
      api.close();
    }
  });
  after(() => etcd.stop());

  /** `change` makes another API of it, to count requests or to plant a bug. */
  async function open(
    options: Partial<EtcdLockOptions> = {},
    variables: Partial<EtcdVariables> = {},
    change: (api: EtcdApi) => EtcdApi = (api) => api,
  ) {
    const access = etcdAccess({ ...etcd.variables, ...variables });
    const api = change(etcdApi(openEtcd(access, access.login)));
    const lock = await createEtcdLock(api, { ttlMs: TTL_MS, ...options }).catch((error) => {
      api.close();
      throw error;
    });
    opened.push({ lock, api });
    return lock;
  }

  async function contender(options: Partial<EtcdLockOptions> = {}) {
    const contender = startContender();
    contenders.push(contender);
    const { variables } = etcd;
    await contender.open({ kind: "etcd", variables, options: { ttlMs: SHORT_TTL_MS, ...options } });
    return contender;
  }

  const untilPlaces = async (key: string, count: number) => {
    const left = await eventually(
      5_000,
      () => etcd.places(key),
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

  test("a free lock is acquired and released without leaving a key, and its token grows", async () => {
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

  test("the token is the revision that created the holder's key", async () => {
    const held = await (await open()).acquire("token");
    const [key = ""] = await etcd.places("token");
    const found = await etcd.admin.ask("kv/range", { key: Buffer.from(key).toString("base64") });
    assert.equal(held.fence, Number((found as { kvs: { create_revision: string }[] }).kvs[0]?.create_revision));
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

  test("waiters get it in the order in which they came", async () => {
    const [a, b] = [await open(), await open()];
    const key = newKey();
    const first = await a.acquire(key);
    const order: number[] = [];
    const waits: Promise<void>[] = [];
    for (let i = 0; i < 10; i += 1) {
      waits.push([a, b][i % 2]!.using(key, {}, async () => void order.push(i)));
      await untilPlaces(key, i + 2);
    }
    await first.release();
    await Promise.all(waits);
    assert.deepEqual(
      order,
      Array.from({ length: 10 }, (_, i) => i),
    );
  });

  /** Lets this many waiters have the lock one after the other. Returns how often one of them looked whether it is first. */
  async function looksOf(waiters: number, change: (api: EtcdApi) => EtcdApi) {
    let looks = 0;
    const key = newKey();
    const holder = await open({ ttlMs: 60_000 });
    const lock = await open({ ttlMs: 60_000 }, {}, (api) => {
      const changed = change(api);
      return {
        ...changed,
        look(...values) {
          looks += 1;
          return changed.look(...values);
        },
      };
    });
    const held = await holder.acquire(key, { timeoutMs: 60_000 });
    const before = looks;
    const waits: Promise<void>[] = [];
    for (let i = 0; i < waiters; i += 1) {
      waits.push(lock.using(key, { timeoutMs: 60_000 }, async () => {}));
      await untilPlaces(key, i + 2);
    }
    // One that looks too often has been woken by then.
    await held.release();
    await Promise.all(waits);
    return looks - before;
  }

  const WAITERS = 12;

  test("a release wakes one waiter, which looks once", async () => {
    assert.equal(await looksOf(WAITERS, (api) => api), WAITERS);
  });

  test("the count of looks shows a herd: waiters that watch the holder's key and not the one before their own", async () => {
    const herd = (api: EtcdApi): EtcdApi => ({
      ...api,
      async deleted(key, seenAt, signal) {
        const lock = decodeURIComponent(key.split("/")[2] ?? "");
        const queue = await etcd.places(lock);
        if (queue.includes(key)) await api.deleted(queue[0]!, seenAt, signal);
      },
    });
    const looks = await looksOf(WAITERS, herd);
    assert.ok(looks > WAITERS * 2, `${looks}`);
  });

  test("a wait that is refused, late or aborted leaves no key, and the next one gets the lock", async () => {
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

  test("close ends all waiting and deletes the keys", async () => {
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

  test("a holder is told when its key is gone, and does not delete the next holder's", async () => {
    const [a, b] = [await open({ ttlMs: SHORT_TTL_MS }), await open()];
    const key = newKey();
    const held = await a.acquire(key);
    await etcd.delete((await etcd.places(key))[0]!);
    const next = await b.acquire(key);
    assert.ok(await isAborted(held));
    await assert.rejects(held.release(), LockLost);
    assert.equal((await etcd.places(key)).length, 1);
    await next.release();
  });

  test("a holder that is killed loses it after its TTL", async () => {
    const key = newKey();
    const [holder, waiter] = [await contender(), await contender()];
    const first = await holder.acquire(key);
    const waiting = waiter.acquire(key);
    await untilPlaces(key, 2);
    const killedAt = monotonicMs();
    await holder.kill();
    const second = await waiting;
    assert.ok(second.fence > first.fence);
    assert.ok(second.at - first.at > SHORT_TTL_MS, "given away too early");
    assert.ok(second.at - killedAt < SHORT_TTL_MS + LATE_MS + PROMPTLY_MS);
    await waiter.release();
  });

  test("a holder that is stopped beyond its TTL is told so when it goes on, and does not keep a core busy", async () => {
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
    const before = cpuSecondsOf(holder.pid);
    await sleep(2_000);
    assert.ok(cpuSecondsOf(holder.pid) - before < 0.5, "keeps a core busy");
    // A new lease serves the same lock.
    await holder.acquire(key);
    await holder.release();
  });

  test("a wrong password is refused at once", async () => {
    const started = performance.now();
    await assert.rejects(
      open({}, { ETCD_PASSWORD: "wrong" }),
      (error) =>
        error instanceof LockDenied &&
        /user "holdfast" .*authentication failed.*; correct the user/.test(error.message),
    );
    assert.ok(performance.now() - started < PROMPTLY_MS);
  });

  test("a user without the role is refused with the fix, and so is a client without a login", async () => {
    await etcd.admin.ask("auth/user/add", { name: "stranger", password: "stranger" });
    const ETCD_URL = etcd.variables.ETCD_URL.replace("holdfast", "stranger");
    await assert.rejects(
      open({}, { ETCD_URL, ETCD_PASSWORD: "stranger" }),
      (error) => error instanceof LockDenied && /permission denied; give the user the role/.test(error.message),
    );
    await assert.rejects(
      open(
        {},
        {
          ETCD_URL: etcd.variables.ETCD_URL.replace("holdfast@", ""),
          ETCD_PASSWORD: undefined,
          ETCD_ADMIN_PASSWORD: undefined,
        },
      ),
      (error) => error instanceof LockDenied && /user name is empty; name a user/.test(error.message),
    );
  });

  test("a login that the server has forgotten is made again, while waiting and while holding", async () => {
    const ttlMs = 3_000;
    const [a, b] = [await open({ ttlMs }), await open({ ttlMs })];
    const key = newKey();
    const held = await a.acquire(key);
    const next = b.acquire(key);
    await untilPlaces(key, 2);
    // A new password ends the logins of its user.
    await etcd.admin.ask("auth/user/changepw", { name: "holdfast", password: "worker" });
    await sleep(ttlMs * 1.2);
    assert.equal(held.signal.aborted, false, `${held.signal.reason}`);
    await held.extend();
    await etcd.admin.ask("auth/user/changepw", { name: "holdfast", password: "worker" });
    await held.release();
    await (await next).release();
    await untilPlaces(key, 0);
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
    await etcd.kill();
    await etcd.start();
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
    await etcd.kill();
    try {
      await assert.rejects(
        lock.acquire(newKey(), { timeoutMs: 300 }),
        (error) => error instanceof LockUnreachable && /etcd at 127.0.0.1:\d+ is unreachable/.test(error.message),
      );
      assert.ok(await isAborted(held));
      assert.ok(performance.now() - acquired < SHORT_TTL_MS + PROMPTLY_MS);
      assert.match(held.signal.reason.message, /ended before it was extended/);
    } finally {
      await etcd.start();
    }
    const later = await lock.acquire(newKey());
    await later.release();
  });
});

/** That a process has used so far. Linux only. */
function cpuSecondsOf(pid: number): number {
  const [user = 0, system = 0] = readFileSync(`/proc/${pid}/stat`, "utf8")
    .split(") ")[1]!
    .split(" ")
    .slice(11, 13)
    .map(Number);
  return (user + system) / 100;
}
