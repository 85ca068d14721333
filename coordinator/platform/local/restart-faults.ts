/** Faults that end the processes of private servers, and those of redis-faults.ts. Each server runs again when its fault is over, however that ends. */
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Redis } from "ioredis";
import type { LockService } from "../../../worker/contract.ts";
import type { PlatformFaultName } from "../../plan/run-plan.ts";
import { type MakeServerFault, type Making, onEachRedis, onRedis, untilTaken } from "../fault-maker.ts";
import { failOver } from "../redis-failover.ts";
import { type RemovableRedis, redisFaults } from "../redis-faults.ts";
import type { Servers } from "./servers/index.ts";
import { type ServerProcess, startAll } from "./servers/server-process.ts";
import type { RedisReplica } from "./servers/start-redis.ts";

/** Makes each of these faults. Call it only for servers that are there. */
export const restartFaults = (servers: Servers): Readonly<Record<PlatformFaultName, MakeServerFault>> => ({
  // They come back empty: helm/files/redis.conf stores nothing on disk.
  async "redis-restart"(making) {
    await untilTaken(making);
    await restart(redisOf(servers), "SIGKILL");
  },
  "redis-restart-saved": (making) => restartSaved(servers, making),
  ...redisFaults(() => redisOf(servers).map(removable)),
  "mysql-restart": () => restart([servers.mysql!.process], "SIGTERM"),
  "mysql-crash": () => restart([servers.mysql!.process], "SIGKILL"),
  "redis-failover": (making) => failOverToNew(servers, making),
  "clock-jump": (making) => advanceClocks(servers, making),
  "zookeeper-restart": () => restart([servers.lockServices.zookeeper!.process], "SIGTERM"),
  "consul-restart": () => restart([servers.lockServices.consul!.process], "SIGTERM"),
  "etcd-restart": () => restart([servers.lockServices.etcd!.process], "SIGTERM"),
});

/** The server whose process each of them ends. */
export const RESTARTED: Readonly<Record<PlatformFaultName, "mysql" | "redis" | LockService>> = {
  "redis-restart": "redis",
  "redis-restart-saved": "redis",
  "acl-revoked": "redis",
  "password-rotated": "redis",
  "mysql-restart": "mysql",
  "mysql-crash": "mysql",
  "redlock-minority": "redis",
  "redlock-majority": "redis",
  "redlock-amnesia": "redis",
  "redis-failover": "redis",
  "clock-jump": "redis",
  "zookeeper-restart": "zookeeper",
  "consul-restart": "consul",
  "etcd-restart": "etcd",
};

/** The replicas are started for it, and stay where they have taken the place of a server. */
export async function failOverToNew(
  { redis }: Servers,
  making: Making,
  prepare?: Parameters<typeof failOver>[2],
): Promise<void> {
  const { started } = redis!;
  const replicas = new Set<RedisReplica>();
  try {
    const pairs = await Promise.all(
      started.map(async ({ url, process, startReplica }) => {
        const replica = await startReplica();
        replicas.add(replica);
        const succeed = () => {
          replica.succeed();
          replicas.delete(replica);
        };
        return { url, replicaUrl: replica.url, server: removable(process), succeed };
      }),
    );
    await failOver(making, pairs, prepare);
  } finally {
    await Promise.all([...replicas].map(({ process }) => process.stop("SIGKILL")));
    await startAll(started.map(({ process }) => process));
  }
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** What Redis has saved is removed afterwards: a server that a later fault restarts must come back empty. */
async function restartSaved(servers: Servers, making: Making): Promise<void> {
  const { started } = servers.redis!;
  await untilTaken(making);
  try {
    // Redis answers a shutdown by closing the connection.
    await onEachRedis(making.servers, (redis) => redis.shutdown("SAVE").catch(() => {}));
    for (const { folder } of started) if (!existsSync(join(folder, SAVED))) throw new Error("Redis saved nothing");
    await Promise.all(started.map((each) => each.process.stop("SIGTERM")));
  } finally {
    await startAll(redisOf(servers));
    await Promise.all(started.map(({ folder }) => rm(join(folder, SAVED), { force: true })));
  }
}
const SAVED = "dump.rdb";

/** For good: a clock that is set back would be another fault. */
async function advanceClocks({ redis }: Servers, making: Making): Promise<void> {
  await untilTaken(making);
  await Promise.all(
    redis!.started.map(async ({ url, advanceClock }) => {
      await onRedis(making.servers, url, async (connection) => {
        const before = await timeOf(connection);
        await advanceClock!(JUMP_MS);
        if ((await timeOf(connection)) < before + JUMP_MS) throw new Error("the clock of Redis did not jump");
      });
    }),
  );
}
/** Ends every lock that somebody has. */
const JUMP_MS = 3_600_000;

const timeOf = async (redis: Redis) => {
  const [seconds, microseconds] = await redis.time();
  return Number(seconds) * 1_000 + Number(microseconds) / 1_000;
};

const removable = (process: ServerProcess): RemovableRedis => ({
  down: () => process.stop("SIGKILL"),
  up: () => process.start(),
});

const redisOf = (servers: Servers) => servers.redis!.started.map((redis) => redis.process);

/** All at once. */
async function restart(processes: readonly ServerProcess[], signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  await Promise.all(processes.map((each) => each.stop(signal)));
  await startAll(processes);
}
