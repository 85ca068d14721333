/**
 * All SQL on the contested rows and their ledger.
 *
 * A transaction begins with its first statement and ends with the ledger rows and COMMIT in one round trip, so the ledger
 * costs no trip of its own. Times are the database's (`SYSDATE`, not `NOW`: `NOW` is fixed before a wait for a row lock).
 */
import mysql from "mysql2/promise";
import type { WorkerSpec } from "./contract.ts";
import { isAnswer, leavesUsable, OperationError, rejected, unanswered } from "./outcome.ts";

export { OperationError, outcomeOf } from "./outcome.ts";

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
  /** Refuses a token that is not newer than the row's, and leaves this one. */
  readonly fenceAbove?: number;
  /** Refuses unless the row still carries this token. */
  readonly fenceIs?: number;
  /** The token that the writer holds, for the ledger. */
  readonly fence?: number;
}

/** Whose write it is, for the row and the ledger. */
export interface Author {
  readonly id: number;
}

export interface Transaction {
  /** Reads plainly or with a lock. Both servers know the older words for a shared one, not both know FOR SHARE. */
  read(employeeId: number, lock?: "FOR UPDATE" | "LOCK IN SHARE MODE"): Promise<Employee>;
  write(operation: Author, employee: Employee, salary: number, condition?: Condition): Promise<void>;
  /** Raises a salary in one statement, and reads back what that statement found and left. */
  add(operation: Author, employeeId: number, raise: number): Promise<void>;
  /** Any other statement: the rows of a SELECT, else what it changed. */
  query<T>(sql: string, values: unknown[]): Promise<T>;
}

/** One connection to the database for as long as its user needs it, outside of any transaction but its own. */
export interface Connection {
  transaction<T>(body: (transaction: Transaction) => Promise<T>): Promise<T>;
  /** A statement of its own. `waitMs` is how long it may wait for others on top of the usual timeout. */
  query<T>(sql: string, values: unknown[], waitMs?: number): Promise<T>;
}

export interface Rows {
  read(employeeId: number): Promise<Employee>;
  /** A transaction of one write. */
  write(operation: Author, employee: Employee, salary: number, condition?: Condition): Promise<void>;
  transaction<T>(body: (transaction: Transaction) => Promise<T>): Promise<T>;
  /** For what belongs to a connection. There is one for each loop: who asks for a second one waits for itself. */
  connection<T>(body: (connection: Connection) => Promise<T>): Promise<T>;
  /** Leaves a fencing token in the row before it is read. Rejected when the row has seen a newer one. */
  claim(employeeId: number, fence: number): Promise<void>;
  /** Numbers the loops of a worker. */
  registerWriter(worker: number, loop: number, uid: string, node: string): Promise<number>;
  /** The database's clock, microseconds since 1970. */
  nowUs(): Promise<number>;
  close(): Promise<void>;
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

  async function send(connection: mysql.PoolConnection, sql: string, values: unknown[], waitMs = 0): Promise<unknown> {
    const [result] = await connection.query({ sql, values, timeout: spec.statementTimeoutMs + waitMs });
    return result;
  }

  async function onConnection<T>(body: (connection: mysql.PoolConnection) => Promise<T>): Promise<T> {
    const connection = await pool.getConnection().catch(rethrowRejected);
    try {
      const result = await body(connection);
      connection.release();
      return result;
    } catch (error) {
      await abandon(connection, error);
      throw error;
    }
  }

  /** One statement, where an error means that nothing was applied. */
  const statement = (sql: string, values: unknown[]) =>
    onConnection((connection) => send(connection, sql, values).catch(rethrowRejected));

  async function transact<T>(connection: mysql.PoolConnection, body: (transaction: Transaction) => Promise<T>) {
    // `begin` is sent with the first statement, `written` with the COMMIT.
    let begin = "START TRANSACTION; ";
    const written: LedgerEntry[] = [];
    const step: Step = async (sql, values) => {
      const prefix = begin;
      begin = "";
      // Nothing was committed: either the server said no, or the transaction ends with its connection.
      const result = await send(connection, prefix + sql, values).catch(rethrowRejected);
      return prefix === "" ? result : withoutFirst(result as unknown[]);
    };
    const result = await body({
      read: async (employeeId, lock) =>
        employeeOf(await step(`${SELECT_EMPLOYEE}${lock === undefined ? "" : ` ${lock}`}`, [spec.run, employeeId])),
      async write(operation, employee, salary, condition = {}) {
        const newVersion = await update(step, spec.run, operation.id, employee.id, salary, condition);
        written.push({ op: operation.id, employee, salary, newVersion, fence: condition.fence ?? 0 });
      },
      async add(operation, employeeId, raise) {
        written.push(await add(step, spec.run, operation.id, employeeId, raise));
      },
      query: (sql, values) => step(sql, values) as Promise<never>,
    });
    if (begin === "") await commit(connection, written);
    for (const { employee, newVersion } of written) wrote?.(employee.version, newVersion);
    return result;
  }

