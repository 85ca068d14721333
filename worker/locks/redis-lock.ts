import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis, RedisOptions } from "ioredis";
import { createHold, type Hold, type Lease, TTL_MS_MIN } from "./hold.ts";
import {
  checkMilliseconds,
  closedWait,
  completeLock,
  DEFAULT_TIMEOUT_MS,
  type Held,
  type Lock,
  type LockOptions,
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

/**
 * Options of a connection for this lock. Every command of the lock may be sent twice, but a caller must learn at once
 * that an answer was lost, to decide by the clock whether it still holds the lock: so ioredis must neither resend nor
 * queue commands. The check before "ready" needs INFO, which the lock's user may not run. The lock opens its channel
 * itself after every reconnect. No script takes long, so a server that does not answer for 5 s is asked again over a
 * new connection.
 */
export const lockConnectionOptions = {
  protocol: 3,
  enableReadyCheck: false,
  disableClientInfo: true,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: false,
  maxRetriesPerRequest: 0,
  socketTimeout: 5_000,
} as const satisfies RedisOptions;

/**
 * A lock in one Redis that is handed from holder to waiter: waiters queue in Redis, and the script that releases the
 * lock writes the lease of the next waiter and notifies only that one. An acquisition costs two commands, also under
 * contention.
 *
 * It is a lease. If a holder is stalled for longer than `ttlMs`, or Redis loses its data, there are two holders, and
 * one of them learns it too late. Prevent what must never happen by checking `held.fence` in the write itself.
 *
 * The connection speaks RESP3 (Redis 6 or later), carries the commands and the grants, and is closed by the caller; see
 * {@link lockConnectionOptions}. Resolves once grants can arrive; throws LockDenied or LockUnreachable.
 */
export async function createRedisLock(connection: Redis, options: RedisLockOptions): Promise<Lock> {
  const { extend = true, random = Math.random, timeoutMs: openingMs = DEFAULT_TIMEOUT_MS } = options;
  const ttlMs = Math.ceil(options.ttlMs);
  checkMilliseconds("ttlMs", ttlMs, TTL_MS_MIN);
  checkMilliseconds("timeoutMs", openingMs);
  if (connection.options.protocol !== 3) throw new RangeError("the connection of a lock needs the option protocol: 3");

  const client = randomUUID();
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
  try {
    if (!(await opening.promise)) throw link.unreachable("open the lock");
  } catch (error) {
    await link.close();
    throw error;
  }

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

  return completeLock(options, {
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
  });
}
