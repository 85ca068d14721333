import { lockedSession } from "../lock-session.ts";
import { createConstantValueLock } from "../locks/constant-value-lock.ts";
import type { Strategy } from "../strategy.ts";

/**
 * The lock that is written first: SET NX of a constant, delete it if it is there, ask again at a fixed pace.
 * It holds as long as nobody outstays the TTL. Whoever does shares the lock with the next one, then deletes that one's
 * lock, and is told nothing: from there on two are inside again and again.
 */
export const seedMutex: Strategy = {
  async open(resources) {
    const { spec, redis, releaseFailed } = resources;
    const lock = createConstantValueLock(await redis("seed"), {
      ttlMs: spec.lockTtlMs,
      pollMs: POLL_MS,
      onReleaseFailed: releaseFailed,
    });
    return lockedSession(lock, resources);
  },
};

const POLL_MS = 5;
