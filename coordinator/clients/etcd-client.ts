/** Requests of the coordinator to etcd. */
import {
  ETCD_KEY_PREFIX,
  type EtcdAccess,
  type EtcdConnection,
  type EtcdLogin,
  etcdAddress,
  openEtcd,
} from "../../worker/servers/etcd.ts";
import { etcdMessage, explainEtcd, isEtcdRefusal } from "../../worker/servers/etcd-errors.ts";
import type { HttpAnswer } from "../../worker/servers/http.ts";
import { ServerError } from "../errors.ts";
import { oneLine } from "../text/format.ts";

/** A connection whose errors are those of the coordinator. */
export interface EtcdClient extends Omit<EtcdConnection, "send"> {
  /** Returns the answer, whatever its status. Throws ServerError if there is none. */
  send: EtcdConnection["send"];
  /** Returns the JSON of a success, or undefined if the message of the error is expected. Throws ServerError. */
  ask(path: string, body: object, expected?: RegExp): Promise<unknown>;
}

/** Opens no connection yet. */
export function connect(access: EtcdAccess, login: EtcdLogin | undefined): EtcdClient {
  const connection = openEtcd(access, login);
  const where = `etcd at ${etcdAddress(access)}${login === undefined ? "" : `, user ${login.user}`}`;
  const variable = login === access.admin && login !== undefined ? "ETCD_ADMIN_PASSWORD" : "ETCD_PASSWORD";

  function fail(reason: string, cause: unknown): ServerError {
    const known = explainEtcd(cause) ?? { fix: "start it or correct ETCD_URL", final: false };
    const fix =
      variable === "ETCD_PASSWORD" ? known.fix : known.fix.replace(/the user in .* in ETCD_PASSWORD/, variable);
    return new ServerError(where, oneLine(reason), fix, { cause, final: known.final });
  }

  const send: EtcdConnection["send"] = async (path, body, options) => {
    try {
      return await connection.send(path, body, options);
    } catch (error) {
      const { message, code = "" } = error as { message: string; code?: string };
      throw fail(message || code, error);
    }
  };

  return {
    address: connection.address,
    user: connection.user,
    close: connection.close,
    send,
    async ask(path, body, expected) {
      const { status, text } = await send(path, body);
      if (status === 200)
        return parseJson(text) ?? Promise.reject(fail("the answer is not JSON", new Error("404 Not Found")));
      const message = etcdMessage(status, text);
      if (expected?.test(message)) return undefined;
      throw fail(message, new Error(message));
    },
  };
}

/** What etcd answered to an attempt that it must refuse. It checks the right before the arguments. */
export function outcomeOf({ status, text }: HttpAnswer): "refused" | "allowed" | "unanswered" {
  if (status !== 200 && (status === 429 || /no leader|timed out|too many requests/.test(text))) return "unanswered";
  return isEtcdRefusal(text) ? "refused" : "allowed";
}

/** The keys of the locks, as a range. */
export const LOCKS = {
  key: Buffer.from(ETCD_KEY_PREFIX).toString("base64"),
  // The character after the slash.
  range_end: Buffer.from(ETCD_KEY_PREFIX.replace(/\/$/, "0")).toString("base64"),
};

// --- Internal helpers -----------------------------------------------------------------------------------------------

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
