/** Faults that end the processes of private servers. Each server runs again when its fault is over, however that ends. */
import type { RestartFaultName } from "../../plan/run-plan.ts";
import { type MakeServerFault, untilTaken } from "../fault-maker.ts";
import type { Servers } from "./servers/index.ts";
import type { ServerProcess } from "./servers/server-process.ts";

/** Makes each of these faults. Call it only for servers that are there. */
export const restartFaults = (servers: Servers): Readonly<Record<RestartFaultName, MakeServerFault>> => ({
  // They come back empty: helm/files/redis.conf stores nothing on disk.
  async "redis-restart"(making) {
    await untilTaken(making);
    await restart(redisOf(servers), "SIGKILL");
  },
  "mysql-restart": () => restart([servers.mysql!.process], "SIGTERM"),
  "mysql-crash": () => restart([servers.mysql!.process], "SIGKILL"),
});

/** The server whose process each of them ends. */
export const RESTARTED: Readonly<Record<RestartFaultName, "mysql" | "redis">> = {
  "redis-restart": "redis",
  "mysql-restart": "mysql",
  "mysql-crash": "mysql",
};

// --- Internal helpers -----------------------------------------------------------------------------------------------

const redisOf = (servers: Servers) => servers.redis!.started.map((redis) => redis.process);

/** All at once. */
async function restart(processes: readonly ServerProcess[], signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  await Promise.all(
    processes.map(async (each) => {
      await each.stop(signal);
      await each.start();
    }),
  );
}
