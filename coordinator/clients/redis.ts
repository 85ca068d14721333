/** The coordinator's own connection to Redis, as the user `monitor`, who may ask for INFO and for nothing else. */
import { Redis } from "ioredis";
import { ServerError } from "../errors.ts";
import type { ServerAddresses } from "./addresses.ts";

export function createRedisMonitor({ redisUrl, redisPasswords }: Pick<ServerAddresses, "redisUrl" | "redisPasswords">) {
  const url = new URL(redisUrl);
  const password = redisPasswords.monitor;
  if (password !== undefined) {
    url.username = "monitor";
    url.password = encodeURIComponent(password);
  }
  const connection = new Redis(url.href, {
    lazyConnect: true,
    enableReadyCheck: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => 500,
    connectTimeout: 3_000,
    commandTimeout: 3_000,
  });
  let lastError: Error | undefined;
  connection.on("error", (error) => {
    lastError = error;
  });

  return {
    connection,
    /** Throws ServerError unless Redis answers this user. */
    async version(): Promise<string> {
      try {
        if (connection.status === "wait") await connection.connect();
        const info = await connection.info("server");
        return `Redis ${/redis_version:(\S+)/.exec(info)?.[1] ?? "of unknown version"}`;
      } catch (error) {
        // ioredis says that the connection is closed; the reason came as an event before.
        const reason = /NOPERM|WRONGPASS|NOAUTH/.test(String(error))
          ? (error as Error).message
          : (lastError?.message ?? String(error));
        const denied = /NOPERM|WRONGPASS|NOAUTH/.test(reason);
        const user = url.username || "default";
        const fix = denied
          ? `compare its users with helm/files/users.acl and the password of ${user}`
          : "start it or correct REDIS_URL";
        throw new ServerError(`Redis at ${url.host}, user ${user}`, reason, fix, { cause: error, final: denied });
      }
    },
    close: () => connection.disconnect(),
  };
}
