import { lockedSession } from "../lock-session.ts";
import { createZooKeeperLock } from "../locks/zookeeper-lock.ts";
import { zooKeeperClient } from "../servers/zookeeper-session.ts";
import { type Strategy, Unavailable } from "../strategy.ts";

/**
 * A lock in ZooKeeper, handed over in the order of the requests, and kept as long as the session of its holder. It is a
 * lease: a holder that is stalled for longer than the timeout of its session loses it, and then only a guard in the write
 * stops it.
 */
export const zookeeper: Strategy = {
  async open(resources) {
    const { spec, lockServices, releaseFailed } = resources;
    const { ZOOKEEPER_URL } = lockServices;
    if (ZOOKEEPER_URL === undefined) throw new Unavailable("needs ZooKeeper: set ZOOKEEPER_URL");
    const lock = await createZooKeeperLock(zooKeeperClient({ ...lockServices, ZOOKEEPER_URL }), {
      ttlMs: spec.lockTtlMs,
      extend: spec.extend,
      onReleaseFailed: releaseFailed,
    });
    return lockedSession(lock, resources);
  },
};
