/** Evidence that was tampered with, or that is incomplete, must never become `holds`. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { ResultSetHeader } from "mysql2/promise";
import type { PrometheusEvidence } from "../../coordinator/judge/evidence.ts";
import { listTroubles } from "../../coordinator/report/describe-run.ts";
import { OPERATIONS_PER_WRITER } from "../../worker/contract.ts";
import { processOf } from "../support/processes.ts";
import { startRedis } from "../support/redis.ts";
import { createRig, type Rig } from "../support/rig.ts";

let rig: Rig;
before(async () => {
  rig = await createRig();
});
after(() => rig[Symbol.asyncDispose]());

async function change(sql: string, run: string) {
  const connection = await rig.sql();
  const [result] = await connection.query(sql, [run, run]);
  await connection.end();
  assert.equal((result as { affectedRows: number }).affectedRows, 1, "the tampering itself must work");
}

for (const [name, sql] of [
  [
    "a raise in the ledger was changed by hand",
    "UPDATE ledger SET raise = raise + 1 WHERE run = ? ORDER BY seq LIMIT 1",
  ],
  [
    "a version in the ledger was changed by hand",
    "UPDATE ledger SET read_version = read_version - 1 WHERE run = ? ORDER BY seq DESC LIMIT 1",
  ],
  ["a ledger row was removed", "DELETE FROM ledger WHERE run = ? ORDER BY seq LIMIT 1"],
  ["the salary was changed behind the workers' backs", "UPDATE employee SET salary = salary + 1000 WHERE run = ?"],
  ["the version was changed behind the workers' backs", "UPDATE employee SET version = version + 1 WHERE run = ?"],
  [
    "a ledger row appeared that nobody wrote",
    `INSERT INTO ledger (run, employee_id, op, read_op, read_version, new_version, read_salary, new_salary, raise, fence, read_at, written_at)
     SELECT ?, 1, MAX(op) + 1000, MAX(op), MAX(new_version), MAX(new_version) + 1, 1, 1, 0, 0, SYSDATE(6), SYSDATE(6) FROM ledger WHERE run = ?`,
  ],
] as const)
  test(`${name}: violated`, async () => {
    const report = await rig.run("row-lock", {}, { beforeJudging: (plan) => change(sql, plan.run) });
    assert.equal(report.data.value, "violated", JSON.stringify(report.data));
    assert.equal(report.agreement, "mismatch");
  });

test("ids that the server assigns in blocks: holds, because the versions are in order", async () => {
  const report = await rig.run(
    "row-lock",
    {},
    {
      async beforeJudging({ run }) {
        const connection = await rig.sql();
        const [moved] = await connection.query<ResultSetHeader>(
          `UPDATE ledger JOIN writer ON writer.id = ledger.op DIV ${OPERATIONS_PER_WRITER} SET seq = seq + 1000000
           WHERE ledger.run = ? AND worker IN (1, 3)`,
          [run],
        );
        await connection.end();
        assert.ok(moved.affectedRows > 10, "two workers have ids of a later block");
      },
    },
  );
  assert.equal(report.data.value, "holds", JSON.stringify(report.data));
  assert.equal(report.agreement, "expected", report.reasons.join());
});

test("operations that last no time by the database's clock: exclusion is unknown, with their number", async () => {
  const report = await rig.run(
    "row-lock",
    { holdMs: 5 },
    {
      async beforeJudging({ run }) {
        const connection = await rig.sql();
        await connection.query("UPDATE ledger SET read_at = written_at WHERE run = ?", [run]);
        await connection.end();
      },
    },
  );
  assert.equal(report.exclusion.value, "unknown", JSON.stringify(report.exclusion));
  const all = report.ledgerRows.toLocaleString("en-US");
  assert.match(report.reasons.join(), new RegExp(`${all} of ${all} operations took less than half of the hold time`));
});

for (const [what, change, reason] of [
  [
    "swaps rejected and unknown operations",
    (read) => ({
      ...read,
      workers: read.workers.map((worker) => ({ ...worker, rejected: worker.unknown, unknown: worker.rejected })),
    }),
    /reports .* rejected and 0 unknown, Prometheus has .* 0 rejected/,
  ],
  [
    "counts no rejected operations",
    (read) => ({ ...read, workers: read.workers.map((worker) => ({ ...worker, rejected: 0 })) }),
    /reports .* rejected and 0 unknown, Prometheus has .* 0 rejected/,
  ],
  [
    "has times that are ten times too long",
    (read) => ({ ...read, operation: { ...read.operation, average: 10 * read.operation.average! } }),
    /the times of operations in Prometheus add up to .* s, but all loops together ran for/,
  ],
] satisfies [string, (read: PrometheusEvidence) => PrometheusEvidence, RegExp][])
  test(`a Prometheus that ${what}: unknown`, async () => {
    const report = await rig.run(
      "version",
      {},
      { prometheus: (real) => ({ ...real, read: async (...of) => change(await real.read(...of)) }) },
    );
    assert.equal(report.data.value, "unknown", JSON.stringify(report.data));
    assert.match(report.reasons.join(), reason);
  });

test("a worker that claims an operation too many: violated", async () => {
  const report = await rig.run("row-lock", {}, { bug: "over-claim" });
  assert.equal(report.data.value, "violated", JSON.stringify(report.data));
});

test("a Prometheus that misses a worker: unknown, and it is named", async () => {
  const report = await rig.run(
    "row-lock",
    {},
    {
      prometheus: (real) => ({
        ...real,
        async read(run, atMs, windowMs) {
          const whole = await real.read(run, atMs, windowMs);
          return { ...whole, workers: whole.workers.filter(({ worker }) => worker !== 2) };
        },
      }),
    },
  );
  assert.equal(report.data.value, "unknown", JSON.stringify(report.data));
  assert.match(JSON.stringify(report.data), /worker-2/);
});

test("a Prometheus that is gone: unknown with the reason, and the ledger is judged all the same", async () => {
  const report = await rig.run(
    "row-lock",
    {},
    {
      prometheus: (real) => ({
        ...real,
        read: async () => {
          throw new Error("Prometheus is out of reach");
        },
      }),
    },
  );
  assert.equal(report.data.value, "unknown");
  assert.match(JSON.stringify(report.data), /Prometheus/);
  assert.equal(report.checks.find(({ check }) => check === "chain")?.status, "holds");
  assert.equal(report.operations, null, "no data is not 0");
});

test("a worker killed with -9 in the middle: unknown, and it is named", async () => {
  let killed = false;
  const report = await rig.run(
    "row-lock",
    { durationMs: 2_000 },
    {
      whileRunning(roster) {
        if (killed) return;
        killed = true;
        process.kill(processOf(roster.all()[1]!.uid), "SIGKILL");
      },
    },
  );
  assert.equal(report.data.value, "unknown", JSON.stringify(report.data));
  assert.match(JSON.stringify(report.data), /worker-1/);
  assert.match(report.reconciliation.find(({ worker }) => worker === 1)?.lost ?? "", /SIGKILL/);
});

test("an error that waiting does not resolve ends the run at once, with the cause and the fix, once for all workers", async () => {
  const replica = await startRedis(["--replicaof", "127.0.0.1 1", "--replica-serve-stale-data", "no"]);
  const passwords = { REDIS_PASSWORD_LOCK: "lock", REDIS_PASSWORD_MONITOR: "monitor" };
  const environment = { REDIS_URL: `redis://127.0.0.1:${replica.port}`, ...passwords };
  const report = await rig.run("redis", {}, { environment });
  await replica.stop();
  assert.deepEqual(report.problems, ["the run did not start, because a worker was lost"]);
  const cause =
    /^4 of 4 workers were lost: Redis at 127.0.0.1:\d+: MASTERDOWN .*; use the address of the primary in REDIS_URL$/;
  assert.equal(report.reasons.length, 2, report.reasons.join());
  assert.match(report.reasons[1]!, cause);
  const troubles = listTroubles(report).map(({ text }) => text);
  assert.deepEqual(
    troubles.map((text) => cause.test(text)),
    [false, true],
    troubles.join("\n"),
  );
});

test("an interrupted run: unknown with the reason", async () => {
  const controller = new AbortController();
  const report = await rig.run(
    "row-lock",
    { durationMs: 5_000 },
    {
      signal: controller.signal,
      whileRunning: () => controller.abort(new Error("SIGINT")),
    },
  );
  assert.equal(report.data.value, "unknown", JSON.stringify(report.data));
  assert.match(report.problems.join(), /SIGINT/);
});
