/**
 * The rows against a real MariaDB: what a write changes in the row and in the ledger, and when it changes nothing. Both ways
 * of sending statements must leave the same.
 */
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { RowDataPacket } from "mysql2";
import { createDatabase, type Database } from "../coordinator/clients/mysql.ts";
import { type Servers, startServers } from "../coordinator/platform/local/servers/index.ts";
import { isCommitRefused, leavesUsable, rejected } from "../worker/outcome.ts";
import { createRows, type Employee, type Rows } from "../worker/rows.ts";
import { SENDINGS, type Sending } from "../worker/sender.ts";
import { createNetwork, type Network } from "../worker/servers/network.ts";

let servers: Servers;
let database: Database;
let rows: Rows;
let run = "";
let runs = 0;
let wrote: [read: number, written: number][];

before(async () => {
  servers = await startServers({ coordinatorUrl: "http://127.0.0.1:1", only: ["mysql"] });
  database = createDatabase({ MYSQL_URL: servers.mysql!.url });
});

after(async () => {
  await rows?.close();
  await database?.close();
  await servers?.[Symbol.asyncDispose]();
});

beforeEach(async () => {
  runs += 1;
  run = `run-${runs}`;
  await database.reset(run, 1);
});

for (const sending of SENDINGS) {
  const inMode = (name: string, body: () => Promise<void>) =>
    test(`${sending}: ${name}`, async () => {
      await reopen({ sending });
      await body();
    });

  inMode("a write on its own leaves the row and its ledger row, as the database counted it", async () => {
    const employee = await rows.read(1);
    await rows.write({ id: 11 }, employee, employee.salary + 5);
    // Read before the first write, so this write is stale, and the ledger shows it.
    await rows.write({ id: 12 }, employee, employee.salary + 7, { fence: 3 });
    assert.deepEqual(wrote, [
      [1, 2],
      [1, 3],
    ]);
    assert.deepEqual(await versions(), [3, "11 1>2 +5 fence 0", "12 1>3 +7 fence 3"]);
  });

  for (const [what, stale, error] of [
    ["version", { version: 1 }, "conflict"],
    ["claimed token", { fenceIs: 9 }, "fenced"],
    ["token", { fenceAbove: 0 }, "fenced"],
  ] as const)
    inMode(`a write whose ${what} is not as it demands is rejected and leaves nothing`, async () => {
      const employee = await rows.read(1);
      await rows.write({ id: 11 }, employee, employee.salary + 5);
      await assert.rejects(rows.write({ id: 12 }, employee, 1, stale), { outcome: "rejected", class: error });
      assert.deepEqual(await versions(), [2, "11 1>2 +5 fence 0"]);
      await next(13, 2);
    });

  inMode("a write whose ledger row is refused leaves nothing either", async () => {
    const employee = await rows.read(1);
    await rows.write({ id: 11 }, employee, employee.salary + 5);
    // Too large for the column of the ledger, which is the only place where it would be written.
    const tooLarge = { fence: 2 ** 64 };
    await assert.rejects(rows.write({ id: 12 }, employee, 1, tooLarge), { outcome: "rejected", class: "database" });
    assert.deepEqual(await versions(), [2, "11 1>2 +5 fence 0"]);
    await next(13, 2);
  });

  inMode("the ledger records an operation that is applied twice", async () => {
    const employee = await rows.read(1);
    await rows.write({ id: 11 }, employee, employee.salary + 5);
    await rows.write({ id: 11 }, await rows.read(1), employee.salary + 10);
    assert.deepEqual(await versions(), [3, "11 1>2 +5 fence 0", "11 2>3 +5 fence 0"]);
  });

  inMode("without a ledger the same write leaves the row alone", async () => {
    await reopen({ sending, ledger: false });
    const employee = await rows.read(1);
    await rows.write({ id: 11 }, employee, employee.salary + 5, { version: 1 });
    await assert.rejects(rows.write({ id: 12 }, employee, 1, { version: 1 }), {
      outcome: "rejected",
      class: "conflict",
    });
    assert.deepEqual(wrote, [[1, 2]]);
    assert.deepEqual(await versions(), [2]);
  });

  inMode("a transaction leaves all of its writes and ledger rows, or none", async () => {
    await rows.transaction(async (transaction) => {
      const employee = await transaction.read(1, "FOR UPDATE");
      await transaction.write({ id: 11 }, employee, employee.salary + 5);
      await transaction.add({ id: 12 }, 1, 7);
      assert.deepEqual(await transaction.query("SELECT COUNT(*) AS rows_ FROM ledger WHERE run = ?", [run]), [
        { rows_: 0 },
      ]);
    });
    const left = [3, "11 1>2 +5 fence 0", "12 2>3 +7 fence 0"];
    assert.deepEqual(await versions(), left);
    await assert.rejects(
      rows.transaction(async (transaction) => {
        await transaction.add({ id: 13 }, 1, 1);
        await transaction.write({ id: 14 }, await transaction.read(1), 1, { version: 1 });
      }),
      { outcome: "rejected", class: "conflict" },
    );
    assert.deepEqual(await versions(), left);
    await next(15, 3);
  });

  inMode("a connection that is killed while the server is at work is lost, and the next one is new", async () => {
    const other = await database.pool.getConnection();
    await other.query("START TRANSACTION");
    await other.query("SELECT id FROM employee WHERE run = ? FOR UPDATE", [run]);
    const waiting = rows.transaction(async (transaction) => {
      await transaction.read(1, "FOR UPDATE");
    });
    const lost = assert.rejects(waiting, { outcome: "rejected", class: "connection" });
    await killWaiting();
    await lost;
    await other.query("ROLLBACK");
    other.release();
    await next(11, 1);
  });
}

