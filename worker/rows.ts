/**
 * All SQL on the contested rows and their ledger.
 *
 * The ledger costs no extra round trip. A transaction begins with its first statement and ends with the ledger rows and
 * COMMIT in one trip; a write outside a transaction is one trip with its ledger row, as it is without one. Times are
 * the database's (`SYSDATE`, not `NOW`: `NOW` is fixed before the wait for a row lock).
 */
import { raw } from "mysql2";
import mysql from "mysql2/promise";
import type { WorkerSpec } from "./contract.ts";
import { isAnswer, leavesUsable, OperationError, rejected, unanswered } from "./outcome.ts";

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

/** The operation that writes, for the row and the ledger. */
export interface Author {
  readonly id: number;
}

export interface Transaction {
  /** Reads with or without a lock. MariaDB does not support FOR SHARE; both servers support LOCK IN SHARE MODE. */
  read(employeeId: number, lock?: "FOR UPDATE" | "LOCK IN SHARE MODE"): Promise<Employee>;
  write(operation: Author, employee: Employee, salary: number, condition?: Condition): Promise<void>;
  /** Raises a salary in one statement, and reads back what that statement found and wrote. */
  add(operation: Author, employeeId: number, raise: number): Promise<void>;
  /** Any other statement. Resolves with the rows of a SELECT, otherwise with mysql2's result header. */
  query<T>(sql: string, values: unknown[]): Promise<T>;
}

/** One connection to the database, held for as long as its user needs it, with no transaction open at first. */
export interface Connection {
  transaction<T>(body: (transaction: Transaction) => Promise<T>): Promise<T>;
  /** A statement outside a transaction. `waitMs` is how long it may wait for others, in addition to the timeout. */
  query<T>(sql: string, values: unknown[], waitMs?: number): Promise<T>;
}

export interface Rows {
  read(employeeId: number): Promise<Employee>;
  /** A write that commits by itself: both the update and its ledger row, or neither. */
  write(operation: Author, employee: Employee, salary: number, condition?: Condition): Promise<void>;
  transaction<T>(body: (transaction: Transaction) => Promise<T>): Promise<T>;
  /** For what is bound to a connection. There is one for each loop: taking a second one would deadlock. */
  connection<T>(body: (connection: Connection) => Promise<T>): Promise<T>;
  /** Stores a fencing token in the row before the row is read. Rejected if the row has the same or a newer one. */
  claim(employeeId: number, fence: number): Promise<void>;
  /** Registers one loop of a worker, and resolves with its number. */
  registerWriter(worker: number, loop: number, uid: string, node: string): Promise<number>;
  /** The database's clock, microseconds since 1970. */
  nowUs(): Promise<number>;
  close(): Promise<void>;
}

export interface RowsOptions {
  readonly url: string;
  readonly password?: string | undefined;
  readonly spec: Pick<WorkerSpec, "run" | "concurrency" | "statementTimeoutMs" | "ledger">;
  /** Called after each COMMIT with the version that was read and the new version as the database counted it. */
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

  /** One statement. An error means that nothing was applied. */
  const statement = (sql: string, values: unknown[]) =>
    onConnection((connection) => send(connection, sql, values).catch(rethrowRejected));

