/**
 * All SQL on the contested rows and their ledger, and the one place where an error becomes an outcome.
 *
 * A transaction begins with its first statement and ends with the ledger rows and COMMIT in one round trip, so the ledger
 * costs no trip of its own. Times are the database's (`SYSDATE`, not `NOW`: `NOW` is fixed before a wait for a row lock).
 */
import mysql from "mysql2/promise";
import type { Outcome, WorkerSpec } from "./contract.ts";
import { LockDenied, LockError } from "./locks/lock.ts";
import type { Operation } from "./strategy.ts";

export interface Employee {
  readonly id: number;
  readonly version: number;
  readonly salary: number;
  readonly lastOp: number;
  /** By the database's clock. */
  readonly readAt: string;
}

/** What must be true of the row for a write to be applied; see the guards in docs. */
export interface Condition {
  readonly version?: number;
  /** Refuses a token that is not newer than the row's, and leaves this one. */
  readonly fenceAbove?: number;
  /** Refuses unless the row still carries this token. */
  readonly fenceIs?: number;
  /** The token that the writer holds, for the ledger. */
  readonly fence?: number;
}

export interface Transaction {
  /** Reads with `FOR UPDATE`, `FOR SHARE`, or plainly. */
  read(employeeId: number, lock?: "FOR UPDATE" | "FOR SHARE"): Promise<Employee>;
  write(operation: Operation, employee: Employee, salary: number, condition?: Condition): Promise<void>;
}

export interface Rows {
  read(employeeId: number): Promise<Employee>;
  /** A transaction of one write. */
  write(operation: Operation, employee: Employee, salary: number, condition?: Condition): Promise<void>;
  transaction<T>(body: (transaction: Transaction) => Promise<T>): Promise<T>;
  /** Leaves a fencing token in the row before it is read. Rejected when the row has seen a newer one. */
  claim(employeeId: number, fence: number): Promise<void>;
  /** Numbers the loops of a worker. */
  registerWriter(worker: number, loop: number, uid: string, node: string): Promise<number>;
  /** The database's clock, microseconds since 1970. */
  nowUs(): Promise<number>;
  close(): Promise<void>;
}

/** An operation that did not end as `committed`. `class` is a short name for counting. */
export class OperationError extends Error {
  readonly outcome: Exclude<Outcome, "committed">;
  readonly class: string;
  constructor(outcome: Exclude<Outcome, "committed">, errorClass: string, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = "OperationError";
    this.outcome = outcome;
    this.class = errorClass;
  }
}

/** Says what an error means for its operation. Throws it on where it is neither the database's nor a lock's: a bug. */
export function outcomeOf(error: unknown): { outcome: Exclude<Outcome, "committed">; class: string; message: string } {
  if (error instanceof OperationError) return { outcome: error.outcome, class: error.class, message: error.message };
  // A lock that refuses its user will refuse for ever: the worker ends with the reason instead of counting attempts.
  if (error instanceof LockError && !(error instanceof LockDenied))
    return { outcome: "rejected", class: error.name, message: error.message };
  throw error;
}

export interface RowsOptions {
  readonly url: string;
  readonly password?: string | undefined;
  readonly spec: Pick<WorkerSpec, "run" | "concurrency" | "statementTimeoutMs" | "ledger">;
  /** Called after each COMMIT with the version that was read and the version that the write found to be the new one. */
  readonly wrote?: (readVersion: number, newVersion: number) => void;
}

