import { lockedSession } from "../lock-session.ts";
import { createConstantValueLock } from "../locks/constant-value-lock.ts";
import type { Strategy } from "../strategy.ts";

/**
 * The lock as it is often written first: SET NX of a constant, DEL if it exists, polling at a fixed interval. It is
 * correct only while every holder finishes within the TTL. A holder that overruns no longer owns the key: the next
 * client acquires it, and the late holder's unlock then deletes the *new* owner's key. Neither gets an error, so from
 * then on two clients are regularly inside at once.
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
