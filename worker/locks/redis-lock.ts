import { randomUUID } from "node:crypto";
import { Cluster, type Redis, type RedisOptions } from "ioredis";
import { completeLock, type Lock } from "./lock.ts";
import { isElsewhere } from "./redis-errors.ts";
import { createNodeLock, type NodeLock, type RedisLockOptions } from "./redis-node-lock.ts";
import { connectToSlotOf } from "./redis-slot.ts";

export type { RedisLockOptions } from "./redis-node-lock.ts";

/**
 * Options of a connection for this lock. Every command of the lock may be sent twice, but a caller must learn at once
 * that an answer was lost, to decide by the clock whether it still holds the lock: so ioredis must neither resend nor
 * queue commands. The check before "ready" needs INFO, which the lock's user may not run. The lock opens its channel
 * itself after every reconnect. No script takes long, so a server that does not answer for 5 s is asked again over a
 * new connection. After a failover the right server may be another one, which a new connection finds.
 */
export const lockConnectionOptions = {
  protocol: 3,
  enableReadyCheck: false,
  disableClientInfo: true,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: false,
  maxRetriesPerRequest: 0,
  socketTimeout: 5_000,
  reconnectOnError: isElsewhere,
} as const satisfies RedisOptions;

/**
 * A lock in one Redis that is handed from holder to waiter: waiters queue in Redis, and the script that releases the
 * lock writes the lease of the next waiter and notifies only that one. An acquisition costs two commands, also under
 * contention.
 *
 * It is a lease. If a holder is stalled for longer than `ttlMs`, or Redis loses its data, there are two holders, and
 * one of them learns it too late. Prevent what must never happen by checking `held.fence` in the write itself.
 *
 * The connection speaks RESP3 to Redis 7 or later and is closed by the caller; see {@link lockConnectionOptions}. In a
 * Redis Cluster, each key has a connection of its own to the node that serves it, which is closed with the client of the
 * cluster. Resolves once grants can arrive; throws LockDenied or LockUnreachable.
 */
export async function createRedisLock(client: Redis | Cluster, options: RedisLockOptions): Promise<Lock> {
  const locks = client instanceof Cluster ? inCluster(client, options) : inOneServer(client, options);
  try {
    // Any key shows whether Redis answers and lets this user subscribe.
    await locks.of("any").opened;
  } catch (error) {
    await locks.close();
    throw error;
  }
  return completeLock(options, {
    inOrder: true,
    async acquire(key, wait) {
      const lock = locks.of(key);
      // Without a wait, the first acquisition of a key would fail because its connection is not open yet.
      if (wait.timeoutMs === 0) await lock.opened;
      return lock.acquire(key, wait);
    },
    close: locks.close,
  });
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

function inOneServer(connection: Redis, options: RedisLockOptions) {
  const lock = createNodeLock(connection, randomUUID(), options);
  return { of: (_key: string) => lock, close: () => lock.close() };
}

function inCluster(cluster: Cluster, options: RedisLockOptions) {
  const locks = new Map<string, NodeLock>();
  const connections: Redis[] = [];
  cluster.once("end", () => {
    for (const connection of connections) connection.disconnect();
  });
  return {
    of(key: string) {
      let lock = locks.get(key);
      if (lock === undefined) {
        const connection = connectToSlotOf(cluster);
        connections.push(connection);
        lock = createNodeLock(connection, `{${key}}${randomUUID()}`, options);
        locks.set(key, lock);
      }
      return lock;
    },
    async close() {
      await Promise.all([...locks.values()].map((lock) => lock.close()));
    },
  };
}
