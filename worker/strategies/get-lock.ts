import { createHash } from "node:crypto";
import { LockLost, LockTimeout } from "../locks/lock.ts";
import { OperationError } from "../outcome.ts";
import type { Connection } from "../rows.ts";
import type { Strategy } from "../strategy.ts";

/**
 * A named lock of the database, which belongs to a connection and ends with it. The write must use the same connection:
 * then a session that has lost the lock has lost the write as well, and a pool cannot run out of connections for it.
 */
export const getLock: Strategy = {
  async open({ rows, spec, releaseFailed }) {
    return {
      mutate: (operation) =>
        rows.connection(async (connection) => {
          const name = lockName(operation.lockKey);
          await acquire(connection, name, spec.lockTimeoutMs);
          operation.entered();
          try {
            await connection.transaction(async (transaction) => {
              const employee = await transaction.read(operation.employeeId);
              await transaction.write(operation, employee, await operation.compute(employee));
            });
          } finally {
            await release(connection, name).catch(releaseFailed);
          }
        }),
      async close() {},
    };
  },
};

/** Lock names are global on the server and have at most 64 characters. */
const lockName = (key: string) => `holdfast:${createHash("sha256").update(key).digest("base64url")}`;

/** Answers: 1, held; 0, others held it for the whole time; NULL, an error on the server (killed, out of memory). */
async function acquire(connection: Connection, name: string, timeoutMs: number) {
  const sql = "SELECT GET_LOCK(?, ?) AS result";
  const [row] = await connection.query<Answer[]>(sql, [name, timeoutMs / 1_000], timeoutMs);
  if (row?.result === 1) return;
  if (row?.result === 0) throw new LockTimeout(`GET_LOCK: others held the lock for ${timeoutMs} ms`);
  throw new OperationError("rejected", "get-lock-failed", "GET_LOCK answered NULL: the server could not wait for it");
}

/** Answers: 1, released; 0, another connection holds it; NULL, no connection does, as after a lost connection. */
async function release(connection: Connection, name: string) {
  const [row] = await connection.query<Answer[]>("SELECT RELEASE_LOCK(?) AS result", [name]);
  if (row?.result !== 1)
    throw new LockLost(`RELEASE_LOCK answered ${row?.result ?? "NULL"}: this connection did not hold it`);
}

interface Answer {
  readonly result: number | null;
}
