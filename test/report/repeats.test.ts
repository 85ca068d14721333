/** Which strategy is said to be the fastest: only one whose interval overlaps with no other's. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Report, RunReport } from "../../coordinator/judge/report-data.ts";
import { answers } from "../../coordinator/report/answers.ts";
import { reportFiles } from "../../coordinator/report/files.ts";
import { formatReport } from "../../coordinator/report/text.ts";
import { repeatedReport } from "../support/sample-repeats.ts";
import { sampleReport, violatedReport } from "../support/sample-report.ts";

const NONE = [860, 850, 870, 880, 840, 855];
const APART = { none: NONE, redis: [320, 330, 325, 329, 331, 328], "row-lock": [370, 375, 373, 380, 365, 371] };
const OVERLAPPING = { ...APART, redis: [320, 366, 325, 329, 331, 328] };

describe("the fastest", () => {
  test("is named where its interval overlaps with no other's", () => {
    const { cost, choice, cannotShow } = answers(repeatedReport(APART));
    assert.match(cost[0]!, /^"row-lock" was the fastest that held: 372 committed\/s \(365–380\)/);
    assert.match(cost[1]!, /^"redis": 88 % of that throughput \(329\/s\)/);
    assert.match(choice.join("\n"), /evenly \(.*\): "row-lock" \(372\/s\)\.$/m);
    assert.doesNotMatch([...cost, ...cannotShow].join("\n"), /told apart|chance/);
  });

  test("is not named where intervals overlap, although the medians are 13 % apart", () => {
    const { cost, choice } = answers(repeatedReport(OVERLAPPING));
    assert.match(
      cost[0]!,
      /^The fastest that held cannot be told apart, because their intervals overlap: "row-lock" with/,
    );
    assert.doesNotMatch(cost.join("\n"), /was the fastest|% of that/);
    assert.match(
      choice.join("\n"),
      /evenly .*: "row-lock" \(372\/s\) and "redis" \(329\/s\), which cannot be told apart/,
    );
  });

  test("is only that of the runs made where there is one of each, or too few", () => {
    const once = answers(sampleReport());
    assert.match(once.cost[0]!, /^"row-lock" was the fastest that held in 1 run of each/);
    assert.match(once.cannotShow.join("\n"), /Each run was made once, so differences in speed may be chance/);
    const twice = answers(repeatedReport({ none: [860, 850], redis: [320, 330], "row-lock": [370, 375] }));
    assert.match(twice.cost[0]!, /in 2 runs of each/);
    assert.match(twice.cannotShow.join("\n"), /Each run was made 2 times, so/);
  });
});

const verbose = (report: Report): Report => ({ ...report, options: { ...report.options, verbose: true } });

test("a repeat that was violated stands in every form of the report", () => {
  const broken = violatedReport().runs.find(({ strategy }) => strategy === "redis")!;
  const violate = (run: RunReport): RunReport =>
    run.strategy === "redis" && run.repeat === 4
      ? { ...broken, run: run.run, repeat: 4, plan: run.plan, throughput: run.throughput }
      : run;
  const report = repeatedReport(APART, violate);
  const files = reportFiles(report);
  const whole = formatReport(verbose(report), { color: false, width: 120 });
  assert.match(whole, /redis {5}320 {2}330 {2}325 {2}329 NOT AS EXPECTED/);
  assert.match(whole, /redis +VIOLATED +12 times/);
  assert.match(files["report.txt"], /redis +VIOLATED +VIOLATED +NO /);
  assert.match(files["report.txt"], /redis, repeat 4 +chain: 12 of 1,652 writes were stale/);
  assert.match(files["report.txt"], /VERDICT: violated: "redis" \(repeat 4\) should hold and did not \(exit 1\)/);
  assert.match(files["report.md"], /redis, repeat 4: chain: 12 of 1,652/);
  assert.match(files["junit.xml"], /<testcase[^>]*name="redis, repeat 4: data"[^>]*>\s*<failure/);
  assert.doesNotMatch(files["report.txt"], /"redis": \d+ % of that throughput/);
});

test("the short text has the interval beside the median", () => {
  assert.match(reportFiles(repeatedReport(APART))["report.txt"], /row-lock +HOLDS .* 372 \(365–380\) /);
});

test("intervals say which confidence they have", () => {
  const textOf = (report: Report) => formatReport(verbose(report), { color: false, width: 120 });
  assert.match(textOf(repeatedReport(APART)), /Medians of 6 repeats\..* confidence of 95 %\./);
  const four = Object.fromEntries(Object.entries(APART).map(([strategy, all]) => [strategy, all.slice(0, 4)]));
  assert.match(textOf(repeatedReport(four)), /Medians of 4 repeats\..* confidence of 87 %; 6 repeats give\s+95 %\./);
});
