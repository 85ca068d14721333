/** Faults that end the processes of private servers. Each server runs again when its fault is over, however that ends. */
import { setTimeout as sleep } from "node:timers/promises";
import type { RestartFaultName } from "../../plan/run-plan.ts";
import { type FaultedServers, type MakeServerFault, type Making, untilTaken, untilTakenOnAll } from "../fault-maker.ts";
import type { Servers } from "./servers/index.ts";
import type { ServerProcess } from "./servers/server-process.ts";
import { OWNER_USER } from "./servers/start-redis.ts";

/** Makes each of these faults. Call it only for servers that are there. */
export const restartFaults = (servers: Servers): Readonly<Record<RestartFaultName, MakeServerFault>> => ({
  // They come back empty: helm/files/redis.conf stores nothing on disk.
  async "redis-restart"(making) {
    await untilTaken(making);
    await restart(redisOf(servers), "SIGKILL");
  },
  "mysql-restart": () => restart([servers.mysql!.process], "SIGTERM"),
  "mysql-crash": () => restart([servers.mysql!.process], "SIGKILL"),
  "redlock-minority": (making) => keepDown(redisOf(servers).slice(-1), making),
  "redlock-majority": (making) => keepDown(redisOf(servers).slice(1), making),
  async "redlock-amnesia"(making) {
    const [absent, ...others] = redisOf(servers);
    await absent!.stop("SIGKILL");
    try {
      await untilTakenOnAll({ ...making, servers: asOwner(servers) }, servers.redis!.urls.slice(1));
      await others[0]!.stop("SIGKILL");
    } finally {
      await startAll(redisOf(servers));
    }
  },
});

/** The server whose process each of them ends. */
export const RESTARTED: Readonly<Record<RestartFaultName, "mysql" | "redis">> = {
  "redis-restart": "redis",
  "mysql-restart": "mysql",
  "mysql-crash": "mysql",
  "redlock-minority": "redis",
  "redlock-majority": "redis",
  "redlock-amnesia": "redis",
};

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** Redis with the rights of its owner. */
const asOwner = ({ redis }: Servers): FaultedServers => ({
  redis: redis && { urls: redis.urls, login: { user: OWNER_USER, password: redis.faultLogin?.password } },
});

const redisOf = (servers: Servers) => servers.redis!.started.map((redis) => redis.process);

/** All at once. */
async function restart(processes: readonly ServerProcess[], signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  await Promise.all(processes.map((each) => each.stop(signal)));
  await startAll(processes);
}

/** Starts those that do not run. One that fails keeps no other one from its start. */
async function startAll(processes: readonly ServerProcess[]): Promise<void> {
  const started = await Promise.allSettled(processes.map((each) => each.start()));
  for (const one of started) if (one.status === "rejected") throw one.reason;
}

/** They stay down for the time of the fault, or until the run is over. */
async function keepDown(processes: readonly ServerProcess[], { fault, over }: Making): Promise<void> {
  await Promise.all(processes.map((each) => each.stop("SIGKILL")));
  await sleep(fault.forMs, undefined, { signal: over }).catch(() => {});
  await startAll(processes);
}
