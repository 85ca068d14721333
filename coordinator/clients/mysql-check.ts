/**
 * Whether a database can be used: the tables of helm/files/schema.sql and every right that a later statement of the
 * coordinator or of a worker needs. Rights are tried for real, in a transaction that is rolled back: GRANT tables can be
 * read by few users, and roles, columns and read-only servers decide as well.
 */
import { randomBytes } from "node:crypto";
import type { Pool, PoolConnection, RowDataPacket } from "mysql2/promise";
import { ServerError } from "../errors.ts";
import { list } from "../text/format.ts";
import { toMysqlError } from "./mysql-errors.ts";

/**
 * Returns the settings that matter to a lock. Throws ServerError, which names the server `where`, if the database cannot
 * be used or is configured in a way that would make a correct lock look broken.
 */
export async function checkMysql(pool: Pool, where: string): Promise<Record<string, string>> {
  const connection = await pool.getConnection().catch((error) => {
    throw toMysqlError(where, error);
  });
  try {
    for (const find of [findTableFault, findMissingRight, findColumnFault, findClockFault]) {
      const fault = await find(connection);
      if (fault !== undefined) throw new ServerError(where, fault.reason, fault.fix, { final: true });
    }
    return await readSettings(connection);
  } catch (error) {
    throw toMysqlError(where, error);
  } finally {
    // Closing the connection also ends a transaction that an error has left open.
    connection.destroy();
  }
}

/** The tables of helm/files/schema.sql, with the type of each column as information_schema writes it. */
export const SCHEMA: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  employee: {
    run: "varchar(63)",
    id: "int",
    email: "varchar(254)",
    version: "bigint",
    salary: "bigint",
    fence: "bigint",
    last_op: "bigint",
  },
  writer: {
    id: "bigint auto_increment",
    run: "varchar(63)",
    worker: "int",
    loop_index: "int",
    uid: "varchar(63)",
    node: "varchar(63)",
  },
  pending: { run: "varchar(63)", op: "bigint", employee_id: "int", raise: "bigint" },
  ledger: {
    seq: "bigint auto_increment",
    run: "varchar(63)",
    employee_id: "int",
    op: "bigint",
    read_op: "bigint",
    read_version: "bigint",
    new_version: "bigint",
    read_salary: "bigint",
    new_salary: "bigint",
    raise: "bigint",
    fence: "bigint",
    read_at: "datetime(6)",
    written_at: "datetime(6)",
  },
};

// --- Internal helpers -----------------------------------------------------------------------------------------------

interface Fault {
  readonly reason: string;
  readonly fix: string;
}

const TABLES = Object.keys(SCHEMA);
const LOAD = "load helm/files/schema.sql into this database";
const replace = (tables: readonly string[]) => `run DROP TABLE ${tables.join(", ")}, then ${LOAD}`;

async function select<T>(connection: PoolConnection, sql: string, values: unknown[] = []): Promise<T[]> {
  const [rows] = await connection.query<RowDataPacket[]>({ sql, values, timeout: 60_000 });
  return rows as T[];
}

async function findTableFault(connection: PoolConnection): Promise<Fault | undefined> {
  // Says 1046 without a database and 1146 without a table. A missing right is named later, with all others.
  for (const table of TABLES) await select(connection, `SELECT 1 FROM ${table} LIMIT 1`).catch(unlessDenied);
  const tables = await select<Table>(connection, SELECT_TABLES, [TABLES]);
  for (const { name, kind, engine, transactions, options } of tables) {
    if (kind !== "BASE TABLE")
      return { reason: `${name} is a ${kind.toLowerCase()}, not a table`, fix: `remove it and ${LOAD}` };
    if (transactions !== "YES")
      return {
        reason: `table ${name} uses the engine ${engine}, which has no transactions`,
        fix: `convert it: ALTER TABLE ${name} ENGINE = InnoDB`,
      };
    if (/\bpartitioned\b/.test(options ?? ""))
      return {
        reason: `table ${name} is partitioned`,
        fix: `remove the partitions: ALTER TABLE ${name} REMOVE PARTITIONING`,
      };
  }
  const [unique] = await select<{ name: string }>(connection, SELECT_UNIQUE_KEYS);
  if (unique === undefined) return undefined;
  // An operation that was applied twice must be recorded twice.
  const fix = `remove it: ALTER TABLE ledger DROP KEY ${quoteName(unique.name)}`;
  return { reason: `table ledger has the unique key ${unique.name}, as in an older schema.sql`, fix };
}

interface Table {
  readonly name: string;
  readonly kind: string;
  readonly engine: string;
  readonly transactions: string | null;
  readonly options: string | null;
}

const SELECT_TABLES = `
  SELECT tables.table_name AS name, tables.table_type AS kind, tables.engine AS engine,
         engines.transactions AS transactions, tables.create_options AS options
  FROM information_schema.tables AS tables LEFT JOIN information_schema.engines AS engines ON engines.engine = tables.engine
  WHERE tables.table_schema = DATABASE() AND tables.table_name IN (?)`;

const SELECT_UNIQUE_KEYS = `
  SELECT DISTINCT index_name AS name FROM information_schema.statistics
  WHERE table_schema = DATABASE() AND table_name = 'ledger' AND non_unique = 0 AND index_name <> 'PRIMARY'`;

