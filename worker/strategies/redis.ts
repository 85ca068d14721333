import { lockedSession } from "../lock-session.ts";
import { createRedisLock } from "../locks/redis-lock.ts";
import type { Strategy } from "../strategy.ts";

/**
 * A lock in one Redis, handed from holder to waiter in order, and extended while it is held. It is a lease: a holder
 * that is stalled for longer than the TTL loses it, and then only a guard in the write stops it.
 */
export const redis: Strategy = {
  async open(resources) {
    const { spec, redis, random, releaseFailed } = resources;
    const lock = await createRedisLock(await redis("lock"), {
      ttlMs: spec.lockTtlMs,
      extend: spec.extend,
      random,
      onReleaseFailed: releaseFailed,
    });
    return lockedSession(lock, resources);
  },
};
