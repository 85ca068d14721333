import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Report, RunReport } from "../../coordinator/judge/report-data.ts";
import { answers } from "../../coordinator/report/answers.ts";
import type { StrategyName } from "../../worker/contract.ts";
import { sampleReport, troubledReport, violatedReport } from "../support/sample-report.ts";

const withRuns = (change: (run: RunReport) => RunReport[]): Report => {
  const report = sampleReport();
  return { ...report, runs: report.runs.flatMap(change) };
};

describe("what held", () => {
  test("names what held, and the controls that show that a violation can be seen", () => {
    const { held } = answers(sampleReport());
    assert.match(held[0]!, /^"none" and "memory" lost updates, as a positive control must/);
    assert.equal(held[1], 'The data held with "redis", "row-lock" and "version".');
    assert.equal(held.length, 2);
  });

  test("says that no violation proves nothing if no control ran", () => {
    const { held } = answers(withRuns((run) => (run.control ? [] : [run])));
    assert.match(held[0]!, /^No control ran/);
  });

  test("says that no violation proves nothing if a control was not violated", () => {
    const quiet = { value: "holds", operations: 900, rateBelow: 3 / 900 } as const;
    const { held } = answers(withRuns((run) => [run.strategy === "none" ? { ...run, data: quiet } : run]));
    assert.match(
      held.join("\n"),
      /"none" is a control, but no violation was observed, so the runs that held prove nothing/,
    );
    assert.doesNotMatch(held.join("\n"), /data held with[^.]*"none"/);
  });

  test("does not praise what was violated or not shown", () => {
    assert.match(
      answers(violatedReport()).held.join("\n"),
      /The data did not hold with "redis": 12 of 1,652 writes were stale/,
    );
    assert.match(answers(troubledReport()).held.join("\n"), /Nothing was shown about "redis": worker-2 was lost/);
    for (const report of [violatedReport(), troubledReport()]) {
      assert.doesNotMatch(answers(report).held.join("\n"), /data held with[^.]*redis/);
      assert.doesNotMatch(answers(report).cost.join("\n"), /redis/);
    }
  });

  test("strategies that kept only the data are listed apart from those that promised exclusion", () => {
    const met = { value: "violated", count: 3, reasons: ["3 of 1203 operations overlapped another one"] } as const;
    const { held } = answers(withRuns((run) => [run.strategy === "version" ? { ...run, exclusion: met } : run]));
    assert.match(
      held[2]!,
      /^"version" kept the data although operations overlapped 3 times, which it does not promise/,
    );
  });

  test("a lock that kept the data but admitted two holders is listed apart", () => {
    const met = { value: "violated", count: 3, reasons: ["3 of 1652 operations overlapped another one"] } as const;
    const { held } = answers(withRuns((run) => [run.strategy === "redis" ? { ...run, exclusion: met } : run]));
    assert.match(
      held.join("\n"),
      /"redis" kept the data although operations overlapped 3 times, which it promises to prevent/,
    );
  });
});

