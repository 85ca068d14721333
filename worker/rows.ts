/**
 * The contested rows and their ledger.
 *
 * The ledger costs no extra round trip. A transaction begins with its first statement and ends with the ledger rows and
 * COMMIT in one trip; a write outside a transaction is one trip with its ledger row, as it is without one (except on
 * Galera, see sender.ts). Times are the database's (`SYSDATE`, not `NOW`: `NOW` is fixed before the wait for a row
 * lock).
 */
import type mysql from "mysql2/promise";
import type { WorkerSpec } from "./contract.ts";
import { leavesUsable, OperationError, rejected } from "./outcome.ts";
import {
  addToSalary,
  type Condition,
  type Employee,
  insertLedger,
  insertLedgerIfUpdated,
  type LedgerEntry,
  parseEmployee,
  selectEmployee,
  updateEmployee,
} from "./row-sql.ts";
import { createSender, type Sending, type Statement } from "./sender.ts";
import { type MysqlVariables, openMysqlPool } from "./servers/mysql.ts";
import type { Network } from "./servers/network.ts";

export type { Condition, Employee } from "./row-sql.ts";

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
  readonly server: MysqlVariables;
  readonly spec: Pick<WorkerSpec, "run" | "concurrency" | "statementTimeoutMs" | "ledger">;
  /** Called after each COMMIT with the version that was read and the new version as the database counted it. */
  readonly wrote?: (readVersion: number, newVersion: number) => void;
  /** How statements that belong together are sent, by default as the server needs it; see sender.ts. */
  readonly sending?: Sending;
  /** Called with the name of each server of a Galera cluster that a connection leads to. */
  readonly onGalera?: (server: string) => void;
  /** What comes between the connections and their server, if anything does. */
  readonly network?: Network | undefined;
}

export function createRows({ server, spec, wrote, sending, onGalera, network }: RowsOptions): Rows {
  const limits = { connectionLimit: spec.concurrency, maxIdle: spec.concurrency };
  const pool = openMysqlPool(
    server,
    { ...limits, connectTimeout: spec.statementTimeoutMs, multipleStatements: true },
    network === undefined ? undefined : (socket) => network.wrap("mysql", socket),
  );
  const { send, sendAll } = createSender({ statementTimeoutMs: spec.statementTimeoutMs, sending, onGalera });

  async function onConnection<T>(body: (connection: mysql.PoolConnection) => Promise<T>): Promise<T> {
    const connection = await pool.getConnection().catch((error) => {
      throw rejected(error);
    });
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
  const alone = (statement: Statement) => onConnection((connection) => send(connection, statement));

  async function transact<T>(connection: mysql.PoolConnection, body: (transaction: Transaction) => Promise<T>) {
    // `begin` is sent with the first statement, `written` with the COMMIT.
    let begin: Statement[] = [{ sql: "START TRANSACTION" }];
    const written: LedgerEntry[] = [];
    const step = async (...statements: Statement[]) => {
      const first = begin;
      begin = [];
      return (await sendAll(connection, [...first, ...statements])).slice(first.length);
    };
    const result = await body({
      read: async (employeeId, lock) => parseEmployee((await step(selectEmployee(spec.run, employeeId, lock)))[0]),
      async write({ id: op }, employee, salary, condition = {}) {
        const update = updateEmployee(spec.run, op, employee.id, salary, condition);
        const newVersion = update.applied((await step(update))[0]);
        written.push({ op, employee, salary, newVersion, fence: condition.fence ?? 0 });
      },
      async add({ id: op }, employeeId, raise) {
        const { statements, parse } = addToSalary(spec.run, op, employeeId, raise);
        written.push(parse(await step(...statements)));
      },
      query: async (sql, values) => (await step({ sql, values }))[0] as never,
    });
    const ledger = spec.ledger && written.length > 0 ? [insertLedger(spec.run, written)] : [];
    if (begin.length === 0) await sendAll(connection, [...ledger, COMMIT]);
    for (const { employee, newVersion } of written) wrote?.(employee.version, newVersion);
    return result;
  }

  /** If the update changes no row, no ledger row is written, and `applied` rejects the write. */
  async function writeAlone({ id: op }: Author, employee: Employee, salary: number, condition: Condition = {}) {
    const update = updateEmployee(spec.run, op, employee.id, salary, condition);
    const { fence = 0 } = condition;
    const insert = insertLedgerIfUpdated(spec.run, { op, employee, salary, fence });
    const answer = await onConnection(async (connection) => {
      if (!spec.ledger) return send(connection, { ...update, commits: true });
      return (await sendAll(connection, [{ sql: "START TRANSACTION" }, update, insert, COMMIT]))[1];
    });
    const newVersion = update.applied(answer);
    wrote?.(employee.version, newVersion);
  }

  return {
    transaction: (body) => onConnection((connection) => transact(connection, body)),
    connection: (body) =>
      onConnection((connection) =>
        body({
          transaction: (inside) => transact(connection, inside),
          query: (sql, values, waitMs) => send(connection, { sql, values }, waitMs) as Promise<never>,
        }),
      ),
    async read(employeeId) {
      return parseEmployee(await alone(selectEmployee(spec.run, employeeId)));
    },
    write: writeAlone,
    async claim(employeeId, fence) {
      const sql = "UPDATE employee SET fence = ? WHERE run = ? AND id = ? AND fence < ?";
      const result = (await alone({ sql, values: [fence, spec.run, employeeId, fence] })) as mysql.ResultSetHeader;
      if (result.affectedRows === 0)
        throw new OperationError("rejected", "fenced", `token ${fence} is not newer than the row's`);
    },
    async registerWriter(worker, loop, uid, node) {
      const sql = "INSERT INTO writer (run, worker, loop_index, uid, node) VALUES (?, ?, ?, ?, ?)";
      return ((await alone({ sql, values: [spec.run, worker, loop, uid, node] })) as mysql.ResultSetHeader).insertId;
    },
    async nowUs() {
      const sql = "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', SYSDATE(6)) AS us";
      return Number(((await alone({ sql })) as mysql.RowDataPacket[])[0]?.us);
    },
    close: () => pool.end(),
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const COMMIT: Statement = { sql: "COMMIT", commits: true };

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
