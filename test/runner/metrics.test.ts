/** The coordinator's metrics: a known number has a series, an unknown one has none. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import type { Report } from "../../coordinator/judge/report-data.ts";
import { createCoordinatorMetrics, RUN_PHASES, WORKER_STATES } from "../../coordinator/runner/metrics.ts";
import { metricsPage } from "../support/metrics-page.ts";
import { sampleReport, troubledReport, violatedReport } from "../support/sample-report.ts";
import { seriesValue } from "../support/series.ts";

const RUN = { run: "r1-redis", strategy: "redis" };

describe("a judged run", () => {
  test("shows its verdicts next to the verdicts that theory expects", async () => {
    const value = judged(sampleReport());
    const pair = async (strategy: string, aspect: string) => [
      await value("holdfast_expected_verdict", { strategy, aspect }),
      await value("holdfast_verdict", { strategy, aspect }),
    ];
    assert.deepEqual(await pair("none", "data"), [0, 0]);
    assert.deepEqual(await pair("redis", "data"), [1, 1]);
    assert.deepEqual(await pair("redis", "exclusion"), [1, 1]);
    assert.deepEqual(await pair("version", "exclusion"), [-1, 1]);
    assert.equal(await value("holdfast_agreement", { strategy: "none" }), 1);
  });

  test("shows the figures of the report", async () => {
    const value = judged(sampleReport());
    for (const book of ["prometheus", "workers", "ledger"])
      assert.equal(await value("holdfast_reconciled_operations", { strategy: "none", book }), 4318, book);
    assert.equal(await value("holdfast_lost_updates", { strategy: "none" }), 3107);
    assert.equal(await value("holdfast_lost_updates", { strategy: "redis" }), 0);
    assert.equal(await value("holdfast_run_fairness_ratio", { strategy: "redis" }), 1);
    assert.equal(await value("holdfast_run_lock_wait_seconds", { strategy: "redis", quantile: "0.95" }), 0.0111);
    assert.equal(await value("holdfast_run_operation_seconds", { strategy: "none", quantile: "0.99" }), 0.0109);
  });

  test("has no series for what was not measured", async () => {
    const value = judged(sampleReport());
    assert.equal(await value("holdfast_run_lock_wait_seconds", { strategy: "none", quantile: "0.95" }), undefined);
  });

  test("that lost a worker has unknown verdicts, no throughput, and no total where a count is missing", async () => {
    const value = judged(troubledReport());
    const strategy = "redis";
    assert.equal(await value("holdfast_verdict", { strategy, aspect: "data" }), -1);
    assert.equal(await value("holdfast_agreement", { strategy }), -1);
    assert.equal(await value("holdfast_run_committed_per_second", { strategy }), undefined);
    assert.equal(await value("holdfast_reconciled_operations", { strategy, book: "prometheus" }), undefined);
    assert.equal(await value("holdfast_reconciled_operations", { strategy, book: "workers" }), undefined);
    assert.equal(await value("holdfast_reconciled_operations", { strategy, book: "ledger" }), 1391);
  });

  test("that should have held and was violated is a mismatch", async () => {
    const value = judged(violatedReport());
    assert.equal(await value("holdfast_verdict", { strategy: "redis", aspect: "data" }), 0);
    assert.equal(await value("holdfast_expected_verdict", { strategy: "redis", aspect: "data" }), 1);
    assert.equal(await value("holdfast_agreement", { strategy: "redis" }), 0);
  });
});

describe("a run in progress", () => {
  test("is in one phase at a time", async () => {
    const metrics = createCoordinatorMetrics("r1");
    for (const current of RUN_PHASES) {
      metrics.setPhase(RUN, current);
      for (const phase of RUN_PHASES)
        assert.equal(
          await seriesValue(metrics.registry, "holdfast_phase", { ...RUN, phase }),
          phase === current ? 1 : 0,
        );
    }
  });

  test("has workers until it is finished, even if they are counted once more afterwards", async () => {
    const metrics = createCoordinatorMetrics("r1");
    const workers = (phase: string) => seriesValue(metrics.registry, "holdfast_workers", { ...RUN, phase });
    metrics.setWorkers(RUN, { expected: 4, ready: 3, running: 0, lost: 1 });
    assert.deepEqual(await Promise.all(WORKER_STATES.map(workers)), [4, 3, 0, undefined, 1]);
    metrics.setPhase(RUN, "finished");
    metrics.setWorkers(RUN, { expected: 4 });
    assert.deepEqual(await Promise.all(WORKER_STATES.map(workers)), Array(5).fill(undefined));
  });
});

describe("a server's status", () => {
  test("is shown in base units; a field that the server does not have has no series", async () => {
    const { registry, setServerStatus } = createCoordinatorMetrics("r1");
    assert.equal(await seriesValue(registry, "holdfast_mysql_questions_total"), undefined);
    setServerStatus(
      "mysql",
      new Map(Object.entries({ Questions: 120, Innodb_row_lock_time: 2500, Threads_running: 0 })),
    );
    assert.equal(await seriesValue(registry, "holdfast_mysql_questions_total", { report: "r1" }), 120);
    assert.equal(await seriesValue(registry, "holdfast_mysql_row_lock_seconds_total"), 2.5);
    assert.equal(await seriesValue(registry, "holdfast_mysql_running_threads"), 0);
    assert.equal(await seriesValue(registry, "holdfast_mysql_deadlocks_total"), undefined);
  });

  test("is not added up: counters have the server's values, and start again when it restarts", async () => {
    const { registry, setServerStatus } = createCoordinatorMetrics("r1");
    const commands = () => seriesValue(registry, "holdfast_redis_commands_total");
    setServerStatus("redis", new Map([["total_commands_processed", 1000]]));
    setServerStatus("redis", new Map([["total_commands_processed", 1500]]));
    assert.equal(await commands(), 1500);
    setServerStatus("redis", new Map([["total_commands_processed", 3]]));
    assert.equal(await commands(), 3);
  });

  test("ends when a poll fails, and the failure is counted", async () => {
    const { registry, setServerStatus, setRowState, pollFailed } = createCoordinatorMetrics("r1");
    const failures = (source: string) => seriesValue(registry, "holdfast_observer_failures_total", { source });
    setServerStatus("redis", new Map([["acl_access_denied_cmd", 2]]));
    setRowState(RUN, { version: 5, ledgerRows: 4, staleWrites: 0, moneyLost: 0 });
    assert.equal(await seriesValue(registry, "holdfast_redis_acl_denied_total", { reason: "cmd" }), 2);
    assert.deepEqual([await failures("redis"), await failures("row")], [0, 0]);
    pollFailed("redis", RUN);
    pollFailed("row", RUN);
    assert.deepEqual([await failures("redis"), await failures("row"), await failures("mysql")], [1, 1, 0]);
    assert.equal(await seriesValue(registry, "holdfast_redis_acl_denied_total", { reason: "cmd" }), undefined);
    assert.equal(await seriesValue(registry, "holdfast_row_version", RUN), undefined);
  });
});

test("names follow the conventions, and every series has the label of its report", async () => {
  const { registry } = createCoordinatorMetrics("r1");
  for (const { name, type, help, values } of await registry.getMetricsAsJSON()) {
    if (!name.startsWith("holdfast_")) continue;
    assert.equal(String(type) === "counter", name.endsWith("_total"), name);
    assert.match(help, /[^.]$/, name);
    for (const { labels } of values) assert.equal((labels as Record<string, string>).report, "r1", name);
  }
  assert.match(await registry.metrics(), /^process_resident_memory_bytes\{report="r1"\} \d+$/m);
});

test("docs/metrics.md matches the registries", async () => {
  const file = new URL("../../docs/metrics.md", import.meta.url);
  const page = await metricsPage();
  if (process.env.UPDATE === "1") writeFileSync(file, page);
  assert.equal(readFileSync(file, "utf8"), page);
});

function judged(report: Report) {
  const metrics = createCoordinatorMetrics("r1");
  for (const run of report.runs) metrics.runJudged(run);
  return (name: string, labels: Record<string, string>) => seriesValue(metrics.registry, name, labels);
}
