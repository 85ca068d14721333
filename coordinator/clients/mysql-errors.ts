import { explainMysql } from "../../worker/server-errors.ts";
import { ServerError } from "../errors.ts";
import { oneLine } from "../text/format.ts";

/** Adds to an error of the driver what to do about it. `where` is the server. */
export function toMysqlError(where: string, error: unknown): ServerError {
  if (error instanceof ServerError) return error;
  const { code = "", message = String(error) } = error as { code?: string; message?: string };
  const { reason = message || code, fix, final } = explainMysql(error) ?? UNKNOWN;
  return new ServerError(where, oneLine(reason), fix, { cause: error, final });
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const UNKNOWN = { reason: undefined, fix: "start it or correct MYSQL_URL", final: false };
