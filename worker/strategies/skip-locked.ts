import { OperationError } from "../outcome.ts";
import type { Connection, Rows } from "../rows.ts";
import type { Operation, Strategy } from "../strategy.ts";

/**
 * A queue: each operation leaves its raise in a table that only grows, then whoever comes by takes what nobody else is
 * taking, with SKIP LOCKED, and applies it in one transaction together with its removal. An operation ends when its raise
 * is out of the queue, whoever applied it. Nobody waits for the row's lock to do its own work; what is applied must be said
 * in the queue before the row is seen.
 */
export const skipLocked: Strategy = {
  async open({ rows, spec }) {
    return {
      async mutate(operation) {
        await operation.work();
        const mine = [spec.run, operation.id];
        try {
          await rows.connection(async (connection) => {
            await connection.query(ENQUEUE, [...mine, operation.employeeId, operation.raise]);
            do await applySome(connection, spec.run);
            while ((await connection.query<unknown[]>(FIND_MINE, mine)).length > 0);
          });
        } catch (error) {
          await settle(rows, mine, error);
        }
      },
      async close() {},
    };
  },
};

const BATCH = 50;
const ENQUEUE = "INSERT INTO pending (run, op, employee_id, raise) VALUES (?, ?, ?, ?)";
const TAKE = `SELECT op AS id, employee_id AS employeeId, raise FROM pending WHERE run = ? ORDER BY op LIMIT ${BATCH} FOR UPDATE SKIP LOCKED`;
const REMOVE = "DELETE FROM pending WHERE run = ? AND op IN (?)";
/** With a lock, so that it waits for whoever is applying it. */
const FIND_MINE = "SELECT op FROM pending WHERE run = ? AND op = ? LOCK IN SHARE MODE";

async function applySome(connection: Connection, run: string): Promise<void> {
  // Only what is taken shall be locked, not the gaps between: others add to the queue meanwhile.
  await connection.query("SET TRANSACTION ISOLATION LEVEL READ COMMITTED", []);
  await connection.transaction(async (transaction) => {
    const taken = await transaction.query<Pick<Operation, "id" | "employeeId" | "raise">[]>(TAKE, [run]);
    if (taken.length === 0) return;
    await transaction.query(REMOVE, [run, taken.map(({ id }) => id)]);
    // In the order of employees, so that two who apply do not wait for each other in a circle.
    taken.sort((a, b) => a.employeeId - b.employeeId || a.id - b.id);
    for (const { id, employeeId, raise } of taken) await transaction.add({ id }, employeeId, raise);
  });
}

/** After an error, asks what became of the operation: taken back, it was rejected; applied by another, it is committed. */
async function settle(rows: Rows, mine: readonly unknown[], error: unknown): Promise<void> {
  const unknown = (cause: unknown) =>
    new OperationError("unknown", "queue-unanswered", "the queue does not say whether the raise was applied", cause);
  if (!(error instanceof OperationError)) throw error;
  const { takenBack, applied } = await rows
    .connection(async (connection) => {
      const removed = await connection.query<{ affectedRows: number }>("DELETE FROM pending WHERE run = ? AND op = ?", [
        ...mine,
      ]);
      const found = await connection.query<unknown[]>("SELECT op FROM ledger WHERE run = ? AND op = ?", [...mine]);
      return { takenBack: removed.affectedRows === 1, applied: found.length > 0 };
    })
    .catch((cause) => {
      throw unknown(cause);
    });
  if (applied) return;
  if (!takenBack) throw unknown(error);
  throw new OperationError("rejected", error.class, error.message, error);
}
