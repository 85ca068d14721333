import { lockedSession } from "../lock-session.ts";
import { completeLock, LockLost, LockUnreachable, messageOf, timedOut } from "../locks/lock.ts";
import { notInstalled } from "../optional-package.ts";
import type { Strategy } from "../strategy.ts";

/** The mutex of the npm package redis-semaphore, with the package's own defaults for polling and extending. */
export const redisSemaphore: Strategy = {
  async open(resources) {
    const { spec, redis, releaseFailed } = resources;
    const { Mutex } = await import("redis-semaphore").catch(notInstalled("redis-semaphore"));
    const connection = await redis("peer");
    const lock = completeLock(
      { onReleaseFailed: releaseFailed },
      {
        async acquire(key, { signal, timeoutMs }) {
          const lost = new AbortController();
          const mutex = new Mutex(connection, key, {
            lockTimeout: spec.lockTtlMs,
            acquireTimeout: timeoutMs,
            ...(spec.extend ? {} : { refreshInterval: 0 }),
            onLockLost: (error) => lost.abort(new LockLost(`lock "${key}" was lost: ${error.message}`)),
          });
          const got = await mutex.tryAcquire(signal).catch((error) => {
            throw new LockUnreachable(`redis-semaphore: ${messageOf(error)}`, { cause: error });
          });
          if (!got) throw timedOut(key, timeoutMs);
          return { key, fence: 0, signal: lost.signal, extend: async () => {}, release: () => mutex.release() };
        },
        async close() {},
      },
    );
    return lockedSession(lock, resources);
  },
};
