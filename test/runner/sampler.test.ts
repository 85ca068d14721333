/** The sampler with a real MariaDB and a real Redis: its sums, its steps, and the loss of a server. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import type { Redis } from "ioredis";
import mysql from "mysql2/promise";
import { type Servers, startServers } from "../../coordinator/platform/local/servers/index.ts";
import { createCoordinatorMetrics } from "../../coordinator/runner/metrics.ts";
import { createSampler, parseRedisInfo } from "../../coordinator/runner/sampler.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { seriesValue } from "../support/series.ts";

let servers: Servers;
let server: TestRedis;
let redis: Redis;
let pool: mysql.Pool;
let runs = 0;
let run: { run: string; strategy: "none" };

before(async () => {
  const options = { coordinatorUrl: "http://127.0.0.1:1", only: ["mysql"] } as const;
  [servers, server] = await Promise.all([startServers(options), startRedis()]);
  redis = server.connect({ username: "monitor" });
  pool = mysql.createPool({ uri: servers.mysql!.url, connectionLimit: 3 });
});

after(async () => {
  await pool?.end();
  await server?.stop();
  await servers?.[Symbol.asyncDispose]();
});

beforeEach(() => {
  runs += 1;
  run = { run: `run-${runs}`, strategy: "none" };
});

describe("the contested rows", () => {
  test("have no series before they are inserted", async () => {
    await using observed = observe();
    await observed.poll();
    assert.deepEqual(await observed.row(), [undefined, undefined, undefined, undefined]);
    assert.equal(await observed.failures("row"), 0);
  });

  test("show stale writes and the money they lost, read in steps", async () => {
    await employees(1);
    await using observed = observe();
    await observed.poll();
    assert.deepEqual(await observed.row(), [1, 0, 0, 0]);

    // 11 and 12 follow each other; 13 read before 12 wrote, so the raise of 12 is lost.
    await write({ op: 11, readOp: 0, readSalary: 1000, newSalary: 1010 });
    await write({ op: 12, readOp: 11, readSalary: 1010, newSalary: 1017 });
    await observed.poll();
    assert.deepEqual(await observed.row(), [3, 2, 0, 0]);

    await write({ op: 13, readOp: 11, stale: true, readSalary: 1010, newSalary: 1013 });
    await observed.poll();
    assert.deepEqual(await observed.row(), [4, 3, 1, 7]);

    await observed.poll();
    assert.deepEqual(await observed.row(), [4, 3, 1, 7], "nothing is counted twice");
  });

  test("of other runs are not counted", async () => {
    await employees(1);
    await write({ op: 11, readOp: 0, readSalary: 1000, newSalary: 1010 });
    run = { run: `${run.run}-other`, strategy: "none" };
    await employees(1);
    await using observed = observe();
    await observed.poll();
    assert.deepEqual(await observed.row(), [1, 0, 0, 0]);
  });

  test("are followed one by one where there are several, also when a row appears after one with a greater number", async () => {
    await employees(2);
    await using observed = observe();
    const slow = await pool.getConnection();
    await slow.query("START TRANSACTION");
    await write({ employee: 1, op: 11, readOp: 0, readSalary: 1000, newSalary: 1010 }, slow);
    await write({ employee: 2, op: 21, readOp: 0, readSalary: 1000, newSalary: 1005 });
    await observed.poll();
    assert.deepEqual(await observed.row(), [3, 1, 0, 0]);
    await slow.query("COMMIT");
    slow.release();
    await write({ employee: 1, op: 12, readOp: 11, readSalary: 1010, newSalary: 1020 });
    await observed.poll();
    assert.deepEqual(await observed.row(), [5, 3, 0, 0]);
  });

  test("are read in pages when the sampler is behind", async () => {
    await employees(1);
    const count = 12_345;
    const rows = Array.from({ length: count }, (_, i) => [
      run.run,
      1,
      i + 1,
      i,
      i + 1,
      i + 2,
      i,
      i + 1,
      1,
      0,
      NOW,
      NOW,
    ]);
    // Every thousandth writer read one write too early.
    for (let i = 999; i < count; i += 1000) rows[i]![4] = i;
    await pool.query(
      "INSERT INTO ledger (run, employee_id, op, read_op, read_version, new_version, read_salary, new_salary, raise, fence, read_at, written_at) VALUES ?",
      [rows],
    );
    await using observed = observe();
    await observed.poll();
    assert.deepEqual(await observed.row(), [1, count, 12, 0]);
  });

  test("are polled a last time at the end", async () => {
    await employees(1);
    const observed = observe();
    await observed.poll();
    await write({ op: 11, readOp: 0, readSalary: 1000, newSalary: 1010 });
    await observed[Symbol.asyncDispose]();
    assert.deepEqual(await observed.row(), [2, 1, 0, 0]);
  });

  test("are polled again and again", async () => {
    await employees(1);
    await using observed = observe({ intervalMs: 20 });
    await write({ op: 11, readOp: 0, readSalary: 1000, newSalary: 1010 });
    await eventually(async () => (await observed.row())[1] === 1);
  });
});

describe("the servers", () => {
  test("count the commands that were sent to them", async () => {
    await using observed = observe();
    await observed.poll();
    const before = await observed.value("holdfast_redis_commands_total");
    const requestsBefore = await observed.value("holdfast_redis_requests_total");
    for (let i = 0; i < 20; i += 1) await server.admin.ping();
    const questions = await observed.value("holdfast_mysql_questions_total");
    const rollbacks = await observed.value("holdfast_mysql_rollbacks_total");
    await pool.query("ROLLBACK");
    await observed.poll();
    const commands = (await observed.value("holdfast_redis_commands_total"))! - before!;
    assert.ok(commands >= 20 && commands <= 25, `${commands} commands`);
    const requests = (await observed.value("holdfast_redis_requests_total"))! - requestsBefore!;
    assert.ok(requests >= 20 && requests <= 25, `${requests} requests`);
    const asked = (await observed.value("holdfast_mysql_questions_total"))! - questions!;
    assert.ok(asked >= 1 && asked <= 10, `${asked} statements`);
    assert.equal((await observed.value("holdfast_mysql_rollbacks_total"))! - rollbacks!, 1);
    assert.ok((await observed.value("holdfast_redis_memory_used_bytes"))! > 100_000);
    assert.ok((await observed.value("holdfast_redis_connected_clients"))! >= 2);
    assert.equal(await observed.value("holdfast_redis_evicted_keys_total"), 0);
    assert.ok((await observed.value("holdfast_mysql_connected_threads"))! >= 1);
  });

  test("show a wait for a row lock in seconds", async () => {
    await employees(1);
    await using observed = observe();
    await observed.poll();
    const waits = (await observed.value("holdfast_mysql_row_lock_waits_total"))!;
    const seconds = (await observed.value("holdfast_mysql_row_lock_seconds_total"))!;
    const [holder, waiter] = await Promise.all([pool.getConnection(), pool.getConnection()]);
    const lock = "SELECT id FROM employee WHERE run = ? AND id = 1 FOR UPDATE";
    await holder.query("START TRANSACTION");
    await holder.query(lock, [run.run]);
    const waiting = waiter.query(lock, [run.run]);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await holder.query("COMMIT");
    await waiting;
    for (const connection of [holder, waiter]) connection.release();
    await observed.poll();
    assert.equal((await observed.value("holdfast_mysql_row_lock_waits_total"))! - waits, 1);
    const waited = (await observed.value("holdfast_mysql_row_lock_seconds_total"))! - seconds;
    assert.ok(waited >= 0.2 && waited < 5, `${waited} s`);
  });

  test("have no series for fields that this version lacks", async () => {
    await using observed = observe();
    await observed.poll();
    const info = parseRedisInfo(await server.admin.info());
    assert.equal(await observed.value("holdfast_redis_pubsub_clients"), info.get("pubsub_clients"));
    assert.equal(await observed.value("holdfast_redis_pubsub_channels"), info.get("pubsubshard_channels"));
  });

  test("that are gone lose their series and are counted as failures; they come back", async () => {
    await employees(1);
    await using observed = observe({ deadlineMs: 1_500 });
    await observed.poll();
    await server.kill();
    await observed.poll();
    assert.ok((await observed.failures("redis"))! >= 1);
    assert.equal(await observed.value("holdfast_redis_memory_used_bytes"), undefined);
    assert.equal(await observed.failures("mysql"), 0);
    assert.deepEqual(await observed.row(), [1, 0, 0, 0]);
    await server.start();
    await eventually(async () => {
      await observed.poll();
      return (await observed.value("holdfast_redis_memory_used_bytes")) !== undefined;
    });
  });

  test("that hang are asked once, and the deadline is kept", async () => {
    let asked = 0;
    const hanging = {
      query() {
        asked += 1;
        return new Promise(() => {});
      },
    } as unknown as mysql.Pool;
    const started = performance.now();
    const observed = observe({ mysqlPool: hanging, deadlineMs: 100 });
    await observed.poll();
    await observed.poll();
    await observed[Symbol.asyncDispose]();
    assert.ok(performance.now() - started < 1_000);
    assert.equal(asked, 2, "one statement for the rows, one for the status");
    assert.equal(await observed.failures("mysql"), 4);
    assert.equal(await observed.failures("redis"), 0);
  });
});

test("INFO is read line by line, numbers only", () => {
  const status = parseRedisInfo(
    "# Clients\r\nconnected_clients:7\r\nused_memory_human:1.5M\r\nempty:\r\nrole:master\r\nratio:0.5\r\n",
  );
  assert.deepEqual(
    [...status],
    [
      ["connected_clients", 7],
      ["ratio", 0.5],
    ],
  );
});

function observe(options: Partial<Parameters<typeof createSampler>[0]> = {}) {
  const metrics = createCoordinatorMetrics("r1");
  const labels = { run: run.run };
  // Polls by the clock would make the counts depend on the machine's speed.
  const sampler = createSampler({
    mysqlPool: pool,
    redis: { readInfos: async () => [await redis.info()] },
    metrics,
    run,
    intervalMs: 3_600_000,
    deadlineMs: 5_000,
    ...options,
  });
  const value = (name: string) => seriesValue(metrics.registry, name);
  const names = ["holdfast_row_version", "holdfast_ledger_rows", "holdfast_stale_writes", "holdfast_money_lost"];
  return {
    ...sampler,
    value,
    failures: (source: string) => seriesValue(metrics.registry, "holdfast_observer_failures_total", { source }),
    /** Version, ledger rows, stale writes, money lost. */
    row: () => Promise.all(names.map((name) => seriesValue(metrics.registry, name, labels))),
  };
}

