/** The coordinator's own connections to Redis, as the ACL user `monitor`, who may run PING and INFO and nothing else. */
import { Redis, type RedisOptions } from "ioredis";
import { ServerError } from "../errors.ts";
import { type ServerAddresses, urlWithLogin } from "./addresses.ts";

/** For a connection that is made once, used, and closed: every failure is reported at once, and nothing is retried. */
export const ONE_SHOT_OPTIONS = {
  lazyConnect: true,
  enableReadyCheck: false,
  disableClientInfo: true,
  maxRetriesPerRequest: 0,
  retryStrategy: () => null,
  connectTimeout: 3_000,
  commandTimeout: 3_000,
} as const satisfies RedisOptions;

/** Whether Redis refused the login or the command with this error. A script returns the refusal in other words. */
export const isRefusal = (message: string): boolean =>
  /^(NOPERM|NOAUTH|WRONGPASS)|The user executing the script can't|ACL failure in script/.test(message);

/**
 * Whether Redis ran the command as far as its arguments with this error: it checks the permission first. Errors of any
 * other kind (an unknown command, a proxy that blocks it, a cluster that redirects it) do not show what the user may do.
 */
export const isComplaintAboutArguments = (message: string): boolean =>
  /syntax error|wrong number of arguments|only support|invalid|out of range|not an integer|without any password/i.test(
    message,
  );

/** Connects at the first `check`, and again by itself after the connection was lost. */
export function createRedisMonitor(servers: Pick<ServerAddresses, "redisUrl" | "redisPasswords">) {
  return createConnection(servers, () => 500);
}

/** Returns `Redis` and the server's version. Throws ServerError when the server does not answer or refuses the user. */
export async function readRedisVersion(servers: Pick<ServerAddresses, "redisUrl" | "redisPasswords">): Promise<string> {
  const connection = createConnection(servers, ONE_SHOT_OPTIONS.retryStrategy);
  try {
    return await connection.check();
  } finally {
    connection.close();
  }
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

function createConnection(
  { redisUrl, redisPasswords }: Pick<ServerAddresses, "redisUrl" | "redisPasswords">,
  retryStrategy: () => number | null,
) {
  const { monitor } = redisPasswords;
  const url = new URL(monitor === undefined ? redisUrl : urlWithLogin(redisUrl, "monitor", monitor));
  const connection = new Redis(url.href, { ...ONE_SHOT_OPTIONS, retryStrategy });
  let lastError: Error | undefined;
  connection.on("error", (error) => {
    lastError = error;
  });

  return {
    connection,
    /** Returns `Redis` and the server's version. Throws ServerError when it does not answer or refuses the user. */
    async check(): Promise<string> {
      try {
        if (connection.status === "wait") await connection.connect();
        const info = await connection.info("server");
        return `Redis ${/redis_version:(\S+)/.exec(info)?.[1] ?? "of unknown version"}`;
      } catch (error) {
        // ioredis rejects with "connection is closed"; the cause came before, as an `error` event.
        const { message } = error as Error;
        const reason = isRefusal(message) ? message : (lastError?.message ?? String(error));
        const refused = isRefusal(reason);
        const user = url.username || "default";
        const fix = refused
          ? `compare its users with helm/files/users.acl and the password of ${user}`
          : "start it or correct REDIS_URL";
        throw new ServerError(`Redis at ${url.host}, user ${user}`, reason, fix, { cause: error, final: refused });
      }
    },
    close: () => connection.disconnect(),
  };
}
