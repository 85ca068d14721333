/** The lock in Consul, against a real server. Each property, and each failure that the lock must survive. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createConsulLock, lockDelayMs } from "../../worker/locks/consul-lock.ts";
import { type Lock, LockAborted, LockDenied, LockLost, LockTimeout, LockUnreachable } from "../../worker/locks/lock.ts";
import { CONSUL_KEY_PREFIX } from "../../worker/servers/consul.ts";
import { consulIsMissing, startTestConsul, type TestConsul } from "../support/consul.ts";
import { type Contender, type LockDescription, monotonicMs, overlaps, startContender } from "./contenders.ts";

/** Longer than a busy machine delays a renewal. */
const TTL_MS = 1_500;
/** The longest time that a lost holder's lock stays taken: two TTLs and the lock-delay, and what a busy machine adds. */
const TAKEN_OVER_MS = 2 * TTL_MS + lockDelayMs(TTL_MS) + 3_000;

describe("the lock in Consul", { skip: consulIsMissing, timeout: 170_000 }, () => {
  let consul: TestConsul;
  const locks: Lock[] = [];
  const contenders: Contender[] = [];
  before(async () => {
    consul = await startTestConsul();
  });
  afterEach(async () => {
    for (const contender of contenders.splice(0)) await contender.kill();
    for (const lock of locks.splice(0)) await lock.close();
  });
  after(() => consul?.stop());

  async function open(options = {}): Promise<Lock> {
    const lock = await createConsulLock(consul.api(), { ttlMs: TTL_MS, ...options });
    locks.push(lock);
    return lock;
  }

  async function startProcess(): Promise<Contender> {
    const contender = startContender();
    contenders.push(contender);
    const { CONSUL_URL: url, CONSUL_TOKEN: token } = consul.variables;
    await contender.open({ kind: "consul", url, token, options: { ttlMs: TTL_MS } } satisfies LockDescription);
    return contender;
  }

  test("several processes: one holder at a time, and the fence grows with each", async () => {
    const processes = await Promise.all([1, 2, 3, 4].map(startProcess));
    const records = await Promise.all(processes.map((process) => process.loop("several", 5_000, 1, 1)));
    const all = records.flat().sort((a, b) => a.from - b.from);
    assert.ok(
      records.every((own) => own.length > 0),
      `each had it: ${records.map((own) => own.length)}`,
    );
    assert.deepEqual(overlaps(all), []);
    for (const [i, { fence }] of all.slice(1).entries()) assert.ok(fence > all[i]!.fence, `${fence}`);
    assert.ok(all.every(({ lost }) => !lost));
  });

  test("several waits of one client exclude each other", async () => {
    const lock = await open();
    let inside = 0;
    let most = 0;
    const once = () =>
      lock.using("one client", {}, async () => {
        inside += 1;
        most = Math.max(most, inside);
        await sleep(1);
        inside -= 1;
      });
    await Promise.all(Array.from({ length: 20 }, once));
    assert.equal(most, 1);
  });

  test("the fence grows although the key is deleted at each release", async () => {
    const lock = await open();
    let last = 0;
    for (let i = 0; i < 5; i += 1) {
      const held = await lock.acquire("deleted");
      assert.ok(held.fence > last, `${held.fence} after ${last}`);
      last = held.fence;
      await held.release();
      assert.equal((await consul.admin({ method: "GET", path: `kv/${CONSUL_KEY_PREFIX}deleted` })).status, 404);
    }
  });

  test("a hold is extended for longer than its session would live", async () => {
    const [first, second] = [await open(), await open()];
    const held = await first.acquire("extended");
    await assert.rejects(second.acquire("extended", { timeoutMs: 2.5 * TTL_MS }), LockTimeout);
    assert.equal(held.signal.aborted, false);
    await held.release();
  });

  test("a waiter is woken by the release, not by a timer", async () => {
    const [first, second] = [await open(), await open()];
    const held = await first.acquire("woken");
    const waiting = second.acquire("woken");
    await sleep(300);
    const releasedAt = performance.now();
    await held.release();
    await (await waiting).release();
    assert.ok(performance.now() - releasedAt < TTL_MS, "long before any session ends");
  });

  test("a holder that is killed: the next one enters after the session and the lock-delay, not before", async () => {
    const [victim, next] = [await startProcess(), await startProcess()];
    const { fence } = await victim.acquire("killed");
    const heldAt = monotonicMs();
    await victim.kill();
    const second = await next.acquire("killed", { timeoutMs: TAKEN_OVER_MS });
    const afterMs = second.at - heldAt;
    // The session was renewed at most a third of a TTL before the lock was acquired.
    assert.ok(afterMs > (2 / 3) * TTL_MS + lockDelayMs(TTL_MS), `after ${afterMs} ms`);
    assert.ok(second.fence > fence);
  });

  test("a holder that is stopped beyond its session is told when it continues; the next one has a higher fence", async () => {
    const [stalled, next] = [await startProcess(), await startProcess()];
    const { fence } = await stalled.acquire("stalled");
    stalled.signal("SIGSTOP");
    const second = await next.acquire("stalled", { timeoutMs: TAKEN_OVER_MS });
    stalled.signal("SIGCONT");
    const { holds, reason } = await stalled.state();
    assert.equal(holds, false);
    assert.match(reason ?? "", /^LockLost: /);
    assert.ok(second.fence > fence);
    await assert.rejects(stalled.release(), /^Error: LockLost: /);
    // The release of the late holder does not touch the lock of the next one.
    assert.deepEqual(await next.state(), { holds: true });
    await next.release();
  });

  test("a session that is destroyed: its holder is told before the lock-delay has passed", async () => {
    const [first, second] = [await open(), await open()];
    const held = await first.acquire("destroyed");
    const told = new Promise<number>((resolve) => {
      held.signal.addEventListener("abort", () => resolve(performance.now()));
    });
    const { text } = await consul.admin({ method: "GET", path: `kv/${CONSUL_KEY_PREFIX}destroyed` });
    const [{ Session }] = JSON.parse(text) as [{ Session: string }];
    await consul.admin({ method: "PUT", path: `session/destroy/${Session}` });
    const next = await second.acquire("destroyed", { timeoutMs: TAKEN_OVER_MS });
    const enteredAt = performance.now();
    assert.ok((await told) < enteredAt, "told first");
    assert.ok(held.signal.reason instanceof LockLost, `${held.signal.reason}`);
    assert.ok(next.fence > held.fence);
    await assert.rejects(held.release(), LockLost);
    await next.release();
  });

  test("a key that somebody deletes: the holder is told at its next extension", async () => {
    const lock = await open();
    const held = await lock.acquire("removed");
    await consul.admin({ method: "DELETE", path: `kv/${CONSUL_KEY_PREFIX}removed` });
    await assert.rejects(held.extend(), LockLost);
    assert.ok(held.signal.aborted);
    await assert.rejects(held.release(), LockLost);
  });

  test("waits that are aborted, or that time out, leave nothing behind", async () => {
    // Those of processes that earlier tests killed end by their TTL.
    const before = new Set((await consul.left()).sessions);
    const [first, second] = [await open(), await open()];
    const held = await first.acquire("waits");
    const abort = new AbortController();
    const aborted = second.acquire("waits", { signal: abort.signal });
    setTimeout(() => abort.abort(new Error("no more")), 50);
    await assert.rejects(aborted, LockAborted);
    await assert.rejects(second.acquire("waits", { timeoutMs: 60 }), LockTimeout);
    await assert.rejects(second.acquire("waits", { timeoutMs: 0 }), LockTimeout);
    await held.release();
    // Aborted just when it could acquire: what it acquired is released.
    for (let i = 0; i < 30; i += 1) {
      const hurry = new AbortController();
      const wait = second.acquire("waits", { signal: hurry.signal });
      await sleep(i / 5);
      hurry.abort();
      await wait.then(
        (late) => late.release(),
        (error) => assert.ok(error instanceof LockAborted, `${error}`),
      );
    }
    await (await first.acquire("waits", { timeoutMs: TTL_MS / 2 })).release();
    await first.close();
    await second.close();
    const { sessions, keys } = await consul.left();
    assert.deepEqual(
      sessions.filter((id) => !before.has(id)),
      [],
    );
    assert.deepEqual(keys, []);
  });

  test("a closed lock ends its waits", async () => {
    const [first, second] = [await open(), await open()];
    const held = await first.acquire("closed");
    const waiting = assert.rejects(second.acquire("closed"), LockAborted);
    await sleep(50);
    await second.close();
    await waiting;
    await held.release();
  });

  test("a token that may not lock is refused at once", async () => {
    const unknown = createConsulLock(consul.api(randomUUID()), { ttlMs: TTL_MS });
    await assert.rejects(unknown, (error: Error) => {
      assert.ok(error instanceof LockDenied, `${error}`);
      assert.match(
        error.message,
        /^Consul at 127\.0\.0\.1:\d+ does not let this token create a session: .*CONSUL_TOKEN/,
      );
      return true;
    });
    const policy = { Name: "sessions-only", Rules: 'session_prefix "" { policy = "write" }' };
    await consul.admin({ method: "PUT", path: "acl/policy", body: policy });
    const token = { Policies: [{ Name: policy.Name }] };
    const { text } = await consul.admin({ method: "PUT", path: "acl/token", body: token });
    const { SecretID } = JSON.parse(text) as { SecretID: string };
    const lock = await createConsulLock(consul.api(SecretID), { ttlMs: TTL_MS });
    locks.push(lock);
    const startedAt = performance.now();
    await assert.rejects(lock.acquire("denied"), LockDenied);
    assert.ok(performance.now() - startedAt < 5_000, "not at the end of the wait");
  });

  test("a server that is killed and restarted with its data: the lock is still held, and nobody else enters", async () => {
    const ttlMs = 20_000;
    const [first, second] = [await open({ ttlMs }), await open({ ttlMs })];
    const held = await first.acquire("restarted");
    let entered = false;
    const waiting = second.acquire("restarted", { timeoutMs: 60_000 }).then((next) => {
      entered = true;
      return next;
    });
    await sleep(100);
    await consul.kill();
    await assert.rejects(held.extend(), LockUnreachable);
    await consul.start();
    // The server answers some time before it has a leader that takes writes.
    for (;;) {
      const error = await held.extend().catch((error: unknown) => error);
      if (error === undefined) break;
      assert.ok(error instanceof LockUnreachable, `${error}`);
      await sleep(50);
    }
    await sleep(500);
    assert.equal(held.signal.aborted, false);
    assert.equal(entered, false);
    await held.release();
    const next = await waiting;
    assert.ok(next.fence > held.fence);
    await next.release();
  });

  test("a server that does not come back: the wait ends with the reason, the holder is told in time", async () => {
    const [first, second] = [await open(), await open()];
    const held = await first.acquire("gone");
    const waiting = second.acquire("gone", { timeoutMs: 1_000 });
    await sleep(50);
    await consul.kill();
    try {
      await assert.rejects(
        waiting,
        /^LockUnreachable: Consul at 127\.0\.0\.1:\d+ is unreachable, so it is not possible to .*ECONNREFUSED/,
      );
      await sleep(TTL_MS);
      assert.ok(held.signal.reason instanceof LockLost, `${held.signal.reason}`);
    } finally {
      await consul.start();
    }
  });
});