export function createRows({ url, password, spec, wrote }: RowsOptions): Rows {
  const pool = mysql.createPool({
    uri: url,
    ...(password === undefined ? {} : { password }),
    connectionLimit: spec.concurrency,
    maxIdle: spec.concurrency,
    connectTimeout: spec.statementTimeoutMs,
    multipleStatements: true,
    dateStrings: true,
    timezone: "Z",
  });
  pool.pool.on("connection", (connection) => connection.query("SET time_zone = '+00:00'"));

  const send = async (connection: mysql.PoolConnection, sql: string, values: unknown[]) => {
    const [result] = await connection.query({ sql, values, timeout: spec.statementTimeoutMs });
    return result;
  };

  async function onConnection<T>(body: (connection: mysql.PoolConnection) => Promise<T>): Promise<T> {
    let connection: mysql.PoolConnection;
    try {
      connection = await pool.getConnection();
    } catch (error) {
      throw rejected(error);
    }
    try {
      const result = await body(connection);
      connection.release();
      return result;
    } catch (error) {
      await abandon(connection, error);
      throw error;
    }
  }

  async function transaction<T>(body: (transaction: Transaction) => Promise<T>): Promise<T> {
    return onConnection(async (connection) => {
      // `begin` is sent with the first statement, `written` with the COMMIT.
      let begin = "START TRANSACTION; ";
      const written: LedgerEntry[] = [];
      const step = async (sql: string, values: unknown[]) => {
        const prefix = begin;
        begin = "";
        try {
          const result = await send(connection, prefix + sql, values);
          return prefix === "" ? result : (result as unknown[])[1];
        } catch (error) {
          // Nothing was committed: either the server said no, or the transaction ends with its connection.
          throw rejected(error);
        }
      };
      const result = await body({
        read: async (employeeId, lock) =>
          employeeOf(await step(`${SELECT_EMPLOYEE}${lock === undefined ? "" : ` ${lock}`}`, [spec.run, employeeId])),
        write: async (operation, employee, salary, condition = {}) => {
          const newVersion = await update(step, spec.run, operation.id, employee.id, salary, condition);
          written.push({ operation, employee, salary, newVersion, fence: condition.fence ?? 0 });
        },
      });
      await commit(connection, written);
      for (const { employee, newVersion } of written) wrote?.(employee.version, newVersion);
      return result;
    });
  }

  async function commit(connection: mysql.PoolConnection, written: readonly LedgerEntry[]) {
    const rows = spec.ledger ? written : [];
    const values = rows.flatMap(({ operation, employee, salary, newVersion, fence }) => [
      spec.run,
      employee.id,
      operation.id,
      employee.lastOp,
      employee.version,
      newVersion,
      employee.salary,
      salary,
      salary - employee.salary,
      fence,
      employee.readAt,
    ]);
    const insert = rows.length === 0 ? "" : `${INSERT_LEDGER} ${rows.map(() => LEDGER_VALUES).join(", ")}; `;
    try {
      await send(connection, `${insert}COMMIT`, values);
    } catch (error) {
      if (isAnswer(error)) throw rejected(error);
      throw new OperationError("unknown", "commit-unanswered", `no answer to COMMIT: ${messageOf(error)}`, error);
    }
  }

  return {
    transaction,
    read: (employeeId) =>
      onConnection(async (connection) => {
        const values = [spec.run, employeeId];
        return employeeOf(await send(connection, SELECT_EMPLOYEE, values).catch(rethrowRejected));
      }),
    write: (operation, employee, salary, condition) =>
      transaction((only) => only.write(operation, employee, salary, condition)),
    claim: (employeeId, fence) =>
      onConnection(async (connection) => {
        const values = [fence, spec.run, employeeId, fence];
        const sql = "UPDATE employee SET fence = ? WHERE run = ? AND id = ? AND fence < ?";
        const result = await send(connection, sql, values).catch(rethrowRejected);
        if ((result as mysql.ResultSetHeader).affectedRows === 0)
          throw new OperationError("rejected", "fenced", `token ${fence} is not newer than the row's`);
      }),
    registerWriter: (worker, loop, uid, node) =>
      onConnection(async (connection) => {
        const sql = "INSERT INTO writer (run, worker, loop_index, uid, node) VALUES (?, ?, ?, ?, ?)";
        return ((await send(connection, sql, [spec.run, worker, loop, uid, node])) as mysql.ResultSetHeader).insertId;
      }),
    nowUs: () =>
      onConnection(async (connection) => {
        const sql = "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', SYSDATE(6)) AS us";
        return Number(((await send(connection, sql, [])) as mysql.RowDataPacket[])[0]?.us);
      }),
    close: () => pool.end(),
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

interface LedgerEntry {
  readonly operation: Operation;
  readonly employee: Employee;
  readonly salary: number;
  readonly newVersion: number;
  readonly fence: number;
}

const SELECT_EMPLOYEE =
  "SELECT id, version, salary, last_op AS lastOp, SYSDATE(6) AS readAt FROM employee WHERE run = ? AND id = ?";
const INSERT_LEDGER =
  "INSERT INTO ledger (run, employee_id, op, read_op, read_version, new_version, read_salary, new_salary, raise, fence, read_at, written_at) VALUES";
const LEDGER_VALUES = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, SYSDATE(6))";

type Step = (sql: string, values: unknown[]) => Promise<unknown>;

/** Writes the row and returns its new version, as the database counted it. */
async function update(step: Step, run: string, op: number, id: number, salary: number, condition: Condition) {
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
  const sql = `UPDATE employee SET ${set.join(", ")} WHERE ${where.join(" AND ")}`;
  const result = (await step(sql, [...setValues, ...whereValues])) as mysql.ResultSetHeader;
  if (result.affectedRows !== 1) {
    const refused = version === undefined ? "fenced" : "conflict";
    throw new OperationError("rejected", refused, `the row of employee ${id} is not as the write demands`);
  }
  return result.insertId;
}

function employeeOf(result: unknown): Employee {
  const row = (result as mysql.RowDataPacket[])[0];
  if (row === undefined) throw new OperationError("rejected", "row-missing", "the contested row is not there");
  return row as unknown as Employee;
}

/** Gives a connection back only if it is certainly outside any transaction; otherwise it is destroyed. */
async function abandon(connection: mysql.PoolConnection, error: unknown) {
  const cause = error instanceof OperationError && error.cause !== undefined ? error.cause : error;
  const usable = !(cause instanceof Error) || isAnswer(cause) || !("code" in cause);
  try {
    if (!usable) throw cause;
    await connection.query({ sql: "ROLLBACK", timeout: 1_000 });
    connection.release();
  } catch {
    connection.destroy();
  }
}

/** The server answered with an error, as opposed to not answering. */
const isAnswer = (error: unknown) =>
  error instanceof Error && "sqlState" in error && !("fatal" in error && error.fatal);

const CLASSES: Record<string, string> = {
  ER_LOCK_DEADLOCK: "deadlock",
  ER_LOCK_WAIT_TIMEOUT: "lock-wait-timeout",
  ER_CHECKREAD: "snapshot-changed",
  ER_LOCK_NOWAIT: "row-locked",
  PROTOCOL_SEQUENCE_TIMEOUT: "statement-timeout",
};

function rejected(error: unknown) {
  if (error instanceof OperationError) return error;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const errorClass = CLASSES[code] ?? (isAnswer(error) ? "database" : "connection");
  return new OperationError("rejected", errorClass, `MySQL: ${messageOf(error)}`, error);
}

const rethrowRejected = (error: unknown): never => {
  throw rejected(error);
};

const messageOf = (error: unknown) => (error instanceof Error ? error.message || String(error) : String(error));