/** Seen of MySQL 9.7, and not of MariaDB 10.11: it answers the statement that it was at work on, and closes. */
test("a server that shuts down ends the connection, also where it answers: a COMMIT may have been applied", () => {
  const answer = Object.assign(new Error("Server shutdown in progress"), {
    errno: 1053,
    code: "ER_SERVER_SHUTDOWN",
    sqlState: "08S01",
  });
  assert.equal(rejected(answer).class, "connection");
  assert.ok(!isCommitRefused(answer) && !leavesUsable(answer));
  const other = Object.assign(new Error("Unknown column"), {
    errno: 1054,
    code: "ER_BAD_FIELD_ERROR",
    sqlState: "42S22",
  });
  assert.equal(rejected(other).class, "database");
  assert.ok(isCommitRefused(other) && leavesUsable(other));
});

test("the answer to a write is lost when the write has been carried out, not when its first statement has", async () => {
  const network = createNetwork(Math.random);
  await reopen({ sending: "batched", network });
  const employee = await rows.read(1);
  const other = await database.pool.getConnection();
  await other.query("START TRANSACTION");
  await other.query("SELECT id FROM employee WHERE run = ? FOR UPDATE", [run]);
  let lost = false;
  network.loseAnswer("mysql", () => {
    lost = true;
  });
  const written = assert.rejects(rows.write({ id: 11 }, employee, employee.salary + 5), { outcome: "unknown" });
  await sleep(100);
  // By now the server has answered START TRANSACTION, and its update waits for the row.
  assert.equal(lost, false);
  await other.query("COMMIT");
  other.release();
  await written;
  assert.deepEqual([lost, await versions()], [true, [2, "11 1>2 +5 fence 0"]]);
});

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** With a single connection, so that anything left open on it would affect the next write. */
interface Opening {
  readonly sending: Sending;
  readonly ledger?: boolean;
  readonly network?: Network;
}

async function reopen({ sending, ledger = true, network }: Opening) {
  await rows?.close();
  wrote = [];
  rows = createRows({
    server: { MYSQL_URL: servers.mysql!.url },
    spec: { run, concurrency: 1, statementTimeoutMs: 10_000, ledger },
    wrote: (...versions) => wrote.push(versions),
    sending,
    network,
  });
}

/** Ends the connection of the only statement that waits for a row of this run. */
async function killWaiting(): Promise<void> {
  for (let looks = 0; looks < 400; looks += 1) {
    const [all] = await database.pool.query<RowDataPacket[]>("SHOW FULL PROCESSLIST");
    const waiting = all.find(({ Info }) => /employee .*FOR UPDATE/s.test(`${Info}`));
    if (waiting !== undefined) return void (await database.pool.query("KILL ?", [waiting.Id]));
    await sleep(10);
  }
  assert.fail("nothing waits");
}

async function next(id: number, version: number): Promise<void> {
  const employee: Employee = await rows.read(1);
  assert.equal(employee.version, version);
  await rows.write({ id }, employee, employee.salary + 1);
  assert.equal((await versions()).at(-1), `${id} ${version}>${version + 1} +1 fence 0`);
}

/** The row's version and all of its ledger, read over another connection. */
async function versions(): Promise<(number | string)[]> {
  const [employee] = await database.employees(run);
  const [ledger] = await database.pool.query(
    "SELECT op, read_version AS seen, new_version AS version, raise, fence FROM ledger WHERE run = ? ORDER BY seq",
    [run],
  );
  const lines = (ledger as Record<string, number>[]).map(
    ({ op, seen, version, raise, fence }) => `${op} ${seen}>${version} +${raise} fence ${fence}`,
  );
  return [employee!.version, ...lines];
}
