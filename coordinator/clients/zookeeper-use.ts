import { explainZooKeeper } from "../../worker/server-errors.ts";
import { type ZooKeeperAccess, type ZooKeeperLogin, zooKeeperAddress } from "../../worker/servers/zookeeper.ts";
import { openSession, type SessionOptions, type ZooKeeperSession } from "../../worker/servers/zookeeper-session.ts";
import { isCode } from "../../worker/servers/zookeeper-wire.ts";
import { ServerError } from "../errors.ts";
import { oneLine } from "../text/format.ts";

/** Opens a session for a few requests. Throws ServerError. */
export async function useZooKeeper<T>(
  access: ZooKeeperAccess,
  login: ZooKeeperLogin | undefined,
  use: (session: ZooKeeperSession) => Promise<T>,
  timeoutMs = SESSION_MS,
  identity?: SessionOptions["identity"],
): Promise<T> {
  const session = openSession(access, { timeoutMs, login, ...(identity === undefined ? {} : { identity }) });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(session.lastError ?? new Error(`no answer within ${ANSWER_MS} ms`)), ANSWER_MS);
  });
  try {
    return await Promise.race([session.connected().then(() => use(session)), late]);
  } catch (error) {
    if (error instanceof ServerError) throw error;
    throw toServerError(access, login, isCode(error, "ConnectionLoss") ? (error.cause ?? error) : error);
  } finally {
    clearTimeout(timer);
    await session.close();
  }
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const SESSION_MS = 4_000;
const ANSWER_MS = 3_000;

function toServerError(access: ZooKeeperAccess, login: ZooKeeperLogin | undefined, error: unknown): ServerError {
  const who = login === undefined ? "" : `, user ${login.user}`;
  const { fix, final } = explainZooKeeper(error) ?? {
    fix:
      access.tls === undefined
        ? "start it or correct ZOOKEEPER_URL (ZOOKEEPER_TLS=required if it speaks TLS on this port)"
        : "start it or correct ZOOKEEPER_URL",
    final: false,
  };
  const { code = "", message = String(error) } = error as { code?: string; message?: string };
  return new ServerError(`ZooKeeper at ${zooKeeperAddress(access)}${who}`, oneLine(message || code), fix, {
    cause: error,
    final,
  });
}