const NOW = "2026-03-01 10:00:00.000000";

async function employees(count: number) {
  for (let id = 1; id <= count; id += 1)
    await pool.query("INSERT INTO employee (run, id, email, version, salary) VALUES (?, ?, ?, 1, 1000)", [
      run.run,
      id,
      `employee-${id}@example.com`,
    ]);
}

interface Write {
  readonly employee?: number;
  readonly op: number;
  readonly readOp: number;
  readonly stale?: boolean;
  readonly readSalary: number;
  readonly newSalary: number;
}

/** A mutation as a worker makes it: the row, and its ledger row in the same transaction. */
async function write(
  { employee = 1, op, readOp, stale = false, readSalary, newSalary }: Write,
  connection: mysql.Pool | mysql.PoolConnection = pool,
) {
  const [{ insertId: version }] = await connection.query<mysql.ResultSetHeader>(
    "UPDATE employee SET version = LAST_INSERT_ID(version + 1), salary = ?, last_op = ? WHERE run = ? AND id = ?",
    [newSalary, op, run.run, employee],
  );
  await connection.query(
    "INSERT INTO ledger (run, employee_id, op, read_op, read_version, new_version, read_salary, new_salary, raise, fence, read_at, written_at) VALUES (?)",
    [
      [
        run.run,
        employee,
        op,
        readOp,
        version - (stale ? 2 : 1),
        version,
        readSalary,
        newSalary,
        newSalary - readSalary,
        0,
        NOW,
        NOW,
      ],
    ],
  );
}

async function eventually(holds: () => Promise<boolean>) {
  const deadline = performance.now() + 10_000;
  while (!(await holds())) {
    assert.ok(performance.now() < deadline, "not within 10 s");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