  async function transact<T>(connection: mysql.PoolConnection, body: (transaction: Transaction) => Promise<T>) {
    // `begin` is sent with the first statement, `written` with the COMMIT.
    let begin = "START TRANSACTION; ";
    const written: LedgerEntry[] = [];
    const step: Step = async (sql, values) => {
      const prefix = begin;
      begin = "";
      // Nothing was committed: either the server answered with an error, or the transaction ends with its connection.
      const result = await send(connection, prefix + sql, values).catch(rethrowRejected);
      return prefix === "" ? result : withoutFirst(result as unknown[]);
    };
    const result = await body({
      read: async (employeeId, lock) =>
        parseEmployee(await step(`${SELECT_EMPLOYEE}${lock === undefined ? "" : ` ${lock}`}`, [spec.run, employeeId])),
      async write({ id: op }, employee, salary, condition = {}) {
        const update = buildUpdate(spec.run, op, employee.id, salary, condition);
        const newVersion = update.applied(await step(update.sql, update.values));
        written.push({ op, employee, salary, newVersion, fence: condition.fence ?? 0 });
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
    const insert = rows.length === 0 ? "" : `${INSERT_LEDGER} VALUES ${rows.map(() => `(${LEDGER_ROW})`).join(", ")}; `;
    const values = rows.flatMap((entry) => ledgerValues(spec.run, entry));
    await send(connection, `${insert}COMMIT`, values).catch(rethrowUnlessAnswered);
  }

  /** If the update changes no row, no ledger row is written, and `applied` rejects the write. */
  async function writeAlone({ id: op }: Author, employee: Employee, salary: number, condition: Condition = {}) {
    const update = buildUpdate(spec.run, op, employee.id, salary, condition);
    const entry = { op, employee, salary, newVersion: raw("LAST_INSERT_ID()"), fence: condition.fence ?? 0 };
    const insert = `${INSERT_LEDGER} SELECT ${LEDGER_ROW} FROM DUAL WHERE ROW_COUNT() = 1`;
    const [sql, values] = spec.ledger
      ? [`START TRANSACTION; ${update.sql}; ${insert}; COMMIT`, [...update.values, ...ledgerValues(spec.run, entry)]]
      : [update.sql, update.values];
    const answer = await onConnection((connection) => send(connection, sql, values).catch(rethrowUnlessAnswered));
    const newVersion = update.applied(spec.ledger ? (answer as unknown[])[1] : answer);
    wrote?.(employee.version, newVersion);
  }

  return {
    transaction: (body) => onConnection((connection) => transact(connection, body)),
    connection: (body) =>
      onConnection((connection) =>
        body({
          transaction: (inside) => transact(connection, inside),
          query: (sql, values, waitMs) =>
            send(connection, sql, values, waitMs).catch(rethrowRejected) as Promise<never>,
        }),
      ),
    read: async (employeeId) => parseEmployee(await statement(SELECT_EMPLOYEE, [spec.run, employeeId])),
    write: writeAlone,
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
  "INSERT INTO ledger (run, employee_id, op, read_op, read_version, new_version, read_salary, new_salary, raise, fence, read_at, written_at)";
const LEDGER_ROW = "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, SYSDATE(6)";

/** The new version is a number, or an SQL expression that the database evaluates. */
function ledgerValues(run: string, entry: Omit<LedgerEntry, "newVersion"> & { readonly newVersion: unknown }) {
  const { op, employee, salary, newVersion, fence } = entry;
  const { id, lastOp, version, salary: readSalary, readAt } = employee;
  return [run, id, op, lastOp, version, newVersion, readSalary, salary, salary - readSalary, fence, readAt];
}

type Step = (sql: string, values: unknown[]) => Promise<unknown>;

/** The statement that writes the row. `applied` reads the new version, as the database counted it, from the answer. */
function buildUpdate(run: string, op: number, id: number, salary: number, condition: Condition) {
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
    applied(answer: unknown): number {
      const { affectedRows, insertId } = answer as mysql.ResultSetHeader;
      if (affectedRows === 1) return insertId;
      const errorClass = version === undefined ? "fenced" : "conflict";
      throw new OperationError("rejected", errorClass, `the row of employee ${id} fails the condition of the write`);
    },
  };
}

/**
 * LAST_INSERT_ID returns what the statement found in `last_op`. What it found in the other columns is the value
 * afterwards minus what it added, because the row is locked from the update on.
 */
async function add(step: Step, run: string, op: number, id: number, raise: number): Promise<LedgerEntry> {
  const [found, left] = (await step(`${ADD}; ${SELECT_EMPLOYEE}`, [op, raise, run, id, run, id])) as [
    mysql.ResultSetHeader,
    unknown,
  ];
  const after = parseEmployee(left);
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

function parseEmployee(result: unknown): Employee {
  const row = (result as mysql.RowDataPacket[])[0];
  if (row === undefined) throw new OperationError("rejected", "row-missing", "the contested row is missing");
  return row as unknown as Employee;
}

/** The results of the statements after the first one: a single result is not wrapped in a list. */
const withoutFirst = ([, ...others]: readonly unknown[]) => (others.length === 1 ? others[0] : others);

/** Returns a connection to the pool only if it is certainly outside any transaction; otherwise destroys it. */
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

/** For a round trip that includes COMMIT: without an answer, it is unknown whether it was carried out. */
const rethrowUnlessAnswered = (error: unknown): never => {
  throw isAnswer(error) ? rejected(error) : unanswered(error);
};
