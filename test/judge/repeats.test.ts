/** What the repeats of a run show together: a violation or a doubt in one of them is never hidden by the others. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { poolRepeats, repeatsOf } from "../../coordinator/judge/repeats.ts";
import { Report, type RunReport } from "../../coordinator/judge/report-data.ts";
import { repeatedReport } from "../support/sample-repeats.ts";
import { sampleReport, troubledReport, violatedReport } from "../support/sample-report.ts";

const SPEEDS = { none: [800, 810, 820, 830, 840], redis: [230, 240, 235, 228, 250] };
const redisOf = (report: Report) => report.runs.find(({ strategy }) => strategy === "redis")!;
const broken = redisOf(violatedReport());
const unsure = redisOf(troubledReport());

/** A report in which these repeats of `redis` are others. */
const withRepeats = (others: Readonly<Record<number, RunReport>>) =>
  repeatedReport(SPEEDS, (run) => {
    const other = run.strategy === "redis" ? others[run.repeat!] : undefined;
    if (other === undefined) return run;
    const { data, exclusion, agreement, reasons, checks, problems, lostUpdates, operations } = other;
    return { ...run, data, exclusion, agreement, reasons, checks, problems, lostUpdates, operations };
  });

const redisIn = (report: Report) => repeatsOf(report.runs)!.find(({ name }) => name === "redis")!;

describe("the verdict on all repeats", () => {
  test("holds if each repeat holds, with the operations of all of them", () => {
    const { data, agreement } = redisIn(repeatedReport(SPEEDS));
    assert.deepEqual(data, { value: "holds", operations: 5 * 1652, rateBelow: 3 / (5 * 1652) });
    assert.equal(agreement, "expected");
  });

  test("is violated if one repeat of five is, and names it", () => {
    const report = withRepeats({ 3: broken });
    const { data, agreement } = redisIn(report);
    assert.equal(data.value, "violated");
    assert.equal(agreement, "mismatch");
    assert.match(JSON.stringify(data), /in repeat 3: 12 of 1,652 writes were stale/);
    assert.equal(report.verdict.exitCode, 1);
    assert.match(report.verdict.line, /"redis" \(repeat 3\) should hold and did not/);
  });

  test("is unknown if one repeat of five is", () => {
    const report = withRepeats({ 5: unsure });
    const { data, agreement } = redisIn(report);
    assert.equal(data.value, "unknown");
    assert.equal(agreement, "unknown");
    assert.match(JSON.stringify(data), /in repeat 5: worker-2 was lost/);
    assert.equal(report.verdict.exitCode, 3);
  });

  test("a violation stays one beside a doubt, and the doubt is among the reasons", () => {
    const { data, agreement } = redisIn(withRepeats({ 1: unsure, 2: broken }));
    assert.equal(data.value, "violated");
    assert.equal(agreement, "mismatch");
    assert.match(JSON.stringify(data), /in repeat 1: worker-2 was lost/);
  });

  test("a control that held in one repeat is not as expected", () => {
    const report = repeatedReport(SPEEDS, (run) =>
      run.strategy === "none" && run.repeat === 2
        ? {
            ...run,
            data: { value: "holds", operations: 9, rateBelow: 3 / 9 },
            agreement: "mismatch",
            reasons: ["data should be violated, but 9 operations show no violation"],
          }
        : run,
    );
    assert.equal(repeatsOf(report.runs)![0]!.agreement, "mismatch");
    assert.equal(report.verdict.exitCode, 3);
  });
});

test("counts are sums, speeds are medians with an interval, in the order of the scenario", () => {
  const report = repeatedReport(SPEEDS);
  const shuffled = report.runs.toReversed();
  const [none, redis] = poolRepeats(shuffled);
  assert.deepEqual([none!.strategy, redis!.strategy], ["none", "redis"]);
  assert.equal(none!.lostUpdates, 5 * 3107);
  assert.equal(none!.operations!.committed, 5 * 4318);
  assert.equal(none!.throughput, 820);
  assert.equal(redis!.throughput, 235);
  assert.deepEqual(redisIn(report).medians[0], {
    of: "throughput",
    median: 235,
    count: 5,
    low: 228,
    high: 250,
    confidence: 0.9375,
  });
  assert.deepEqual(redisIn(report).runs.length, 5);
  Report.parse(JSON.parse(JSON.stringify(report)));
});

test("resolved operations are summed over the repeats that had some", () => {
  const resolved = { applied: 2, notApplied: 1 };
  const { runs } = repeatedReport(SPEEDS, (run) =>
    run.strategy === "redis" && run.repeat! > 3 ? { ...run, resolved } : run,
  );
  assert.deepEqual(poolRepeats(runs)[1]!.resolved, { applied: 4, notApplied: 2 });
  assert.equal(poolRepeats(runs)[0]!.resolved, undefined);
});

test("writes around faults are summed, and of the times without one the longest is taken", () => {
  const faultWrites = { before: 5, during: 1, between: 2, after: 7 };
  const { runs } = repeatedReport(SPEEDS, (run) =>
    run.strategy === "redis" ? { ...run, faultWrites, quietSeconds: run.repeat === 2 ? 3 : 1 } : run,
  );
  const [none, redis] = poolRepeats(runs);
  assert.deepEqual(redis!.faultWrites, { before: 25, during: 5, between: 10, after: 35 });
  assert.equal(redis!.quietSeconds, 3);
  assert.equal(none!.faultWrites, undefined);
});

test("a sum of which a part is missing is missing", () => {
  const [, redis] = poolRepeats(withRepeats({ 5: unsure }).runs);
  assert.equal(redis!.operations, null);
});

test("a report without repeats has no summary, and its runs stay as they are", () => {
  const { runs } = sampleReport();
  assert.equal(repeatsOf(runs), undefined);
  assert.deepEqual(poolRepeats(runs), runs);
});
