import { randomBytes } from "node:crypto";
import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { EtcdApi, Turn } from "./etcd-api.ts";
import { createHold, type Lease } from "./hold.ts";
import { type KeptSession, keepSessions } from "./kept-sessions.ts";
import {
  checkMilliseconds,
  completeLock,
  type Lock,
  type LockError,
  type LockOptions,
  LockUnreachable,
} from "./lock.ts";
import { poll } from "./polling.ts";

export interface EtcdLockOptions extends LockOptions {
  /** Rounded up to whole seconds, the unit of a lease of etcd. A server grants no less than its minimum. */
  readonly ttlMs: number;
  /** Whether the lease is extended at a third of its TTL while it holds a lock. Default true. */
  readonly extend?: boolean | undefined;
}

/**
 * A lock in etcd: each waiter creates a key that belongs to a lease of its own, the key with the lowest creation revision
 * holds the lock, and each other waiter watches only the key before its own. A release wakes one waiter. An acquisition
 * costs two requests, and four if others are before it.
 *
 * It is a lease: etcd deletes the key of a holder that has not extended its lease for its TTL. The holder counts that
 * time by its own clock from the last request that was answered, so it notices the end before the server does, unless it
 * is stalled. Prevent what must never happen by checking `held.fence`, the creation revision of the key, in the write
 * itself.
 *
 * The caller closes `api`. Resolves once the server has let this user see the locks; throws LockDenied or
 * LockUnreachable.
 *
 * Source: the package `concurrency` of etcd's Go client, https://pkg.go.dev/go.etcd.io/etcd/client/v3/concurrency
 */
export async function createEtcdLock(api: EtcdApi, options: EtcdLockOptions): Promise<Lock> {
  const { extend = true } = options;
  checkMilliseconds("ttlMs", options.ttlMs, 1);
  const ttlSeconds = Math.ceil(options.ttlMs / 1_000);
  const ttlMs = ttlSeconds * 1_000;
  const leases = keepSessions(
    { create: () => api.grant(ttlSeconds), renew: api.keepAlive, end: api.revoke },
    // A hold that is not extended needs the whole TTL.
    extend ? ttlMs / 3 : 0,
  );
  const closing = new AbortController();
  setMaxListeners(0, closing.signal);
  /** Attempts and releases that nobody waits for any more. */
  const unfinished = new Set<Promise<unknown>>();
  const prefix = randomBytes(8).toString("hex");
  let places = 0;
  await api.look(api.keyOf("any", prefix), 1);

  async function leave(place: Place, deadline: number): Promise<boolean> {
    const { key, revision, lease } = place;
    for (let attempt = 1; revision !== undefined; attempt += 1) {
      try {
        const { left, repeated } = await api.leave(key, revision);
        if (place.isCertain && left) leases.keep(lease);
        else leases.end(lease);
        // After a lost answer, "not there" may be the result of a request that succeeded.
        return left || repeated || attempt > 1;
      } catch (error) {
        if (!(error instanceof LockUnreachable) || performance.now() + RETRY_MS >= deadline) {
          leases.end(lease);
          throw error;
        }
        await sleep(RETRY_MS);
      }
    }
    leases.end(lease);
    return false;
  }

  const leaseOf = (place: Place, revision: number): Lease => ({
    // A lease can outlive its key: somebody may have deleted that.
    extend: async () => (await place.lease.renew()) && (await api.look(place.key, revision)) !== undefined,
    release: (deadline) => leave(place, deadline),
  });

  /** Creates the key of a place, or looks which one is before it. Undefined if the key is gone. */
  async function ask(place: Place, once: boolean): Promise<Turn | "others" | undefined> {
    if (place.revision !== undefined) return api.look(place.key, place.revision);
    try {
      const turn = await api.enter(place.key, place.lease.id, once);
      if (turn === "ended") return undefined;
      if (turn !== "others") place.revision = turn.revision;
      return turn;
    } catch (error) {
      // The request may still create the key, for as long as there is the lease.
      place.isCertain = false;
      throw error;
    }
  }

  /** Resolves to undefined when the wait is over. `failed` is told the reason while no answer comes. */
  async function acquire(lock: string, once: boolean, over: AbortSignal, failed: (error?: LockError) => void) {
    let place: Place | undefined;
    while (!over.aborted) {
      try {
        const lease: KeptSession = place === undefined ? await leases.take() : await leases.fresh(place.lease);
        if (place?.lease !== lease) {
          const key = api.keyOf(lock, `${prefix}-${(places++).toString(36)}`);
          place = { key, lease, revision: undefined, isCertain: true };
        }
        if (over.aborted) break;
        const turn = await ask(place, once);
        failed(undefined);
        if (turn === undefined) {
          leases.end(lease);
          place = undefined;
        } else if (turn === "others") {
          leases.keep(lease);
          return undefined;
        } else if (turn.before === undefined) {
          // This process may have been stalled since; then the lease is renewed, and the key looked for, again.
          if (performance.now() - lease.renewedAt < ttlMs / 2) return { place, revision: turn.revision };
        } else {
          // From time to time it looks itself: the server that has the watch may be cut off.
          const recheck = AbortSignal.timeout(Math.ceil(ttlMs / 3));
          await api.deleted(turn.before, turn.seenAt, AbortSignal.any([over, recheck]));
        }
      } catch (error) {
        if (!(error instanceof LockUnreachable)) {
          if (place !== undefined) leases.end(place.lease);
          throw error;
        }
        failed(error);
        if (once) break;
        await sleep(RETRY_MS, undefined, { signal: over }).catch(() => {});
      }
    }
    if (place !== undefined) await leave(place, 0).catch(() => {});
    return undefined;
  }

  function track<T>(work: Promise<T>): Promise<T> {
    const tracked: Promise<unknown> = work.catch(() => {}).finally(() => unfinished.delete(tracked));
    unfinished.add(tracked);
    return work;
  }

  return completeLock(options, {
    async acquire(key, wait) {
      let lastError: LockError | undefined;
      const failed = (error?: LockError) => {
        lastError = error;
      };
      const { place, revision } = await poll(key, wait, closing.signal, {
        attempt: (over) => track(acquire(key, wait.timeoutMs === 0, over, failed)),
        undo: ({ place }) => track(leave(place, 0)).catch(() => {}),
        delayMs: () => 0,
        late: () => lastError,
      });
      const leaseStart = place.lease.renewedAt;
      return createHold({ lease: leaseOf(place, revision), key, fence: revision, leaseStart, ttlMs, extend });
    },
    async close() {
      closing.abort();
      while (unfinished.size > 0) await Promise.all(unfinished);
      await leases.close();
    },
  });
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** One key in the queue of a lock. */
interface Place {
  readonly key: string;
  readonly lease: KeptSession;
  /** That created the key; undefined until the server has said so. */
  revision: number | undefined;
  /** Whether no request is left that may still create the key. */
  isCertain: boolean;
}

/** Pause before a request that was not answered is repeated. */
const RETRY_MS = 100;