/** One statement of each kind that a report sends, with every column that it names. */
const STATEMENTS: readonly (readonly [right: string, table: string, sql: string])[] = [
  ["INSERT", "employee", "INSERT INTO employee (run, id, email, version, salary) VALUES (?, 1, 'check', 1, 1)"],
  ["INSERT", "writer", "INSERT INTO writer (run, worker, loop_index, uid, node) VALUES (?, 0, 0, 'check', 'check')"],
  ["INSERT", "pending", "INSERT INTO pending (run, op, employee_id, raise) VALUES (?, 1, 1, 1)"],
  [
    "INSERT",
    "ledger",
    "INSERT INTO ledger (run, employee_id, op, read_op, read_version, new_version, read_salary, new_salary, raise, fence, read_at, written_at) VALUES (?, 1, 1, 0, 1, 2, 1, 2, 1, 0, SYSDATE(6), SYSDATE(6))",
  ],
  ...TABLES.map(
    (table) =>
      ["SELECT", table, `SELECT ${Object.keys(SCHEMA[table]!).join(", ")} FROM ${table} WHERE run = ?`] as const,
  ),
  ["UPDATE", "employee", "SELECT id FROM employee WHERE run = ? FOR UPDATE"],
  ["UPDATE", "employee", "UPDATE employee SET version = version + 1, salary = 2, fence = 1, last_op = 1 WHERE run = ?"],
  ...TABLES.map((table) => ["DELETE", table, `DELETE FROM ${table} WHERE run = ?`] as const),
];

async function findMissingRight(connection: PoolConnection): Promise<Fault | undefined> {
  const run = `check-${randomBytes(8).toString("hex")}`;
  const missing = new Map<string, Set<string>>();
  await connection.query("START TRANSACTION");
  for (const [right, table, sql] of STATEMENTS)
    await select(connection, sql, [run]).catch((error) => {
      // Missing columns are named later, all of them at once.
      if (error.errno === UNKNOWN_COLUMN) return;
      unlessDenied(error);
      missing.set(right, (missing.get(right) ?? new Set()).add(table));
    });
  await connection.query("ROLLBACK");
  if (missing.size === 0) return undefined;
  const [who] = await select<{ account: string; name: string }>(
    connection,
    "SELECT CURRENT_USER() AS account, DATABASE() AS name",
  );
  const account = (who?.account ?? "")
    .split("@")
    .map((part) => `'${part}'`)
    .join("@");
  const lacking = [...missing].map(([right, tables]) => `${right} on ${list([...tables])}`);
  const rights = [...missing.keys()].join(", ");
  return {
    reason: `user ${account} lacks ${lacking.join("; ")}`,
    fix: `run GRANT ${rights} ON ${quoteName(who?.name ?? "")}.* TO ${account}`,
  };
}

const UNKNOWN_COLUMN = 1054;
const COMMAND_DENIED = [1142, 1143];

function unlessDenied(error: unknown): void {
  if (!COMMAND_DENIED.includes((error as { errno?: number }).errno ?? 0)) throw error;
}

const quoteName = (name: string) => `\`${name.replaceAll("`", "``")}\``;

async function findColumnFault(connection: PoolConnection): Promise<Fault | undefined> {
  const columns = await select<{ name: string; type: string; extra: string }>(connection, SELECT_COLUMNS, [TABLES]);
  const found = new Map(columns.map(({ name, type, extra }) => [name, withoutWidth(`${type} ${extra}`)]));
  const faults = TABLES.flatMap((table) =>
    Object.entries(SCHEMA[table]!).flatMap(([column, expected]) => {
      const name = `${table}.${column}`;
      const type = found.get(name);
      if (type === undefined) return { table, text: `column ${name} is missing` };
      return suits(type, expected) ? [] : { table, text: `column ${name} is ${type}, not ${expected}` };
    }),
  );
  if (faults[0] === undefined) return undefined;
  return {
    reason: faults.map(({ text }) => text).join("; "),
    fix: replace([...new Set(faults.map(({ table }) => table))]),
  };
}

const SELECT_COLUMNS = `
  SELECT CONCAT(table_name, '.', column_name) AS name, column_type AS type, extra AS extra
  FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name IN (?)`;

/** MariaDB writes the width at which an integer is printed. */
const withoutWidth = (type: string) =>
  type
    .toLowerCase()
    .replace(/\b(int|bigint)\(\d+\)/, "$1")
    .trim();

/** A longer text and a larger integer suit as well. */
function suits(type: string, expected: string): boolean {
  const length = (text: string) => Number(/^varchar\((\d+)\)/.exec(text)?.[1]);
  if (expected.startsWith("varchar")) return length(type) >= length(expected);
  return type === expected || (expected === "int" && type === "bigint");
}

/** With the option sysdate-is-now, a read would be dated before it waited for its row lock. */
async function findClockFault(connection: PoolConnection): Promise<Fault | undefined> {
  const [clock] = await select<{ early: string; late: string }>(
    connection,
    "SELECT SYSDATE(6) AS early, SLEEP(0.01) AS slept, SYSDATE(6) AS late",
  );
  if (clock !== undefined && clock.early < clock.late) return undefined;
  return {
    reason: "SYSDATE() does not advance within a statement, so the times of reads and writes cannot be compared",
    fix: "start the server without the option sysdate-is-now",
  };
}

async function readSettings(connection: PoolConnection): Promise<Record<string, string>> {
  const [server] = await select<{ version: string; comment: string }>(
    connection,
    "SELECT VERSION() AS version, @@version_comment AS comment",
  );
  const settings = await select<{ Variable_name: string; Value: string }>(
    connection,
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN (?)",
    [SETTINGS],
  );
  return {
    mysql: `${server?.version} (${server?.comment})`,
    ...Object.fromEntries(settings.map(({ Variable_name, Value }) => [Variable_name, Value])),
  };
}

const SETTINGS = [
  "innodb_flush_log_at_trx_commit",
  "innodb_snapshot_isolation",
  "innodb_lock_wait_timeout",
  "tx_isolation",
  "transaction_isolation",
  "sync_binlog",
  "log_bin",
];
