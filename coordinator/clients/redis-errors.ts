import { connect } from "node:tls";
import { explainRedis } from "../../worker/server-errors.ts";
import { type RedisVariables, redisKind, redisOptions } from "../../worker/servers/redis.ts";
import { ServerError } from "../errors.ts";
import { oneLine } from "../text/format.ts";

/** What to do about a replica; `final` as in {@link ServerError}. Sentinels and clusters name the primary themselves. */
export const explainReplica = (variables: RedisVariables): { readonly fix: string; readonly final: boolean } =>
  redisKind(variables) === "server"
    ? { fix: "use the address of the primary in REDIS_URL", final: true }
    : { fix: "wait until the failover has ended", final: false };

/**
 * Adds to an error reply, or to the error of a connection, what to do about it. `where` is the server with the user and
 * perhaps the command. A connection that is reset may have reached a port that speaks TLS only, which is tried.
 */
export async function toRedisError(
  where: string,
  variables: RedisVariables,
  user: string,
  error: unknown,
): Promise<ServerError> {
  const { code = "", message = String(error) } = error as { code?: string; message?: string };
  const known = /\b(READONLY|MASTERDOWN)\b/.test(message)
    ? explainReplica(variables)
    : (explainRedis(error, user) ?? ((await speaksTls(variables, code)) ? TLS_ONLY : unknown(variables)));
  return new ServerError(where, oneLine(message || code), known.fix, { cause: error, final: known.final });
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** A Redis without TLS does not answer a client that speaks it. */
const unknown = (variables: RedisVariables) => ({
  fix:
    redisOptions(variables).tls !== undefined
      ? "start it or correct REDIS_URL (redis:// if it has no TLS)"
      : "start it or correct REDIS_URL",
  final: false,
});
const TLS_ONLY = { fix: "the server speaks TLS on this port: write rediss:// in place of redis://", final: true };
const TLS_MS = 2_000;

/** Whether a connection that was reset without TLS can be opened with it. Which certificate comes does not matter here. */
async function speaksTls(variables: RedisVariables, code: string): Promise<boolean> {
  const { host, port, tls } = redisOptions(variables);
  if (host === undefined || tls !== undefined || !["ECONNRESET", "EPIPE"].includes(code)) return false;
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host, port, rejectUnauthorized: false, timeout: TLS_MS });
  socket.on("secureConnect", () => resolve(true));
  for (const event of ["error", "close", "timeout"]) socket.on(event, () => resolve(false));
  return promise.finally(() => socket.destroy());
}
