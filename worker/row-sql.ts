/** The statements that read and write the contested rows and their ledger, and how their answers are read. */
import { type ResultSetHeader, type RowDataPacket, raw } from "mysql2";
import { OperationError } from "./outcome.ts";
import type { Statement } from "./sender.ts";

export interface Employee {
  readonly id: number;
  readonly version: number;
  readonly salary: number;
  readonly lastOp: number;
  /** By the database's clock. */
  readonly readAt: string;
}

/** What must be true of the row for a write to be applied; see docs/guards.md. */
export interface Condition {
  readonly version?: number;
  /** Rejects the write unless this token is newer than the row's, and stores it in the row. */
  readonly fenceAbove?: number;
  /** Rejects the write unless the row still has this token. */
  readonly fenceIs?: number;
  /** The token that the writer holds, for the ledger. */
  readonly fence?: number;
}

export interface LedgerEntry {
  readonly op: number;
  /** As the write found it. */
  readonly employee: Employee;
  readonly salary: number;
  readonly newVersion: number;
  readonly fence: number;
}

/** A statement that writes the row. `applied` reads the new version, as the database counted it, from the answer. */
export interface Update extends Statement {
  applied(answer: unknown): number;
}

export const selectEmployee = (run: string, id: number, lock = ""): Statement => ({
  sql: `SELECT id, version, salary, last_op AS lastOp, SYSDATE(6) AS readAt FROM employee WHERE run = ? AND id = ? ${lock}`.trimEnd(),
  values: [run, id],
});

/** Throws OperationError if the row is missing. */
export function parseEmployee(answer: unknown): Employee {
  const row = (answer as RowDataPacket[])[0];
  if (row === undefined) throw new OperationError("rejected", "row-missing", "the contested row is missing");
  return row as unknown as Employee;
}

export function updateEmployee(run: string, op: number, id: number, salary: number, condition: Condition): Update {
  const { version, fenceAbove, fenceIs } = condition;
  const set = ["version = LAST_INSERT_ID(version + 1)", "salary = ?", "last_op = ?"];
  const where = ["run = ?", "id = ?"];
  const setValues: unknown[] = [salary, op];
  const whereValues: unknown[] = [run, id];
  const require = (test: string, value: unknown) => {
    where.push(test);
    whereValues.push(value);
  };
  if (version !== undefined) require("version = ?", version);
  if (fenceIs !== undefined) require("fence = ?", fenceIs);
  if (fenceAbove !== undefined) {
    require("fence < ?", fenceAbove);
    set.push("fence = ?");
    setValues.push(fenceAbove);
  }
  return {
    sql: `UPDATE employee SET ${set.join(", ")} WHERE ${where.join(" AND ")}`,
    values: [...setValues, ...whereValues],
    applied(answer) {
      const { affectedRows, insertId } = answer as ResultSetHeader;
      if (affectedRows === 1) return insertId;
      const errorClass = version === undefined ? "fenced" : "conflict";
      throw new OperationError("rejected", errorClass, `the row of employee ${id} fails the condition of the write`);
    },
  };
}

/**
 * Raises a salary in one statement, and reads the row afterwards. LAST_INSERT_ID returns what the first statement found in
 * `last_op`. What it found in the other columns is the value afterwards minus what it added, because the row is locked
 * from the update on.
 */
export function addToSalary(run: string, op: number, id: number, raise: number) {
  const statements: Statement[] = [{ sql: ADD, values: [op, raise, run, id] }, selectEmployee(run, id)];
  return {
    statements,
    parse([found, left]: readonly unknown[]): LedgerEntry {
      const after = parseEmployee(left);
      const { insertId: lastOp } = found as ResultSetHeader;
      const employee = { ...after, version: after.version - 1, salary: after.salary - raise, lastOp };
      return { op, employee, salary: after.salary, newVersion: after.version, fence: 0 };
    },
  };
}

export const insertLedger = (run: string, entries: readonly LedgerEntry[]): Statement => ({
  sql: `${INSERT_LEDGER} VALUES ${entries.map(() => `(${LEDGER_ROW})`).join(", ")}`,
  values: entries.flatMap((entry) => ledgerValues(run, entry)),
});

/** Inserts nothing unless the statement before it, an {@link updateEmployee}, has changed its row. */
export const insertLedgerIfUpdated = (run: string, entry: Omit<LedgerEntry, "newVersion">): Statement => ({
  sql: `${INSERT_LEDGER} SELECT ${LEDGER_ROW} FROM DUAL WHERE ROW_COUNT() = 1`,
  values: ledgerValues(run, { ...entry, newVersion: raw("LAST_INSERT_ID()") }),
});

// --- Internal helpers -----------------------------------------------------------------------------------------------

const ADD =
  "UPDATE employee SET last_op = LAST_INSERT_ID(last_op) * 0 + ?, version = version + 1, salary = salary + ? WHERE run = ? AND id = ?";
const INSERT_LEDGER =
  "INSERT INTO ledger (run, employee_id, op, read_op, read_version, new_version, read_salary, new_salary, raise, fence, read_at, written_at)";
const LEDGER_ROW = "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, SYSDATE(6)";

/** The new version is a number, or an SQL expression that the database evaluates. */
function ledgerValues(run: string, entry: Omit<LedgerEntry, "newVersion"> & { readonly newVersion: unknown }) {
  const { op, employee, salary, newVersion, fence } = entry;
  const { id, lastOp, version, salary: readSalary, readAt } = employee;
  return [run, id, op, lastOp, version, newVersion, readSalary, salary, salary - readSalary, fence, readAt];
}
