/** The coordinator's view of the contested rows. Its SQL is not shared with the workers, so that each checks the other. */
import type { Connection as PlainConnection } from "mysql2";
import type { Pool, PoolConnection, RowDataPacket } from "mysql2/promise";
import { type MysqlVariables, mysqlAddress, openMysqlPool } from "../../worker/servers/mysql.ts";
import type { EmployeeState, Evidence, Ledger, Writer } from "../judge/evidence.ts";
import { createLedgerBuilder } from "../judge/ledger.ts";
import { checkMysqlServers } from "./mysql-cluster.ts";
import { toMysqlError } from "./mysql-errors.ts";

export type Database = ReturnType<typeof createDatabase>;
/** The final state of a run in the database. */
export type Rows = Pick<Evidence, "final" | "ledger" | "writers">;

const INITIAL_SALARY = 100_000;
/** Rows of one INSERT, about 7 KB: some servers have a `max_allowed_packet` of 16 KB. */
const INSERTED_MAX = 100;
/** Rows of runs older than this are removed when a report begins. */
const AGE_DAYS_MAX = 1;

export function createDatabase(variables: MysqlVariables) {
  const where = `MySQL at ${mysqlAddress(variables)}`;
  const pool = openMysqlPool(variables, { connectionLimit: 3, connectTimeout: 3_000 });
  // On Galera, reads then wait for the commits of the other servers. Other servers answer with an error, which is ignored.
  pool.pool.on("connection", (connection) => connection.query("SET SESSION wsrep_sync_wait = 1", () => {}));

  async function query<T>(sql: string, values: unknown[] = [], on: Pick<Pool, "query"> = pool): Promise<T[]> {
    try {
      const [result] = await on.query({ sql, values, timeout: 60_000 });
      return result as T[];
    } catch (error) {
      throw toMysqlError(where, error);
    }
  }

  const employees = (run: string, on?: PoolConnection): Promise<EmployeeState[]> =>
    query("SELECT id, version, salary, last_op AS lastOp FROM employee WHERE run = ? ORDER BY id", [run], on);

  const writers = (run: string, on?: PoolConnection): Promise<Writer[]> =>
    query("SELECT id, worker, loop_index AS `loop`, uid FROM writer WHERE run = ? ORDER BY id", [run], on);

  /** Reads the whole ledger of a run row by row into columns: a million rows as objects would not fit into memory. */
  async function ledger(run: string, on: PoolConnection): Promise<Ledger> {
    const [counted] = await query<{ count: number }>("SELECT COUNT(*) AS count FROM ledger WHERE run = ?", [run], on);
    const builder = createLedgerBuilder(Number(counted?.count ?? 0));
    await new Promise<void>((resolve, reject) => {
      // Only the plain connection emits row by row.
      (on.connection as unknown as PlainConnection)
        .query({ sql: SELECT_LEDGER, values: [run], rowsAsArray: true, timeout: 120_000 })
        .on("result", (row) => builder.append(row as unknown as number[]))
        .on("error", (error) => reject(toMysqlError(where, error)))
        .on("end", resolve);
    });
    return builder.finish();
  }

  return {
    pool,
    /** As {@link checkMysqlServers}. */
    check: () => checkMysqlServers(variables),

    /** Inserts the rows of this run. Rows of other runs stay untouched. */
    async reset(run: string, employees: number): Promise<void> {
      for (let first = 1; first <= employees; first += INSERTED_MAX) {
        const ids = Array.from({ length: Math.min(INSERTED_MAX, employees - first + 1) }, (_, i) => first + i);
        await query("INSERT INTO employee (run, id, email, version, salary) VALUES ?", [
          ids.map((id) => [run, id, `employee-${id}@example.com`, 1, INITIAL_SALARY]),
        ]);
      }
    },

    /** Deletes the rows of runs that ended more than a day ago. */
    async purge(): Promise<void> {
      const old = await query<{ run: string }>(
        "SELECT run FROM ledger GROUP BY run HAVING MAX(written_at) < DATE_SUB(SYSDATE(6), INTERVAL ? DAY)",
        [AGE_DAYS_MAX],
      );
      for (const { run } of old)
        for (const table of ["ledger", "pending", "writer", "employee"])
          await query(`DELETE FROM ${table} WHERE run = ?`, [run]);
    },

    employees: (run: string) => employees(run),

    /** The database's clock, microseconds since 1970. */
    async nowUs(): Promise<number> {
      const [row] = await query<{ now: number }>("SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', SYSDATE(6)) AS now");
      return Number(row!.now);
    },

    /** Returns what may explain the result of a run; undefined if the server does not answer. Never rejects. */
    async state(): Promise<Record<string, string> | undefined> {
      try {
        const [variables] = await pool.query<RowDataPacket[]>({ sql: SHOW_VARIABLES, values: [STATE], timeout: 3_000 });
        const status = await readStatus(pool, ["Uptime", "wsrep_cluster_size"]);
        const [[tables]] = await pool.query<RowDataPacket[]>({ sql: SELECT_ENGINES, timeout: 3_000 });
        const fields = [
          ...variables.map((row) => [row.Variable_name, row.Value]),
          ...status,
          ["engine", tables?.engines],
        ];
        return { ...Object.fromEntries(fields), asked_at_ms: String(Date.now()) };
      } catch {
        return undefined;
      }
    },

    /** Reads everything of a run at one moment: a write in progress is in both the rows and the ledger, or in neither. */
    async snapshot(run: string): Promise<Rows> {
      const connection = await pool.getConnection().catch((error) => {
        throw toMysqlError(where, error);
      });
      try {
        await query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", [], connection);
        await query("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", [], connection);
        return {
          final: await employees(run, connection),
          ledger: await ledger(run, connection),
          writers: await writers(run, connection),
        };
      } finally {
        // Closing the connection also ends the transaction, in whatever state it is.
        connection.destroy();
      }
    },

    close: () => pool.end(),
  };
}

