import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import mysql from "mysql2/promise";
import { mysqlOptions } from "../../../../worker/servers/mysql.ts";
import { ServerError } from "../../../errors.ts";
import { filesFolder } from "../../../paths.ts";
import type { Keeper } from "./keeper.ts";
import { freePort } from "./ports.ts";
import { findProgram } from "./programs.ts";
import { waitUntilDone, waitUntilReady } from "./ready.ts";
import { serverProcess } from "./server-process.ts";

const DATABASE = "holdfast";
const USER = "holdfast";
/** MariaDB takes one second, MySQL several. */
const INITIALIZE_MS = 90_000;
const READY_MS = 30_000;

/** A folder with the data of a server that does not run, and the program that made it. */
export interface MysqlData {
  readonly folder: string;
  readonly password: string;
  readonly program: { readonly command: string; readonly name: string; readonly isMariadb: boolean };
}

/**
 * Starts a MySQL or MariaDB with helm/files/mysql.cnf on new data, which has the tables of helm/files/schema.sql and one user
 * with all privileges on them. No other account can log in. `furtherOptions` go to the server. Throws ServerError.
 */
export async function startMysql(keeper: Keeper, furtherOptions: readonly string[] = []) {
  return runMysql(keeper, await initializeMysql(keeper), furtherOptions);
}

/** Makes the data for {@link runMysql}. Throws ServerError. */
export async function initializeMysql(keeper: Keeper): Promise<MysqlData> {
  const command = await findProgram(["mysqld", "mariadbd"], "mariadb-server-core");
  const isMariadb = (await readProgramVersion(command)).includes("MariaDB");
  const name = `${isMariadb ? "MariaDB" : "MySQL"} (${command})`;
  const password = randomBytes(16).toString("hex");
  const folder = join(keeper.folder, "mysql");
  await mkdir(folder);

  const setup = join(keeper.folder, "setup.sql");
  await writeFile(setup, await setupSql(isMariadb ? await systemTables(command) : "", password), { mode: 0o600 });
  const initialize = keeper.run({
    command,
    // A crash before the report begins loses nothing, so these data need not reach the disk.
    args: [
      ...optionsFor(keeper, folder),
      ...(isMariadb ? ["--bootstrap", "--loose-debug-no-sync"] : ["--initialize", `--init-file=${setup}`]),
    ],
    cwd: keeper.folder,
    log: join(keeper.folder, "mysql-initialize.log"),
    input: isMariadb ? setup : undefined,
  });
  await waitUntilDone(initialize, name, INITIALIZE_MS);
  // The file contains the password.
  await rm(setup);
  return { folder, password, program: { command, name, isMariadb } };
}

/** Starts a server on a free loopback port, and waits until it answers. Throws ServerError. */
export async function runMysql(
  keeper: Keeper,
  { folder, password, program }: MysqlData,
  furtherOptions: readonly string[] = [],
) {
  const port = await freePort();
  const server = keeper.run({
    command: program.command,
    args: [
      ...optionsFor(keeper, folder),
      ...["--bind-address=127.0.0.1", `--port=${port}`, "--socket=", `--pid-file=${folder}.pid`],
      ...furtherOptions,
    ],
    cwd: keeper.folder,
    log: `${folder}.log`,
  });
  const url = `mysql://${USER}:${password}@127.0.0.1:${port}/${DATABASE}`;
  const answer = () => readServerVersion(url);
  const version = await waitUntilReady(server, program.name, READY_MS, answer);
  return {
    url,
    version: program.isMariadb ? `MariaDB ${version}` : `MySQL ${version}`,
    process: serverProcess(server, { thing: program.name, readyMs: READY_MS, answer }),
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const optionsFor = (keeper: Keeper, data: string): string[] => [
  // Must be the first option. It replaces the files in /etc.
  `--defaults-file=${join(filesFolder(), "mysql.cnf")}`,
  `--datadir=${data}`,
  `--tmpdir=${keeper.folder}`,
  ...(process.getuid?.() === 0 ? ["--user=root"] : []),
];

async function readProgramVersion(command: string): Promise<string> {
  try {
    return (await promisify(execFile)(command, ["--no-defaults", "--version"], { timeout: 20_000 })).stdout;
  } catch (error) {
    throw new ServerError(
      command,
      `it cannot be run: ${(error as Error).message}`,
      "start it by hand to see why it fails",
    );
  }
}

/** Returns one statement on each line, which is what both servers need while they initialize new data. */
async function setupSql(systemTables: string, password: string): Promise<string> {
  const schema = await readFile(join(filesFolder(), "schema.sql"), "utf8");
  const account = `'${USER}'@'127.0.0.1'`;
  const statements = [
    `CREATE DATABASE ${DATABASE}`,
    `CREATE USER ${account} IDENTIFIED BY '${password}'`,
    `GRANT ALL PRIVILEGES ON ${DATABASE}.* TO ${account}`,
    `USE ${DATABASE}`,
    ...schema
      .replaceAll(/--.*$/gm, "")
      .split(";")
      .map((statement) => statement.replaceAll(/\s+/g, " ").trim())
      .filter((statement) => statement !== ""),
  ];
  return `${systemTables}${statements.join(";\n")};\n`;
}

/**
 * Returns the SQL for the tables in which MariaDB keeps its accounts. Its own mariadb-install-db needs programs of a package
 * that is not installed with the server, and spends most of its time on help pages.
 */
async function systemTables(command: string): Promise<string> {
  const prefix = dirname(dirname(await realpath(command)));
  const folders = ["mysql", "mariadb"].map((name) => join(prefix, "share", name));
  const files = folders.flatMap((folder) => [
    join(folder, "mysql_system_tables.sql"),
    join(folder, "mariadb_system_tables.sql"),
  ]);
  const file = files.find((candidate) => existsSync(candidate));
  if (file === undefined)
    throw new ServerError(command, `there is no mysql_system_tables.sql in ${folders.join(" or ")}`, "reinstall it");
  return `CREATE DATABASE mysql;\nUSE mysql;\n${await readFile(file, "utf8")}\nFLUSH PRIVILEGES;\n`;
}

async function readServerVersion(url: string): Promise<string> {
  const connection = await mysql.createConnection({ ...mysqlOptions({ MYSQL_URL: url }), connectTimeout: 2_000 });
  try {
    const [rows] = await connection.query({ sql: "SELECT VERSION() AS version", timeout: 2_000 });
    return (rows as { version: string }[])[0]!.version.replace(/-.*/, "");
  } finally {
    connection.destroy();
  }
}
