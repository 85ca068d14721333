/**
 * A coordinator without a run: starts the servers named in the arguments in a folder, prints one line of JSON, and
 * waits. After SIGINT it queries Redis once more, as a partial report does, and stops; other signals end it at once.
 */

import { createRedisMonitor } from "../../coordinator/clients/redis.ts";
import { passwordVariables } from "../../coordinator/clients/redis-users.ts";
import { startServers } from "../../coordinator/platform/local/servers/index.ts";

const [folder = "", ...only] = process.argv.slice(2);
const servers = await startServers({
  coordinatorUrl: "http://127.0.0.1:9",
  only: only as ("mysql" | "redis" | "prometheus")[],
  folder,
});
const alive = setInterval(() => {}, 1_000);
const say = (message: unknown) => process.stdout.write(`${JSON.stringify(message)}\n`);

process.on("SIGINT", async () => {
  const { url, passwords } = servers.redis!;
  const monitor = createRedisMonitor({ REDIS_URL: url, ...passwordVariables(passwords) });
  say({ afterSigint: await monitor.check().catch(String) });
  monitor.close();
  await servers[Symbol.asyncDispose]();
  clearInterval(alive);
});
say({ folder: servers.folder, pids: servers.pids });