// --- Reading a run while it is running, for the dashboard ------------------------------------------------------------

/** A row of the ledger, as far as the dashboard needs it. */
export interface LedgerRow extends RowDataPacket {
  seq: number;
  employee: number;
  readVersion: number;
  newVersion: number;
  readSalary: number;
  newSalary: number;
}

/** Returns up to `limit` rows of a run's ledger in the order of `seq`, beginning after `seq`. */
export async function readLedgerAfter(
  pool: Pool,
  run: string,
  seq: number,
  limit: number,
): Promise<readonly LedgerRow[]> {
  const [rows] = await pool.query<LedgerRow[]>(SELECT_LEDGER_AFTER, [run, seq, limit]);
  return rows;
}

/** Returns the number of a run's rows and the sum of their versions; undefined before the rows are inserted. */
export async function sumVersions(
  pool: Pool,
  run: string,
): Promise<{ readonly count: number; readonly version: number } | undefined> {
  const [[sums]] = await pool.query<RowDataPacket[]>(
    "SELECT COUNT(*) AS count, CAST(SUM(version) AS SIGNED) AS version FROM employee WHERE run = ?",
    [run],
  );
  return sums === undefined || sums.count === 0 ? undefined : { count: sums.count, version: sums.version };
}

/** Returns these fields of `SHOW GLOBAL STATUS`; a field that the server does not have is left out. */
export async function readStatus(
  pool: Pool,
  fields: readonly string[],
): Promise<readonly (readonly [field: string, value: string])[]> {
  const sql = "SHOW GLOBAL STATUS WHERE Variable_name IN (?)";
  const [rows] = await pool.query<RowDataPacket[]>(sql, [fields]);
  return rows.map((row) => [row.Variable_name, row.Value]);
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const SHOW_VARIABLES = "SHOW GLOBAL VARIABLES WHERE Variable_name IN (?)";
const SELECT_ENGINES = `
  SELECT GROUP_CONCAT(DISTINCT engine ORDER BY engine) AS engines FROM information_schema.tables
  WHERE table_schema = DATABASE() AND table_name IN ('employee', 'writer', 'ledger', 'pending')`;
const STATE = [
  ...["hostname", "read_only", "super_read_only", "autocommit", "transaction_isolation", "tx_isolation"],
  ...["innodb_flush_log_at_trx_commit", "sync_binlog", "wsrep_on"],
];

const SELECT_LEDGER = `
  SELECT seq, employee_id, op, read_op, read_version, new_version, read_salary, new_salary, raise, fence,
         TIMESTAMPDIFF(MICROSECOND, '1970-01-01', read_at), TIMESTAMPDIFF(MICROSECOND, '1970-01-01', written_at)
  FROM ledger WHERE run = ? ORDER BY seq`;

const SELECT_LEDGER_AFTER =
  "SELECT seq, employee_id AS employee, read_version AS readVersion, new_version AS newVersion, read_salary AS readSalary, new_salary AS newSalary FROM ledger WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?";
