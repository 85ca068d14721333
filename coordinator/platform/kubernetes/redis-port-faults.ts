/** Faults that take a Redis of the release away from its clients, by its own commands: its process goes on. */
import type { Redis } from "ioredis";
import { settleAll } from "../../wait.ts";
import { connectRedis, type FaultedServers, type Making, onRedis } from "../fault-maker.ts";
import { catchUp, failOver, type RedisPair, replace } from "../redis-failover.ts";
import { portOf, type RemovableRedis } from "../redis-faults.ts";

/**
 * Without its port Redis refuses every new connection, and goes on with the one that gives it its port back. If that one
 * is lost, no probe of the container is answered any longer, unless a replica has the port, and Kubernetes restarts it.
 */
export function removable(servers: FaultedServers, url: string) {
  let connection: Redis | undefined;
  return {
    async down() {
      connection = await connectRedis(servers, url);
      const ends = await connection
        .pipeline([
          ["config", "set", "port", "0"],
          ["client", "kill", "type", "normal", "skipme", "yes"],
          ["client", "kill", "type", "pubsub"],
          // A replica must not get what follows.
          ["client", "kill", "type", "replica"],
          ["client", "unpause"],
          ["flushall", "sync"],
          ["script", "flush"],
        ])
        .exec();
      for (const [error] of ends ?? []) if (error !== null) throw error;
    },
    /** By default on the port that it had. */
    async up(port = portOf(url)) {
      try {
        await connection?.config("SET", "port", port);
      } finally {
        connection?.disconnect();
        connection = undefined;
      }
    },
  } satisfies RemovableRedis;
}

/**
 * A failover to the replica beside each server, and one back, because a container that is restarted starts its Redis on
 * its own port. The one back breaks no lock, unless it fails: then the servers are exchanged as they are. `replicaUrls`
 * are in the order of the servers. Throws the first error, after all servers have their own port again.
 */
export async function failOverAndBack(making: Making, replicaUrls: readonly string[]): Promise<void> {
  const { servers } = making;
  const swapped = new Set<RedisPair>();
  const pairs = servers.redis!.urls.map((url, index): RedisPair => {
    const replicaUrl = replicaUrls[index]!;
    const server = removable(servers, url);
    const pair: RedisPair = {
      url,
      replicaUrl,
      server,
      async succeed() {
        await server.up(portOf(replicaUrl));
        if (!swapped.delete(pair)) swapped.add(pair);
      },
    };
    return pair;
  });
  let failure: unknown;
  const note = (error: unknown) => {
    failure ??= error;
  };
  await failOver(making, pairs)
    .then(() => failOver(making, pairs, catchUp))
    .catch(note);
  if (swapped.size > 0) await replace(making, [...swapped]).catch(note);
  await settleAll(replicaUrls.map((url) => onRedis(servers, url, forget))).catch(note);
  if (failure !== undefined) throw failure;
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** A replica follows nobody and has no data, except during a fault. */
async function forget(redis: Redis): Promise<void> {
  await redis.replicaof("NO", "ONE");
  await redis.flushall();
}
