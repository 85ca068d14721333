import { lockedSession } from "../lock-session.ts";
import { createHold } from "../locks/hold.ts";
import { completeLock, LockUnreachable, messageOf, timedOut } from "../locks/lock.ts";
import { notInstalled } from "../optional-package.ts";
import type { Strategy } from "../strategy.ts";

/**
 * The npm package redlock, on all servers of REDIS_URLS. The package leaves extension and the check for expiry to its
 * caller, so both are done here as for the project's own locks. The package does the waiting.
 */
export const redlockNpm: Strategy = {
  async open(resources) {
    const { spec, redisServers, releaseFailed } = resources;
    const { default: Redlock } = await import("redlock").catch(notInstalled("redlock"));
    const servers = redisServers("peer");
    await Promise.all(servers.map((server) => server.connect().catch(() => {})));
    const retryCount = Math.ceil(spec.lockTimeoutMs / (RETRY_MS + JITTER_MS / 2));
    const redlock = new Redlock(servers, { retryCount, retryDelay: RETRY_MS, retryJitter: JITTER_MS });
    let reason = "";
    redlock.on("clientError", (error) => {
      reason = messageOf(error);
    });
    const ttlMs = Math.ceil(spec.lockTtlMs);

    const lock = completeLock(
      { onReleaseFailed: releaseFailed },
      {
        async acquire(key, { timeoutMs }) {
          reason = "";
          const taken = await redlock.lock(key, ttlMs).catch(() => {
            throw reason === "" ? timedOut(key, timeoutMs) : new LockUnreachable(`redlock (npm): ${reason}`);
          });
          const lease = {
            extend: () => succeeded(taken.extend(ttlMs)),
            release: () => succeeded(taken.unlock()),
          };
          const leaseStart = performance.now() - (ttlMs - (taken.expiration - Date.now()));
          return createHold({ lease, key, fence: 0, leaseStart, ttlMs, extend: spec.extend });
        },
        async close() {},
      },
    );
    return lockedSession(lock, resources);
  },
};

/** With the package's defaults, 200 and 100, a lock that is held for milliseconds would be free most of the time. */
const RETRY_MS = 10;
const JITTER_MS = 10;

/** False if the servers no longer have this lock: the package rejects then. */
const succeeded = (call: Promise<unknown>) =>
  call.then(
    () => true,
    () => false,
  );