describe("what it cost", () => {
  test("compares with the fastest that held, not with the fastest", () => {
    const { cost } = answers(sampleReport());
    assert.equal(cost[0], '"row-lock" was the fastest that held in 1 run of each: 373 committed/s, p99 14.1 ms.');
    assert.equal(cost[1], '"redis": 88 % of that throughput (329/s), p99 18.2 ms, 1.29 times the p99 of the fastest.');
    assert.equal(cost[3], '"none" committed 2.31 times as many operations as "row-lock" and lost 74 % of the raises.');
  });

  test("does not compare the times of rejections with the times of operations", () => {
    const line = answers(sampleReport()).cost[2]!;
    assert.match(line, /^"version": 64 % of that throughput \(240\/s\), p99 10.4 ms \(rejected operations included\);/);
    assert.match(line, /74 % of its operations were rejected, and the caller must retry them/);
    assert.doesNotMatch(line, /times as long/);
  });

  test("compares only runs with the same load", () => {
    const { cost } = answers(
      withRuns((run) =>
        run.strategy === "redis" ? [{ ...run, plan: { ...run.plan, workers: 8 }, throughput: 900 }] : [run],
      ),
    );
    assert.deepEqual(
      cost.filter((line) => line.includes("fastest that held")).map((line) => line.split(" was ")[0]),
      ['"row-lock"'],
    );
    assert.match(cost.join("\n"), /"redis", the only run with this load: 900 committed\/s/);
    assert.doesNotMatch(cost.join("\n"), /"row-lock": /);
  });

  test("has no number where the run has none", () => {
    const { cost } = answers(
      withRuns((run) => [run.strategy === "redis" ? { ...run, throughput: null, operationSeconds: null } : run]),
    );
    assert.match(cost.join("\n"), /"redis": throughput no data\./);
    assert.deepEqual(answers({ ...sampleReport(), runs: [] }).cost, []);
  });

  test("names strategies that served their workers unevenly", () => {
    const { cost } = answers(withRuns((run) => [run.strategy === "redis" ? { ...run, fairness: 0.71 } : run]));
    assert.match(cost.join("\n"), /"redis" served its workers unevenly: Jain's index is 0\.71\./);
  });
});

describe("what cannot be shown", () => {
  test("the weakest bound, the faults that were not made, the one node, the one load", () => {
    const { cannotShow } = answers(sampleReport());
    assert.match(cannotShow[0]!, /rarer than 0\.25 % of operations \("version", 3 in 1,203\)/);
    assert.match(cannotShow[1]!, /^No fault was injected/);
    assert.match(cannotShow[2]!, /^All workers ran on one node/);
    assert.match(cannotShow[3]!, /^Each run was made once/);
    assert.match(cannotShow[4]!, /each run had 4 workers, 1 loop per worker, 1 row, hold 2 ms and pause 0 ms/);
  });

  test("claims nothing that the run contradicts", () => {
    const { cannotShow } = answers(
      withRuns((run) => [
        {
          ...run,
          faults: ["holder paused for 3 s"],
          reconciliation: run.reconciliation.map((row) => ({ ...row, node: `node-${row.worker}` })),
        },
      ]),
    );
    assert.doesNotMatch(cannotShow.join("\n"), /fault was injected|one node/);
  });

  test("names what was not run", () => {
    assert.match(
      answers(troubledReport()).cannotShow.join("\n"),
      /"row-lock" was not run: not made: interrupted by SIGINT/,
    );
  });
});

describe("which to take", () => {
  const even = (run: RunReport) => ({ ...run, fairness: 1 });

  test("names the fastest that held for each condition, and what was not tried", () => {
    assert.deepEqual(answers(withRuns((run) => [even(run)])).choice, [
      'Fastest that needs no server but the database: "row-lock" (373/s).',
      'Fastest lock kept outside the database (so it can also protect other resources): "redis" (329/s).',
      'Fastest without rejected operations: "row-lock" (373/s).',
      `Fastest that served its workers evenly (Jain's index of at least 0.99): "row-lock" (373/s).`,
      "Not tested here: a lock that expires while its holder is still working. Run --scenario ttl.",
    ]);
  });

  test("never names what did not hold, nor a guarded lock as one that needs no database", () => {
    const violated = answers(violatedReport()).choice.join("\n");
    assert.doesNotMatch(violated, /"redis" \(/);
    const guarded = answers(
      withRuns((run) => [run.strategy === "redis" ? { ...run, guard: "version" as const } : run]),
    ).choice;
    assert.match(guarded[1]!, /other resources\): no strategy that held here\.$/);
  });

  test("says what each lock needs, and what becomes of it on failure, where a lock service is among them", () => {
    const with_ = (strategy: StrategyName) =>
      answers(
        withRuns((run) => [run, ...(run.strategy === "redis" ? [{ ...run, run: `${run.run}-x`, strategy }] : [])]),
      ).choice.filter((line) => / needs (?!no )/.test(line));
    assert.deepEqual(with_("zookeeper"), [
      '"redis" (329/s) needs one Redis; if that loses its data, a held lock is given away.',
      '"zookeeper" (329/s) needs ZooKeeper, which keeps held locks while a minority of its servers is lost, and gives none without a majority.',
    ]);
    assert.deepEqual(with_("file"), []);
  });

  test("has no choice where less than two held", () => {
    assert.deepEqual(answers(withRuns((run) => (run.strategy === "version" || run.control ? [run] : []))).choice, []);
  });
});
