/** Details of runs with faults and of mixes, on artificial histories. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { splitByStrategy } from "../../coordinator/judge/by-strategy.ts";
import { reconciliation } from "../../coordinator/judge/checks/reconciliation.ts";
import { overlapOf, vacuity } from "../../coordinator/judge/checks/vacuity.ts";
import type { Evidence } from "../../coordinator/judge/evidence.ts";
import { countAroundFaults, describeFaults, measureQuiet, measureRecovery } from "../../coordinator/judge/faults.ts";
import { judgeAcl, judgeReport } from "../../coordinator/judge/report-verdict.ts";
import { judge } from "../../coordinator/judge/run-verdict.ts";
import { summarize } from "../../coordinator/judge/summarize.ts";
import { PlanSettings, type RunPlan } from "../../coordinator/plan/run-plan.ts";
import { SETTINGS, serial, simulate, type Turn, withFinal } from "../support/histories.ts";

/**
 * Worker 0 dies at this share of the run, after it has reported its counts; its last scrape was `behind` operations
 * earlier.
 */
function withDeath(evidence: Evidence, share: number, behind: number): Evidence {
  const { startedAtUs, endedAtUs } = evidence.workers[0]!.final!;
  const died = withFinal(evidence, 0, {
    died: true,
    faulted: 1,
    endedAtUs: Math.round(startedAtUs + (endedAtUs - startedAtUs) * share),
  });
  const prometheus = died.prometheus!;
  const workers = prometheus.workers.map((worker) =>
    worker.worker === 0 ? { ...worker, committed: worker.committed - behind, raised: worker.raised - behind } : worker,
  );
  const operation = { count: prometheus.operation.count - behind };
  return { ...died, prometheus: { ...prometheus, workers, operation } };
}

test("a worker that died on purpose is neither awaited nor missing in a count", () => {
  const dead = withDeath(serial(150), 0.3, 3);
  assert.equal(overlapOf(dead), 1);
  assert.equal(reconciliation(dead).status, "holds");
  assert.deepEqual([judge(dead).data.value, judge(dead).agreement], ["holds", "expected"]);
});

test("a dead worker of which Prometheus has more than it did is no pass", () => {
  assert.notEqual(reconciliation(withDeath(serial(150), 0.3, -2)).status, "holds");
});

test("a worker that did not die is still compared to the last operation", () => {
  const { died: _, ...alive } = withDeath(serial(150), 1, 3).workers[0]!.final!;
  const evidence = withDeath(serial(150), 1, 3);
  const workers = evidence.workers.map((worker, index) => (index === 0 ? { ...worker, final: alive } : worker));
  assert.notEqual(reconciliation({ ...evidence, workers }).status, "holds");
});

test("recovery is the time from a death to the next write, and no data if no write followed", () => {
  const dead = withDeath(serial(150), 0.5, 0);
  const at = dead.workers[0]!.final!.endedAtUs;
  const next = dead.ledger.writtenAtUs.find((time) => time > at)!;
  assert.equal(measureRecovery(dead), (next - at) / 1e6);
  assert.equal(measureRecovery(withDeath(serial(150), 1.5, 0)), null);
  assert.equal(measureRecovery(serial(150)), null);
});

test("faults are described with their number, and omitted if they did not happen", () => {
  const fault = { at: "before-write", action: "stall", worker: 0, forMs: 250, every: 5, afterMs: 0 } as const;
  const faulty = serial(40);
  const evidence = { ...faulty, plan: { ...faulty.plan, fault } };
  assert.deepEqual(describeFaults(withFinal(evidence, 0, { faulted: 7 })), [
    "worker-0 was stalled for 250 ms just before the write, 7 times",
  ]);
  assert.deepEqual(describeFaults(evidence), []);
});

test("the longest time without a write that overlaps a fault, and no data if none happened", () => {
  const evidence = serial(40);
  const [before, next] = [evidence.ledger.writtenAtUs[19]!, evidence.ledger.writtenAtUs[20]! + 2_000_000];
  const writtenAtUs = evidence.ledger.writtenAtUs.map((at, row) => (row < 20 ? at : at + 2_000_000));
  const paused = { ...evidence, ledger: { ...evidence.ledger, writtenAtUs } };
  const at = { startedAtUs: before + 1_000_000, endedAtUs: before + 1_000_001 };
  assert.equal(measureQuiet(withFinal(paused, 0, { faulted: 1, faultTimes: [at] })), (next - before) / 1e6);
  // The clock of a busy worker may be behind that of the database.
  const early = { startedAtUs: before - 15_000, endedAtUs: before - 15_000 };
  assert.equal(measureQuiet(withFinal(paused, 0, { faulted: 1, faultTimes: [early] })), (next - before) / 1e6);
  assert.equal(measureQuiet(paused), null);
});

test("writes before, during, between and after the faults of a run", () => {
  const evidence = serial(40);
  const { writtenAtUs } = evidence.ledger;
  const [startedAtUs, endedAtUs] = [writtenAtUs[10]!, writtenAtUs[24]!];
  const faultTimes = [
    { startedAtUs: writtenAtUs[20]!, endedAtUs },
    { startedAtUs, endedAtUs: startedAtUs },
  ];
  const counted = countAroundFaults(withFinal(evidence, 0, { faulted: 2, faultTimes }));
  assert.deepEqual(counted, { before: 10, during: 6, between: 9, after: 15 });
  assert.equal(countAroundFaults(evidence), null);
});

