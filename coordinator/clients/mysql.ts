/** The coordinator's view of the contested rows, by its own SQL and not the worker's: two ways to one number. */
import type { Connection as PlainConnection } from "mysql2";
import mysql from "mysql2/promise";
import { ServerError } from "../errors.ts";
import type { EmployeeState, Evidence, Ledger, Writer } from "../judge/evidence.ts";
import { createLedgerBuilder } from "../judge/ledger.ts";

export type Database = ReturnType<typeof createDatabase>;
/** What the database has of a run. */
export type Rows = Pick<Evidence, "final" | "ledger" | "writers">;

const INITIAL_SALARY = 100_000;
/** Rows of runs older than this are removed when a report begins. */
const KEEP_DAYS = 1;

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

  async function rows<T>(sql: string, values: unknown[] = [], on: Pick<mysql.Pool, "query"> = pool): Promise<T[]> {
    try {
      const [result] = await on.query({ sql, values, timeout: 60_000 });
      return result as T[];
    } catch (error) {
      throw explain(where, error);
    }
  }

  const employees = (run: string, on?: mysql.PoolConnection): Promise<EmployeeState[]> =>
    rows("SELECT id, version, salary, last_op AS lastOp FROM employee WHERE run = ? ORDER BY id", [run], on);

  const writers = (run: string, on?: mysql.PoolConnection): Promise<Writer[]> =>
    rows("SELECT id, worker, loop_index AS `loop`, uid FROM writer WHERE run = ? ORDER BY id", [run], on);

  /** The whole ledger of a run, row by row into its columns: a million rows as objects would not fit. */
  async function ledger(run: string, on: mysql.PoolConnection): Promise<Ledger> {
    const [counted] = await rows<{ count: number }>("SELECT COUNT(*) AS count FROM ledger WHERE run = ?", [run], on);
    const builder = createLedgerBuilder(Number(counted?.count ?? 0));
    await new Promise<void>((resolve, reject) => {
      // Only the plain connection gives row by row.
      (on.connection as unknown as PlainConnection)
        .query({ sql: SELECT_LEDGER, values: [run], rowsAsArray: true, timeout: 120_000 })
        .on("result", (row) => builder.append(row as unknown as number[]))
        .on("error", (error) => reject(explain(where, error)))
        .on("end", resolve);
    });
    return builder.finish();
  }

  return {
    pool,
    /** Throws ServerError unless the server answers and has the tables. Returns the settings that matter to a lock. */
    async check(): Promise<Record<string, string>> {
      for (const table of ["employee", "writer", "ledger", "pending"]) await rows(`SELECT 1 FROM ${table} LIMIT 1`);
      const [server] = await rows<{ version: string; comment: string }>(
        "SELECT VERSION() AS version, @@version_comment AS comment",
      );
      const settings = await rows<{ Variable_name: string; Value: string }>(
        "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('innodb_flush_log_at_trx_commit', 'innodb_snapshot_isolation', 'innodb_lock_wait_timeout', 'tx_isolation', 'transaction_isolation', 'sync_binlog', 'log_bin')",
      );
      return {
        mysql: `${server?.version} (${server?.comment})`,
        ...Object.fromEntries(settings.map(({ Variable_name, Value }) => [Variable_name, Value])),
      };
    },

    /** New rows for this run; nothing that another run uses is touched. */
    async reset(run: string, employees: number): Promise<void> {
      for (let first = 1; first <= employees; first += 1_000) {
        const ids = Array.from({ length: Math.min(1_000, employees - first + 1) }, (_, offset) => first + offset);
        await rows("INSERT INTO employee (run, id, email, version, salary) VALUES ?", [
          ids.map((id) => [run, id, `employee-${id}@example.com`, 1, INITIAL_SALARY]),
        ]);
      }
    },

    /** Forgets runs of earlier days. */
    async purge(): Promise<void> {
      const old = await rows<{ run: string }>(
        "SELECT run FROM ledger GROUP BY run HAVING MAX(written_at) < DATE_SUB(SYSDATE(6), INTERVAL ? DAY)",
        [KEEP_DAYS],
      );
      for (const { run } of old)
        for (const table of ["ledger", "pending", "writer", "employee"])
          await rows(`DELETE FROM ${table} WHERE run = ?`, [run]);
    },

    employees: (run: string) => employees(run),

    /** All of a run at one moment: a write that is still under way is in the rows and in the ledger, or in neither. */
    async snapshot(run: string): Promise<Rows> {
      const connection = await pool.getConnection().catch((error) => {
        throw explain(where, error);
      });
      try {
        await rows("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", [], connection);
        await rows("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", [], connection);
        return {
          final: await employees(run, connection),
          ledger: await ledger(run, connection),
          writers: await writers(run, connection),
        };
      } finally {
        // Closing it ends its transaction, whatever became of that.
        connection.destroy();
      }
    },

    close: () => pool.end(),
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const SELECT_LEDGER = `
  SELECT seq, employee_id, op, read_op, read_version, new_version, read_salary, new_salary, raise, fence,
         TIMESTAMPDIFF(MICROSECOND, '1970-01-01', read_at), TIMESTAMPDIFF(MICROSECOND, '1970-01-01', written_at)
  FROM ledger WHERE run = ? ORDER BY seq`;

function explain(where: string, error: unknown): ServerError {
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
