/** Bugs planted into the session under the lock in ZooKeeper: the same events must show each of them, and nothing else. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Held, type Lock, LockTimeout } from "../../worker/locks/lock.ts";
import { createZooKeeperLock } from "../../worker/locks/zookeeper-lock.ts";
import {
  type ZooKeeperClient,
  type ZooKeeperSession,
  zooKeeperClient,
} from "../../worker/servers/zookeeper-session.ts";
import type { Stat } from "../../worker/servers/zookeeper-wire.ts";
import { eventually } from "../support/leftovers.ts";
import { startZooKeeper, type TestZooKeeper, zooKeeperMissing } from "../support/zookeeper.ts";

const TTL_MS = 1_000;
const WAITERS = 6;

type Change = (session: ZooKeeperSession) => Partial<ZooKeeperSession>;
type Violation = "two holders" | "a loss that nobody noticed" | "a token that did not grow" | "a herd";

const parentOf = (path: string) => path.slice(0, path.lastIndexOf("/"));
const firstOf = async (session: ZooKeeperSession, path: string) => {
  const { value: names } = await session.children(parentOf(path));
  return `${parentOf(path)}/${names.sort((a, b) => Number(a.slice(-10)) - Number(b.slice(-10)))[0]}`;
};

const planted: readonly (readonly [bug: string, change: Change, found: readonly Violation[]])[] = [
  ["nothing", () => ({}), []],
  [
    "a release of whatever node is first",
    (session) => ({ delete: async (path) => session.delete(await firstOf(session, path)) }),
    ["two holders"],
  ],
  [
    "a session that is lost without notice",
    (session) => {
      const created = new Map<string, Stat>();
      return {
        ended: undefined,
        connected: () => (session.ended === undefined ? session.connected() : new Promise<void>(() => {})),
        async create(...args) {
          const answer = await session.create(...args);
          created.set(answer.value.path, answer.value.stat);
          return answer;
        },
        exists: async (path) => ({ value: created.get(path), sentAt: performance.now() }),
      };
    },
    ["a loss that nobody noticed"],
  ],
  [
    "a token that is the same for all",
    (session) => ({
      async create(...args) {
        const { value, sentAt } = await session.create(...args);
        return { value: { ...value, stat: { ...value.stat, czxid: 7n } }, sentAt };
      },
      async exists(path) {
        const { value, sentAt } = await session.exists(path);
        return { value: value && { ...value, czxid: 7n }, sentAt };
      },
    }),
    ["a token that did not grow"],
  ],
  [
    "all waiters watch the holder",
    (session) => ({
      async watch(before) {
        const first = await firstOf(session, before);
        return first.slice(-10) > before.slice(-10) ? undefined : session.watch(first);
      },
    }),
    ["a herd"],
  ],
];

describe("planted into the lock in ZooKeeper", { skip: await zooKeeperMissing() }, () => {
  let zookeeper: TestZooKeeper;
  before(async () => {
    zookeeper = await startZooKeeper();
  });
  after(() => zookeeper.stop());

  for (const [i, [bug, change, found]] of planted.entries())
    test(`${bug}: ${found.join() || "no violation"}`, async () => {
      assert.deepEqual(await violationsOf(zookeeper, change, `planted ${i}`), found);
    });
});

// --- Internal helpers -----------------------------------------------------------------------------------------------

async function violationsOf(zookeeper: TestZooKeeper, change: Change, key: string): Promise<Violation[]> {
  const honest = zooKeeperClient(zookeeper.variables);
  const sessions: ZooKeeperSession[] = [];
  const client: ZooKeeperClient = {
    ...honest,
    open(options) {
      const session = honest.open(options);
      sessions.push(session);
      const changed = change(session);
      return new Proxy(session, { get: (target, name) => Reflect.get(name in changed ? changed : target, name) });
    },
  };
  const open = (extend: boolean) => createZooKeeperLock(client, { ttlMs: TTL_MS, extend, onReleaseFailed: () => {} });
  const [a, b, c] = [await open(false), await open(true), await open(true)];
  const queued: Lock[] = [];
  const violations = new Set<Violation>();
  try {
    const fences: number[] = [];
    const enter = ({ fence }: Held) => void fences.push(fence);

    // A holder overruns its TTL and releases late.
    const late = await a.acquire(key);
    enter(late);
    const next = await b.acquire(key);
    enter(next);
    if (!late.signal.aborted) violations.add("a loss that nobody noticed");
    await late.release().catch(() => {});
    const third = await c.acquire(key, { timeoutMs: TTL_MS / 2 }).catch((error) => {
      assert.ok(error instanceof LockTimeout, String(error));
      return undefined;
    });
    if (third !== undefined && !next.signal.aborted) violations.add("two holders");
    await third?.release().catch(() => {});
    await next.release().catch(() => {});

    // The session of a holder ends on the server.
    const lost = await c.acquire(`${key} lost`);
    await sessions[2]!.request("closeSession", [], () => undefined).catch(() => {});
    const told = await eventually(
      2 * TTL_MS,
      async () => lost.signal.aborted,
      (aborted) => aborted,
    );
    if (!told) violations.add("a loss that nobody noticed");
    await lost.release().catch(() => {});

    // Waiters queue, and get the lock one after the other.
    const first = await b.acquire(`${key} queue`);
    enter(first);
    const waits: Promise<void>[] = [];
    for (let i = 0; i < WAITERS; i += 1) {
      const lock = await open(true);
      queued.push(lock);
      waits.push(lock.using(`${key} queue`, {}, async (held) => enter(held)));
      await eventually(
        2_000,
        () => zookeeper.places(`${key} queue`),
        (names) => names.length === i + 2,
      );
    }
    await sleep(50);
    const before = await zookeeper.metric("zk_sum_node_deleted_watch_count");
    await first.release();
    await sleep(50);
    await Promise.all(waits);
    if ((await zookeeper.metric("zk_sum_node_deleted_watch_count")) - before > WAITERS) violations.add("a herd");
    if (fences.some((fence, i) => i > 0 && fence <= fences[i - 1]!)) violations.add("a token that did not grow");
  } finally {
    await Promise.all([a, b, c, ...queued].map((lock) => lock.close()));
  }
  return [...violations];
}
