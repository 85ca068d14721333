/** Comparisons of reports with planted differences: what got worse is found, what chance may explain is not claimed. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compareReports } from "../../coordinator/judge/comparison.ts";
import type { Report, RunReport } from "../../coordinator/judge/report-data.ts";
import { judgeReport } from "../../coordinator/judge/report-verdict.ts";
import { repeatedReport } from "../support/sample-repeats.ts";
import { sampleReport, troubledReport, violatedReport } from "../support/sample-report.ts";

const withRuns = (change: (run: RunReport) => RunReport): Report => {
  const report = sampleReport();
  const runs = report.runs.map(change);
  return { ...report, runs, verdict: judgeReport(runs, report.skipped, report.acl) };
};
const only = (strategy: string, change: Partial<RunReport>) =>
  withRuns((run) => (run.strategy === strategy ? { ...run, ...change } : run));
const planned = (change: Partial<RunReport["plan"]>) =>
  withRuns((run) => ({ ...run, plan: { ...run.plan, ...change } }));

describe("verdicts", () => {
  test("the same report is the same", () => {
    const { exitCode, verdicts, refused, differences } = compareReports(sampleReport(), sampleReport(), 0);
    assert.deepEqual(
      { exitCode, verdicts, refused, differences },
      { exitCode: 0, verdicts: [], refused: [], differences: [] },
    );
  });

  test("a lock that no longer holds got worse, whatever the cost", () => {
    const { exitCode, verdicts, line } = compareReports(sampleReport(), violatedReport(), null);
    assert.equal(exitCode, 1);
    assert.deepEqual(
      verdicts.map(({ run, of, base, new: next, is }) => [run, of, base, next, is]),
      [
        ["redis", "data", "holds", "violated", "worse"],
        ["redis", "exclusion", "holds", "violated", "worse"],
        ["redis", "agreement", "expected", "mismatch", "worse"],
        ["report", "verdict", "expected", "violated", "worse"],
      ],
    );
    assert.match(verdicts[0]!.reasons.join(), /12 of 1,652 writes were stale/);
    assert.match(line, /a verdict got worse: "redis" and "report" \(exit 1\)$/);
  });

  test("the way back is better", () => {
    const { exitCode, verdicts } = compareReports(violatedReport(), sampleReport(), null);
    assert.equal(exitCode, 0);
    assert.ok(verdicts.length > 0 && verdicts.every(({ is }) => is === "better"));
  });

  test("one violated repeat of five is found", () => {
    const speeds = { none: [860, 861, 862, 863, 864], redis: [230, 240, 235, 228, 250] };
    const broken = violatedReport().runs.find(({ strategy }) => strategy === "redis")!;
    const { data, exclusion, agreement, reasons } = broken;
    const next = repeatedReport(speeds, (run) =>
      run.strategy === "redis" && run.repeat === 4 ? { ...run, data, exclusion, agreement, reasons } : run,
    );
    const { exitCode, verdicts } = compareReports(repeatedReport(speeds), next, null);
    assert.equal(exitCode, 1);
    assert.match(verdicts[0]!.reasons.join(), /in repeat 4: 12 of 1,652/);
  });

  test("a verdict that became unknown got worse", () => {
    const reasons = ["worker-2 was lost"];
    const next = only("redis", { data: { value: "unknown", reasons }, agreement: "unknown", reasons });
    assert.equal(compareReports(sampleReport(), next, null).exitCode, 1);
  });

  test("a control that is no longer violated got worse", () => {
    const next = only("none", { data: { value: "holds", operations: 9, rateBelow: 1 / 3 }, agreement: "mismatch" });
    const { exitCode, verdicts } = compareReports(sampleReport(), next, null);
    assert.equal(exitCode, 1);
    assert.equal(verdicts[0]!.run, "none");
  });

  test("a newer version that expects less of a strategy hides no violation", () => {
    const next = only("redis", {
      data: { value: "violated", count: 3, reasons: ["3 writes were stale"] },
      expects: { data: "unclaimed", exclusion: "unclaimed" },
    });
    assert.equal(next.verdict.value, "expected");
    assert.equal(compareReports(sampleReport(), next, null).exitCode, 1);
  });

  test("what theory does not claim is different, not worse", () => {
    const next = only("version", { exclusion: { value: "violated", count: 3, reasons: ["3 overlapped"] } });
    const { exitCode, verdicts } = compareReports(sampleReport(), next, null);
    assert.equal(exitCode, 0);
    assert.deepEqual(
      verdicts.map(({ is }) => is),
      ["different"],
    );
  });

  test("a run that was skipped got worse, and a probe that is no longer refused", () => {
    const { exitCode, verdicts } = compareReports(
      {
        ...sampleReport(),
        runs: sampleReport().runs.filter(({ strategy }) => ["none", "redis", "row-lock"].includes(strategy)),
      },
      troubledReport(),
      null,
    );
    assert.equal(exitCode, 1);
    const told = verdicts.map(({ run, new: next, is }) => `${run} ${next} ${is}`);
    assert.ok(told.includes("row-lock not made worse"), told.join("\n"));
    assert.ok(told.includes("redis lock: FLUSHALL no allowed worse"), told.join("\n"));
  });
});

describe("cost", () => {
  const single = (factor: number) => only("redis", { throughput: 329 * factor });

  test("a run that lost more than it may is too slow, and the result names it", () => {
    const { exitCode, line, costs } = compareReports(single(1), single(0.7), 0.2);
    assert.equal(exitCode, 5);
    assert.match(line, /slower than allowed \(20 %\): "redis" by 30 % \(exit 5\)/);
    assert.deepEqual(
      costs.filter(({ tooSlow }) => tooSlow).map(({ run, of }) => `${run} ${of}`),
      ["redis throughput"],
    );
  });

  test("a run that lost less, or any loss without a limit, is not", () => {
    assert.equal(compareReports(single(1), single(0.85), 0.2).exitCode, 0);
    const { exitCode, line } = compareReports(single(1), single(0.1), null);
    assert.equal(exitCode, 0);
    assert.match(line, /a loss of speed is not judged without --max-drop/);
  });

  test("a verdict that got worse comes before a loss of speed", () => {
    const next = violatedReport();
    const slow = { ...next, runs: next.runs.map((run) => ({ ...run, throughput: run.throughput! / 2 })) };
    assert.equal(compareReports(sampleReport(), slow, 0.2).exitCode, 1);
  });

  test("the speed of a control is not compared", () => {
    assert.equal(compareReports(sampleReport(), only("none", { throughput: 1 }), 0.2).exitCode, 0);
  });

  const NONE = [860, 861, 862, 863, 864, 865];
  const repeated = (redis: number[]) => repeatedReport({ none: NONE, redis });
  const before = repeated([230, 240, 235, 228, 250, 236]);

  test("with repeats, a loss within overlapping intervals is not claimed", () => {
    const { exitCode, costs } = compareReports(before, repeated([150, 160, 235, 155, 152, 161]), 0.2);
    assert.equal(exitCode, 0);
    assert.ok(costs[0]!.change < -0.3, "the median fell by more than a third");
    assert.equal(costs[0]!.isApart, false);
  });

  test("with repeats, a loss outside them is", () => {
    const { exitCode, costs } = compareReports(before, repeated([150, 160, 170, 155, 152, 161]), 0.2);
    assert.equal(exitCode, 5);
    assert.equal(costs[0]!.isApart, true);
  });

  test("with repeats, a loss outside them that is small enough is allowed", () => {
    const { exitCode, costs } = compareReports(before, repeated([220, 221, 222, 223, 224, 225]), 0.2);
    assert.equal(exitCode, 0);
    assert.equal(costs[0]!.isApart, true);
  });

  test("one side without intervals is judged by the medians, and the comparison says so", () => {
    const { exitCode, costs } = compareReports(before, repeated([150]), 0.2);
    assert.equal(exitCode, 5);
    assert.equal(costs[0]!.isApart, "unknown");
  });
});

describe("what cannot be compared", () => {
  const changes: [string, Report, RegExp][] = [
    ["scenario", { ...sampleReport(), scenario: "all" }, /^scenario: compare in the base report, all in the new one$/],
    ["platform", { ...sampleReport(), where: "Kubernetes namespace ci" }, /^platform: one machine .* Kubernetes/],
    ["workers", planned({ workers: 8 }), /^workers: 4 in the base report, 8 in the new one$/],
    ["concurrency", planned({ concurrency: 2 }), /^loops per worker: 1 .* 2/],
    ["rows", planned({ rows: 10 }), /^rows: 1 .* 10/],
    ["duration", planned({ durationMs: 2_000 }), /^duration: 5 s .* 2 s/],
    ["hold", planned({ holdMs: 10 }), /^hold: 2 ms .* 10 ms/],
    ["pause", planned({ pauseMs: 10 }), /^pause: 0 ms .* 10 ms/],
    ["interval", planned({ intervalMs: 100 }), /^interval: none .* 100 ms/],
    ["key scope", planned({ keyScope: "global" }), /^key scope: row .* global/],
    ["TTL", planned({ lockTtlMs: 400 }), /^TTL of locks: 10 s .* 400 ms/],
    ["extension", planned({ extend: false }), /^extension of locks: true .* false/],
    ["lock timeout", planned({ lockTimeoutMs: 1_000 }), /^lock timeout: 5 s .* 1 s/],
    ["servers of MySQL", planned({ mysqlServers: 3 }), /^servers of the MySQL cluster: none .* 3/],
    ["guard", withRuns((run) => ({ ...run, guard: "version" })), /^guard: none .* version/],
    [
      "a strategy",
      { ...sampleReport(), runs: sampleReport().runs.filter(({ strategy }) => strategy !== "redis") },
      /^"redis" ran only for the base report$/,
    ],
  ];
  for (const [what, next, reason] of changes)
    test(`another ${what}: exit status 3 and the reason`, () => {
      const { exitCode, refused, costs, verdicts, line } = compareReports(sampleReport(), next, 0.2);
      assert.equal(exitCode, 3);
      assert.match(refused[0]!, reason);
      assert.equal(refused.length, 1, refused.join("\n"));
      assert.deepEqual([costs, verdicts], [[], []]);
      assert.match(line, /^COMPARISON: cannot be compared: .* \(exit 3\)$/);
    });

  test("versions, settings of servers and the seed are only named, and a strategy that is new", () => {
    const next = planned({ seed: 7 });
    const base = { ...sampleReport(), runs: sampleReport().runs.filter(({ strategy }) => strategy !== "version") };
    const { exitCode, differences } = compareReports(
      base,
      { ...next, version: "0.2.0", environment: { ...next.environment, redis: "Redis 8.0" } },
      0.2,
    );
    assert.equal(exitCode, 0);
    assert.deepEqual(differences, [
      "version of Holdfast: 0.1.0 in the base report, 0.2.0 in the new one",
      "redis: Redis 7.0.15 in the base report, Redis 8.0 in the new one",
      '"version" ran only for the new report and is not compared',
    ]);
  });
});
