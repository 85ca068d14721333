import { MAJORITY_SERVERS_MIN } from "../contract.ts";
import { lockedSession } from "../lock-session.ts";
import { createRedlock } from "../locks/redlock.ts";
import { type Strategy, Unavailable } from "../strategy.ts";

/**
 * A lock on the majority of three or more independent Redis servers. It survives the loss of a minority of them, but it
 * is a lease without a fencing token, so a holder that is stalled for longer than the TTL is not stopped.
 */
export const redlock: Strategy = {
  async open(resources) {
    const { spec, redisServers, random, releaseFailed } = resources;
    const connections = redisServers("lock");
    if (connections.length < MAJORITY_SERVERS_MIN)
      throw new Unavailable(
        `a majority needs ${MAJORITY_SERVERS_MIN} independent Redis servers or more, and REDIS_URLS names ${connections.length}`,
      );
    const lock = await createRedlock(connections, {
      ttlMs: spec.lockTtlMs,
      extend: spec.extend,
      timeoutMs: spec.lockTimeoutMs,
      random,
      onReleaseFailed: releaseFailed,
    });
    return lockedSession(lock, resources);
  },
};