  async function commit(connection: mysql.PoolConnection, written: readonly LedgerEntry[]) {
    const rows = spec.ledger ? written : [];
    const values = rows.flatMap(({ op, employee, salary, newVersion, fence }) => [
      spec.run,
      employee.id,
      op,
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
      throw isAnswer(error) ? rejected(error) : unanswered(error);
    }
  }

  const transaction: Rows["transaction"] = (body) => onConnection((connection) => transact(connection, body));

  return {
    transaction,
    connection: (body) =>
      onConnection((connection) =>
        body({
          transaction: (inside) => transact(connection, inside),
          query: (sql, values, waitMs) =>
            send(connection, sql, values, waitMs).catch(rethrowRejected) as Promise<never>,
        }),
      ),
    read: async (employeeId) => employeeOf(await statement(SELECT_EMPLOYEE, [spec.run, employeeId])),
    write: (operation, employee, salary, condition) =>
      transaction((only) => only.write(operation, employee, salary, condition)),
    async claim(employeeId, fence) {
      const sql = "UPDATE employee SET fence = ? WHERE run = ? AND id = ? AND fence < ?";
      const result = (await statement(sql, [fence, spec.run, employeeId, fence])) as mysql.ResultSetHeader;
      if (result.affectedRows === 0)
        throw new OperationError("rejected", "fenced", `token ${fence} is not newer than the row's`);
    },
    async registerWriter(worker, loop, uid, node) {
      const sql = "INSERT INTO writer (run, worker, loop_index, uid, node) VALUES (?, ?, ?, ?, ?)";
      return ((await statement(sql, [spec.run, worker, loop, uid, node])) as mysql.ResultSetHeader).insertId;
    },
    async nowUs() {
      const sql = "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', SYSDATE(6)) AS us";
      return Number(((await statement(sql, [])) as mysql.RowDataPacket[])[0]?.us);
    },
    close: () => pool.end(),
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

interface LedgerEntry {
  readonly op: number;
  /** As the write found it. */
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

/**
 * LAST_INSERT_ID carries out what the statement found in `last_op`; what it found in the other columns is what it left
 * there less what it added, for the row is locked from then on.
 */
async function add(step: Step, run: string, op: number, id: number, raise: number): Promise<LedgerEntry> {
  const [found, left] = (await step(`${ADD}; ${SELECT_EMPLOYEE}`, [op, raise, run, id, run, id])) as [
    mysql.ResultSetHeader,
    unknown,
  ];
  const after = employeeOf(left);
  const before = {
    ...after,
    version: after.version - 1,
    salary: after.salary - raise,
    lastOp: found.insertId,
  };
  return { op, employee: before, salary: after.salary, newVersion: after.version, fence: 0 };
}

const ADD =
  "UPDATE employee SET last_op = LAST_INSERT_ID(last_op) * 0 + ?, version = version + 1, salary = salary + ? WHERE run = ? AND id = ?";

function employeeOf(result: unknown): Employee {
  const row = (result as mysql.RowDataPacket[])[0];
  if (row === undefined) throw new OperationError("rejected", "row-missing", "the contested row is not there");
  return row as unknown as Employee;
}

/** The results of the statements after the first one: itself where it is only one. */
const withoutFirst = ([, ...others]: readonly unknown[]) => (others.length === 1 ? others[0] : others);

/** Gives a connection back only if it is certainly outside any transaction; otherwise it is destroyed. */
async function abandon(connection: mysql.PoolConnection, error: unknown) {
  try {
    if (!leavesUsable(error)) throw error;
    await connection.query({ sql: "ROLLBACK", timeout: 1_000 });
    connection.release();
  } catch {
    connection.destroy();
  }
}

const rethrowRejected = (error: unknown): never => {
  throw rejected(error);
};
