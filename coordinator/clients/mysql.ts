/** The coordinator's view of the contested rows. Its SQL is not shared with the workers, so that each checks the other. */
import type { Connection as PlainConnection } from "mysql2";
import mysql, { type Pool, type RowDataPacket } from "mysql2/promise";
import { ServerError } from "../errors.ts";
import type { EmployeeState, Evidence, Ledger, Writer } from "../judge/evidence.ts";
import { createLedgerBuilder } from "../judge/ledger.ts";

export type Database = ReturnType<typeof createDatabase>;
/** The final state of a run in the database. */
export type Rows = Pick<Evidence, "final" | "ledger" | "writers">;

const INITIAL_SALARY = 100_000;
/** Rows of runs older than this are removed when a report begins. */
const AGE_DAYS_MAX = 1;

export function createDatabase(url: string, password?: string) {
  const where = `MySQL at ${new URL(url).host}`;
  const pool = mysql.createPool({
    uri: url,
    ...(password === undefined ? {} : { password }),
    connectionLimit: 3,
    connectTimeout: 3_000,
    dateStrings: true,
    timezone: "Z",
  });
  pool.pool.on("connection", (connection) => connection.query("SET time_zone = '+00:00'"));

  async function query<T>(sql: string, values: unknown[] = [], on: Pick<mysql.Pool, "query"> = pool): Promise<T[]> {
    try {
      const [result] = await on.query({ sql, values, timeout: 60_000 });
      return result as T[];
    } catch (error) {
      throw toServerError(where, error);
    }
  }

  const employees = (run: string, on?: mysql.PoolConnection): Promise<EmployeeState[]> =>
    query("SELECT id, version, salary, last_op AS lastOp FROM employee WHERE run = ? ORDER BY id", [run], on);

  const writers = (run: string, on?: mysql.PoolConnection): Promise<Writer[]> =>
    query("SELECT id, worker, loop_index AS `loop`, uid FROM writer WHERE run = ? ORDER BY id", [run], on);

  /** Reads the whole ledger of a run row by row into columns: a million rows as objects would not fit into memory. */
  async function ledger(run: string, on: mysql.PoolConnection): Promise<Ledger> {
    const [counted] = await query<{ count: number }>("SELECT COUNT(*) AS count FROM ledger WHERE run = ?", [run], on);
    const builder = createLedgerBuilder(Number(counted?.count ?? 0));
    await new Promise<void>((resolve, reject) => {
      // Only the plain connection emits row by row.
      (on.connection as unknown as PlainConnection)
        .query({ sql: SELECT_LEDGER, values: [run], rowsAsArray: true, timeout: 120_000 })
        .on("result", (row) => builder.append(row as unknown as number[]))
        .on("error", (error) => reject(toServerError(where, error)))
        .on("end", resolve);
    });
    return builder.finish();
  }

  return {
    pool,
    /**
     * Returns the settings that matter to a lock. Throws ServerError when the server does not answer, lacks a table, or is
     * configured in a way that would make a correct lock look broken.
     */
    async check(): Promise<Record<string, string>> {
      for (const table of TABLES) await query(`SELECT 1 FROM ${table} LIMIT 1`);
      const unsuitable = (reason: string, fix: string) => new ServerError(where, reason, fix, { final: true });
      const [plain] = await query<{ name: string; engine: string }>(SELECT_TABLES_WITHOUT_TRANSACTIONS, [TABLES]);
      if (plain !== undefined)
        throw unsuitable(
          `table ${plain.name} uses the engine ${plain.engine}, which has no transactions`,
          `convert it: ALTER TABLE ${plain.name} ENGINE = InnoDB`,
        );
      // With the option sysdate-is-now, a read would be dated before it waited for its row lock.
      const [clock] = await query<{ early: string; late: string }>(
        "SELECT SYSDATE(6) AS early, SLEEP(0.01) AS slept, SYSDATE(6) AS late",
      );
      if (clock === undefined || clock.early >= clock.late)
        throw unsuitable(
          "SYSDATE() does not advance within a statement, so the times of reads and writes cannot be compared",
          "start the server without the option sysdate-is-now",
        );
      const [server] = await query<{ version: string; comment: string }>(
        "SELECT VERSION() AS version, @@version_comment AS comment",
      );
      const settings = await query<{ Variable_name: string; Value: string }>(
        "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('innodb_flush_log_at_trx_commit', 'innodb_snapshot_isolation', 'innodb_lock_wait_timeout', 'tx_isolation', 'transaction_isolation', 'sync_binlog', 'log_bin')",
      );
      return {
        mysql: `${server?.version} (${server?.comment})`,
        ...Object.fromEntries(settings.map(({ Variable_name, Value }) => [Variable_name, Value])),
      };
    },

    /** Inserts the rows of this run. Rows of other runs stay untouched. */
    async reset(run: string, employees: number): Promise<void> {
      for (let first = 1; first <= employees; first += 1_000) {
        const ids = Array.from({ length: Math.min(1_000, employees - first + 1) }, (_, offset) => first + offset);
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

    /** Reads everything of a run at one moment: a write in progress is in both the rows and the ledger, or in neither. */
    async snapshot(run: string): Promise<Rows> {
      const connection = await pool.getConnection().catch((error) => {
        throw toServerError(where, error);
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
  op: number;
  readOp: number;
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

const TABLES = ["employee", "writer", "ledger", "pending"];

const SELECT_TABLES_WITHOUT_TRANSACTIONS = `
  SELECT tables.table_name AS name, tables.engine AS engine
  FROM information_schema.tables AS tables LEFT JOIN information_schema.engines AS engines ON engines.engine = tables.engine
  WHERE tables.table_schema = DATABASE() AND tables.table_name IN (?) AND COALESCE(engines.transactions, 'NO') <> 'YES'`;

const SELECT_LEDGER = `
  SELECT seq, employee_id, op, read_op, read_version, new_version, read_salary, new_salary, raise, fence,
         TIMESTAMPDIFF(MICROSECOND, '1970-01-01', read_at), TIMESTAMPDIFF(MICROSECOND, '1970-01-01', written_at)
  FROM ledger WHERE run = ? ORDER BY seq`;

const SELECT_LEDGER_AFTER =
  "SELECT seq, employee_id AS employee, op, read_op AS readOp, read_salary AS readSalary, new_salary AS newSalary FROM ledger WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?";

/** Adds the fix to an error of the driver. Wrong credentials and missing tables are final. */
function toServerError(where: string, error: unknown): ServerError {
  const { code = "", message = String(error) } = error as { code?: string; message?: string };
  const reason = message || code;
  if (code === "ER_NO_SUCH_TABLE")
    return new ServerError(where, reason, "load helm/files/schema.sql into this database", {
      cause: error,
      final: true,
    });
  if (code === "ER_ACCESS_DENIED_ERROR" || code === "ER_DBACCESS_DENIED_ERROR" || code === "ER_NOT_SUPPORTED_AUTH_MODE")
    return new ServerError(where, reason, "correct user and password in MYSQL_URL or MYSQL_PASSWORD", {
      cause: error,
      final: true,
    });
  if (code === "ER_BAD_DB_ERROR")
    return new ServerError(where, reason, "create the database and load helm/files/schema.sql", {
      cause: error,
      final: true,
    });
  return new ServerError(where, reason, "start it or correct MYSQL_URL", { cause: error });
}
