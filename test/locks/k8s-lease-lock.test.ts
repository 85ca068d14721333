/** The lock in Lease objects, against a minimal API server: compare-and-set on the resourceVersion. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createLeaseLock, type LeaseApi, type LeaseObject } from "../../worker/locks/k8s-lease-lock.ts";
import { LockDenied, LockUnreachable } from "../../worker/locks/lock.ts";

interface Server extends LeaseApi {
  readonly leases: Map<string, LeaseObject>;
}

function apiServer(): Server {
  const leases = new Map<string, LeaseObject>();
  let version = 0;
  const store = ({ metadata, spec }: LeaseObject) => {
    const stored = { metadata: { ...metadata, resourceVersion: String(++version) }, spec };
    leases.set(metadata.name, stored);
    return stored;
  };
  const slowly = () => sleep(Math.random() * 3);
  return {
    leases,
    async read(name) {
      await slowly();
      return leases.get(name);
    },
    async create(lease) {
      await slowly();
      return leases.has(lease.metadata.name) ? undefined : store(lease);
    },
    async replace(lease) {
      await slowly();
      const current = leases.get(lease.metadata.name)?.metadata.resourceVersion;
      return current === undefined || current !== lease.metadata.resourceVersion ? undefined : store(lease);
    },
  };
}

const lockOn = (api: LeaseApi, identity: string, options: { ttlMs?: number; extend?: boolean } = {}) =>
  createLeaseLock(api, { identity, ttlMs: 1_000, pollMs: 3, ...options });

test("at most one holds, and each holder's fence is greater than the one before", async () => {
  const api = apiServer();
  const fences: number[] = [];
  let inside = 0;
  await Promise.all(
    ["a", "b", "c"].map(async (identity) => {
      const lock = lockOn(api, identity);
      for (let turn = 0; turn < 10; turn += 1)
        await lock.using("row", {}, async (held) => {
          inside += 1;
          assert.equal(inside, 1);
          fences.push(held.fence);
          await sleep(Math.random() * 12);
          inside -= 1;
        });
      await lock.close();
    }),
  );
  assert.deepEqual(
    fences,
    Array.from({ length: 30 }, (_, index) => index + 1),
  );
});

test("a holder that dies is found out when its record has stood still for its time, and not before", async () => {
  const api = apiServer();
  await lockOn(api, "dead", { extend: false }).acquire("row");
  const begun = performance.now();
  const held = await lockOn(api, "next").acquire("row");
  const waitedMs = performance.now() - begun;
  assert.ok(waitedMs > 1_000, `${waitedMs} ms`);
  assert.equal(held.fence, 2);
  await held.release();
});

test("a lock that is extended is kept for longer than its time", async () => {
  const api = apiServer();
  const held = await lockOn(api, "a").acquire("row");
  await assert.rejects(lockOn(api, "b").acquire("row", { timeoutMs: 1_500 }), { name: "LockTimeout" });
  assert.equal(held.signal.aborted, false);
  await held.release();
});

test("a holder whose record was taken over gets an error, from extension and from release", async () => {
  const api = apiServer();
  const held = await lockOn(api, "a", { extend: false }).acquire("row");
  const [[name, lease]] = [...api.leases] as [[string, LeaseObject]];
  await api.replace({ ...lease, spec: { ...lease.spec, holderIdentity: "thief" } });
  await assert.rejects(held.extend(), { name: "LockLost" });
  await assert.rejects(held.release(), { name: "LockLost" });
  assert.equal(api.leases.get(name)?.spec.holderIdentity, "thief", "and what is another's stays");
});

test("a holder whose last extension was never answered can still give back", async () => {
  const api = apiServer();
  const lock = lockOn(api, "a");
  const held = await lock.acquire("row");
  const before = [...api.leases.values()][0]!;
  // As after an extension whose answer was lost: the record has changed, but still belongs to this holder.
  await api.replace(before);
  await held.release();
  assert.equal([...api.leases.values()][0]?.spec.holderIdentity, "");
});

test("a server that does not answer is tried until the deadline, one that refuses is not", async () => {
  const silent = { ...apiServer(), read: () => Promise.reject(new LockUnreachable("no answer")) };
  const begun = performance.now();
  await assert.rejects(lockOn(silent, "a").acquire("row", { timeoutMs: 100 }), LockUnreachable);
  assert.ok(performance.now() - begun >= 99);
  const strict = { ...apiServer(), read: () => Promise.reject(new LockDenied("403")) };
  await assert.rejects(lockOn(strict, "a").acquire("row", { timeoutMs: 5_000 }), LockDenied);
});
