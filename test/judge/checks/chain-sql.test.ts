import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import fc from "fast-check";
import mysql from "mysql2/promise";
import { createDatabase, type Database } from "../../../coordinator/clients/mysql.ts";
import { chain, staleWrites } from "../../../coordinator/judge/checks/chain.ts";
import { type LedgerRow, listRows } from "../../../coordinator/judge/ledger.ts";
import { type Servers, startServers } from "../../../coordinator/platform/local/servers/index.ts";
import { chainBySql } from "../../support/chain-sql.ts";
import { op, simulate, turns, withRows } from "../../support/histories.ts";

let servers: Servers;
let database: Database;
let connection: mysql.Connection;
before(async () => {
  servers = await startServers({ coordinatorUrl: "http://127.0.0.1:1", only: ["mysql"] });
  database = createDatabase({ MYSQL_URL: servers.mysql!.url });
  connection = await mysql.createConnection({ uri: servers.mysql!.url });
});
after(async () => {
  await connection?.end();
  await database?.close();
  await servers?.[Symbol.asyncDispose]();
});

test("LAG() in the database counts what the chain check counts, on the ledger as it is read back", async () => {
  const damages = fc.array(fc.tuple(fc.nat(60), fc.constantFrom("drop", "read another", "swap")), { maxLength: 3 });
  // A fixed seed: among 25 histories of a random one, too few may be broken.
  const histories = fc.sample(fc.tuple(turns(), damages), { numRuns: 25, seed: 7 });
  let broken = 0;
  for (const [index, [history, wounds]] of histories.entries()) {
    const run = `history-${index}`;
    const { evidence } = simulate(history!);
    const { ledger } = withRows(evidence, (rows) => {
      for (const [at, wound] of wounds) {
        const place = at % Math.max(1, rows.length - 1);
        if (rows.length < 2) continue;
        if (wound === "drop") rows.splice(place, 1);
        else if (wound === "swap") rows.splice(place, 2, rows[place + 1]!, rows[place]!);
        else rows[place]!.readOp = op(9, 9);
      }
    });
    await insert(run, listRows(ledger));
    const { ledger: read } = await database.snapshot(run);
    assert.deepEqual(read, ledger);
    // Without the final rows, which the statement does not read either.
    const { count } = chain({ ...evidence, ledger: read, final: [] });
    assert.deepEqual(await chainBySql(connection, run), {
      writes: read.length,
      stale: staleWrites(read),
      breaks: count,
    });
    if (count > staleWrites(read)) broken++;
  }
  assert.ok(broken > 3, `only ${broken} histories were broken otherwise than by stale writes`);
});

async function insert(run: string, rows: readonly LedgerRow[]) {
  for (const row of rows) {
    const { employee, op, readOp, readVersion, newVersion, readSalary, newSalary, raise, fence } = row;
    await connection.query(
      `INSERT INTO ledger (run, employee_id, op, read_op, read_version, new_version, read_salary, new_salary, raise, fence,
                           read_at, written_at)
       VALUES (?, DATE_ADD('1970-01-01 00:00:00.000000', INTERVAL ? MICROSECOND),
                  DATE_ADD('1970-01-01 00:00:00.000000', INTERVAL ? MICROSECOND))`,
      [
        [run, employee, op, readOp, readVersion, newVersion, readSalary, newSalary, raise, fence],
        row.readAtUs,
        row.writtenAtUs,
      ],
    );
  }
}
