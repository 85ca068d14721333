import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { createHold, type Hold, type Lease, TTL_MS_MIN } from "./hold.ts";
import {
  checkMilliseconds,
  closedWait,
  DEFAULT_TIMEOUT_MS,
  type Held,
  type LockOptions,
  type OwnLock,
} from "./lock.ts";
import { openLink } from "./redis-link.ts";
import { createWaiter, type Waiter } from "./redis-waiter.ts";

export interface RedisLockOptions extends LockOptions {
  /** The lease: how long the lock outlives a holder that died, milliseconds. */
  readonly ttlMs: number;
  /** Whether a held lock is extended at a third of its TTL, for as long as the process runs. Default true. */
  readonly extend?: boolean | undefined;
  /** Uniform in [0, 1); spreads the requests of waiters whose holder has not released the lock in time. */
  readonly random?: (() => number) | undefined;
}

/** All locks that one client has through one connection. */
export interface NodeLock extends OwnLock {
  /** Resolves once grants can arrive; rejects with LockDenied or LockUnreachable. */
  readonly opened: Promise<void>;
}

/**
 * The lock in one node: on one connection, which carries the commands and the grants. `client` names the channel of its
 * grants and must be unique; in a Redis Cluster, it has the hash tag of the only key that is used.
 */
export function createNodeLock(connection: Redis, client: string, options: RedisLockOptions): NodeLock {
  const { extend = true, random = Math.random, timeoutMs: openingMs = DEFAULT_TIMEOUT_MS } = options;
  const ttlMs = Math.ceil(options.ttlMs);
  checkMilliseconds("ttlMs", ttlMs, TTL_MS_MIN);
  checkMilliseconds("timeoutMs", openingMs);
  if (connection.options.protocol !== 3) throw new RangeError("the connection of a lock needs the option protocol: 3");

  /** Waiters, and those that have given up until Redis has confirmed their removal. */
  const waiters = new Map<string, Waiter>();
  const holds = new Set<Hold>();
  const opening = Promise.withResolvers<boolean>();
  let closed = false;
  let sequence = 0;

  const link = openLink(connection, client, {
    granted: (id, token, serverTimeUs) => waiters.get(id)?.granted(token, serverTimeUs),
    up() {
      for (const waiter of waiters.values()) waiter.ask();
      for (const hold of holds) hold.reconnected();
    },
    failed(error) {
      opening.reject(error);
      for (const waiter of waiters.values()) waiter.fail(error);
    },
  });
  link.untilUp(openingMs).then(opening.resolve);
  const opened = opening.promise.then((up) => {
    if (!up) throw link.unreachable("open the lock");
  });
  opened.catch(() => {});

  function leaseOf(key: string, id: string): Lease {
    const { scripts } = link;
    return {
      async extend() {
        const doing = `extend lock "${key}"`;
        try {
          return (await scripts.extend(key, id)) === 1;
        } catch (error) {
          throw link.classify(error, doing) ?? link.unreachable(doing);
        }
      },
      async release(deadline) {
        const doing = `release lock "${key}"`;
        for (let attempt = 1; ; attempt += 1) {
          try {
            // After a lost answer, "not yours" may be the result of a release that succeeded.
            return (await scripts.release(key, id)) === 1 || attempt > 1;
          } catch (error) {
            const refused = link.classify(error, doing);
            if (refused !== undefined) throw refused;
            if (!(await link.untilUp(deadline - performance.now()))) throw link.unreachable(doing);
          }
        }
      },
    };
  }

  function hold(key: string, id: string, fence: number, leaseStart: number): Held {
    const held = createHold({
      lease: leaseOf(key, id),
      key,
      fence,
      leaseStart,
      ttlMs,
      extend,
      ended: () => holds.delete(held),
    });
    holds.add(held);
    return held;
  }

  return {
    opened,
    inOrder: true,
    acquire: async (key, wait) =>
      new Promise((resolve, reject) => {
        if (closed) return reject(closedWait(key));
        const id = `${client}:${(sequence++).toString(36)}:${ttlMs}`;
        const waiter = createWaiter({
          link,
          key,
          id,
          ttlMs,
          wait,
          random,
          entered(fence, leaseStart) {
            waiters.delete(id);
            resolve(hold(key, id, fence, leaseStart));
          },
          gaveUp: reject,
          forgotten: () => waiters.delete(id),
        });
        waiters.set(id, waiter);
        waiter.ask();
        link.open();
      }),
    async close() {
      closed = true;
      const waiting = [...waiters.values()];
      for (const waiter of waiting) waiter.fail(closedWait(waiter.key));
      await Promise.race([
        Promise.all(waiting.map((waiter) => waiter.leave())),
        sleep(ttlMs, undefined, { ref: false }),
      ]);
      await link.close();
    },
  };
}
