import { Redis } from "ioredis";
import type { RedisUser, WorkerEnvironment } from "./contract.ts";
import { LockDenied, LockUnreachable } from "./locks/lock.ts";
import { lockConnectionOptions } from "./locks/redis-lock.ts";

/**
 * Opens connections to Redis, each logged in as one user.
 * Throws LockUnreachable or LockDenied, naming server, user and reason.
 */
export function redisConnections(environment: WorkerEnvironment) {
  const open: Redis[] = [];
  return {
    async connect(user: RedisUser): Promise<Redis> {
      const url = new URL(environment.REDIS_URL);
      const password = passwordOf(environment, user);
      if (password !== undefined) {
        url.username = user;
        url.password = encodeURIComponent(password);
      }
      const connection = new Redis(url.href, { ...lockConnectionOptions, lazyConnect: true });
      // Without a listener, ioredis prints every lost connection; the command in flight reports it anyway.
      let lastError: Error | undefined;
      connection.on("error", (error) => {
        lastError = error;
      });
      open.push(connection);
      try {
        await connection.connect();
        await connection.ping();
      } catch (error) {
        const reason = lastError?.message ?? (error instanceof Error ? error.message : String(error));
        const refused = /NOAUTH|WRONGPASS|NOPERM/.test(reason);
        const where = `Redis at ${url.host}`;
        connection.disconnect();
        throw refused
          ? new LockDenied(
              `${where} refuses user ${url.username || "default"}: ${reason}; compare its users with helm/files/users.acl`,
            )
          : new LockUnreachable(`${where} is out of reach: ${reason}`);
      }
      return connection;
    },
    close() {
      for (const connection of open) connection.disconnect();
    },
  };
}

function passwordOf(environment: WorkerEnvironment, user: RedisUser): string | undefined {
  if (user === "lock") return environment.REDIS_PASSWORD_LOCK;
  return undefined;
}