test("a fault that broke nothing where theory expects a violation leaves the run unknown, with what to raise", () => {
  const fault = { at: "before-write", action: "partition", worker: 0, forMs: 1_000, every: 1, afterMs: 0 } as const;
  const expects = { data: "violated", exclusion: "violated", because: "x" } as const;
  const { agreement, reasons } = judge(withFinal(serial(150, 4, { fault, expects }), 0, { faulted: 1 }));
  assert.equal(agreement, "unknown");
  assert.match(reasons.join(), /the fault was too weak; raise --duration/);
});

const turn = (worker: number): Turn => ({ worker, employee: 1, raise: 3, end: "committed", afterUs: 500 });
/** Worker 0 reads, workers 1 and 3 write twice each, worker 0 writes from its old read: four writes are lost. */
const mixed = (plan: Partial<RunPlan> = {}) =>
  simulate([turn(0), ...[1, 1, 3, 3, 1, 1, 3, 3, 0, 2, 2].map(turn)], {
    strategy: "redis",
    mix: ["redis", "row-lock"],
    ...plan,
  }).evidence;

test("each part of a mix has its own writes, stale writes, and writes that were lost under others'", () => {
  assert.deepEqual(splitByStrategy(["redis", "row-lock"], mixed()), [
    { strategy: "redis", workers: 2, committed: 2, rejected: 0, staleWrites: 1, overwritten: 0 },
    { strategy: "row-lock", workers: 2, committed: 4, rejected: 0, staleWrites: 0, overwritten: 4 },
  ]);
});

test("in a mix one busy worker of each strategy is enough", () => {
  const idle = (mix: RunPlan["mix"]) =>
    vacuity({ ...serial(150, 4, {}), plan: { ...serial(150).plan, workers: 6, mix } });
  assert.match(idle(undefined).detail, /worker-4 and worker-5 committed nothing/);
  assert.doesNotMatch(idle(["redis", "none"]).detail, /committed nothing/);
  assert.match(
    idle(["redis", "redis", "redis", "redis", "version"]).detail,
    /each worker of "version" committed nothing/,
  );
});

test("half of an operation may be applied only if theory expects it", () => {
  const outside = (expects: RunPlan["expects"]) => {
    const evidence = mixed({ expects });
    const final = [{ ...evidence.final[0]!, salary: evidence.final[0]!.salary + 1, version: 99 }];
    return judge({ ...evidence, final }).agreement;
  };
  const expects = { data: "violated", exclusion: "unclaimed", because: "x" } as const;
  assert.equal(outside({ ...expects, halfApplied: true }), "expected");
  assert.equal(outside(expects), "unknown");
});

test("the report has the settings of the plan without what names the run", () => {
  const plan: RunPlan = {
    ...serial(40).plan,
    pair: { order: "same", onDeadlock: "retry" },
    fault: { at: "after-read", action: "sleep", forMs: 1, every: 1, afterMs: 0 },
    expects: { data: "holds", exclusion: "holds", because: "x" },
  };
  const evidence = { ...serial(40), plan };
  const settings = summarize(evidence, judge(evidence), new Date(0), new Date(1)).plan;
  assert.deepEqual(PlanSettings.parse(settings), settings);
  assert.deepEqual([settings.pair, settings.fault], [plan.pair, plan.fault]);
});

test("an expected violation stands in for a control, and a skipped strategy that was not requested by name does not matter", () => {
  const run = (data: "holds" | "violated") => ({
    strategy: "redis" as const,
    guard: "none" as const,
    plan: { ...SETTINGS, lockTtlMs: data === "holds" ? 2_000 : 100 },
    control: false,
    expects: { data, exclusion: "unclaimed" as const },
    data:
      data === "holds"
        ? ({ value: "holds", operations: 90, rateBelow: 3 / 90 } as const)
        : ({ value: "violated", count: 3, reasons: ["3 stale"] } as const),
    exclusion: { value: "holds", operations: 90, rateBelow: 3 / 90 } as const,
    agreement: "expected" as const,
    reasons: [],
  });
  const skipped = { strategy: "lease", reason: "needs a cluster" };
  const both = [run("holds"), run("violated")];
  const verdict = judgeReport(both, [{ ...skipped, unavailable: true }]);
  assert.deepEqual([verdict.value, verdict.exitCode], ["expected", 0]);
  assert.match(verdict.line, /"redis" \(TTL 100 ms\) violated; "redis" \(TTL 2 s\) holds/);
  assert.equal(judgeReport(both, [skipped]).value, "unknown");
  assert.equal(judgeReport([run("holds")]).value, "unknown");
});

test("the users alone: refused, let through, or not tried", () => {
  const probe = { user: "lock", attempt: "FLUSHALL", outcome: "refused" as const, answer: "NOPERM" };
  assert.equal(judgeAcl([probe]).exitCode, 0);
  const open = judgeAcl([probe, { ...probe, outcome: "allowed" }]);
  assert.equal(open.exitCode, 1);
  assert.match(open.line, /Redis lets user "lock" run FLUSHALL/);
  const unanswered = judgeAcl([probe, { ...probe, outcome: "unanswered", answer: "ERR unknown command 'flushall'" }]);
  assert.equal(unanswered.exitCode, 3);
  assert.match(unanswered.line, /it is unknown whether user "lock" may run FLUSHALL: ERR unknown command/);
  assert.equal(judgeAcl([], "not tried").exitCode, 3);
});
