/**
 * Measures the time and the peak resident memory of judging a million ledger rows: reading them from a real database,
 * checking them, and making the report. Goal: below 5 s and 300 MB on two cores.
 *
 *   node bench/judging.ts [--rows 1000000]
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { parseArgs } from "node:util";
import mysql from "mysql2/promise";
import { startServers } from "../coordinator/platform/local/servers/index.ts";
import { keep, machine, printTable } from "./support.ts";

const { values } = parseArgs({ options: { rows: { type: "string", default: "1000000" } } });
const rows = Number(values.rows);
await using servers = await startServers({ coordinatorUrl: "http://127.0.0.1:9", only: ["mysql"] });
const connection = await mysql.createConnection(servers.mysql!.url);
await connection.query(
  "INSERT INTO employee (run, id, email, version, salary, last_op) VALUES ('bench', 1, 'e', ?, ?, ?)",
  [rows + 1, 100_000 + rows * 7, (1 + ((rows - 1) % 4)) * 2 ** 28 + Math.ceil(rows / 4)],
);
for (let worker = 0; worker < 4; worker += 1)
  await connection.query(
    "INSERT INTO writer (id, run, worker, loop_index, uid, node) VALUES (?, 'bench', ?, 0, ?, 'local')",
    [worker + 1, worker, `uid-${worker}`],
  );
// A correct history: the four writers take turns, and each raise is 7.
for (let first = 1; first <= rows; first += 5_000) {
  const page = Array.from({ length: Math.min(5_000, rows - first + 1) }, (_, offset) => rowOf(first + offset));
  await connection.query(
    "INSERT INTO ledger (run, employee_id, op, read_op, read_version, new_version, read_salary, new_salary, raise, fence, read_at, written_at) VALUES ?",
    [page],
  );
}
await connection.end();
process.stderr.write(`${rows} rows are in the database\n`);

const child = spawn(
  process.execPath,
  [new URL("judge.ts", import.meta.url).pathname, servers.mysql!.url, String(rows)],
  {
    stdio: ["ignore", "pipe", "inherit"],
  },
);
let out = "";
child.stdout.on("data", (chunk) => (out += chunk));
await once(child, "close");
const result = JSON.parse(out) as Record<string, number | string>;
printTable(
  ["what", "figure"],
  Object.entries(result).map(([what, figure]) => [what, String(figure)]),
);
await keep("judging", { ...machine(), rows, ...result });

function rowOf(n: number): unknown[] {
  const op = (sequence: number) =>
    sequence === 0 ? 0 : (1 + ((sequence - 1) % 4)) * 2 ** 28 + Math.ceil(sequence / 4);
  const salary = 100_000 + (n - 1) * 7;
  const at = (us: number) => new Date(1_700_000_000_000 + us / 1_000).toISOString().slice(0, 23).replace("T", " ");
  return ["bench", 1, op(n), op(n - 1), n, n + 1, salary, salary + 7, 7, 0, at(n * 2_000), at(n * 2_000 + 1_000)];
}
