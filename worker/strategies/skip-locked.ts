import { OperationError } from "../outcome.ts";
import type { Connection, Rows } from "../rows.ts";
import type { Operation, Strategy } from "../strategy.ts";

/**
 * Each operation appends its raise to a queue table. Any worker then claims a batch with SKIP LOCKED and applies it in
 * the transaction that removes it. An operation ends once its raise has left the queue, no matter who applied it. The
 * price: the change must be known before the row is read.
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
            do await applyBatch(connection, spec.run);
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
/** With a lock, so that it waits for the transaction that is applying the raise. */
const FIND_MINE = "SELECT op FROM pending WHERE run = ? AND op = ? LOCK IN SHARE MODE";

async function applyBatch(connection: Connection, run: string): Promise<void> {
  // Locks only the rows that are taken, not the gaps between them: other operations append to the queue meanwhile.
  await connection.query("SET TRANSACTION ISOLATION LEVEL READ COMMITTED", []);
  await connection.transaction(async (transaction) => {
    const taken = await transaction.query<Pick<Operation, "id" | "employeeId" | "raise">[]>(TAKE, [run]);
    if (taken.length === 0) return;
    await transaction.query(REMOVE, [run, taken.map(({ id }) => id)]);
    // In the order of employees, so that two batches do not deadlock.
    taken.sort((a, b) => a.employeeId - b.employeeId || a.id - b.id);
    for (const { id, employeeId, raise } of taken) await transaction.add({ id }, employeeId, raise);
  });
}

/**
 * Finds out the outcome of an operation after an error: rejected if its raise could be taken back from the queue,
 * committed if another worker has applied it.
 */
async function settle(rows: Rows, mine: readonly unknown[], error: unknown): Promise<void> {
  const unknown = (cause: unknown) =>
    new OperationError(
      "unknown",
      "queue-unanswered",
      "the queue could not be asked whether the raise was applied",
      cause,
    );
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
