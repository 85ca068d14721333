import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import type { Report, RunReport } from "../../coordinator/judge/report-data.ts";
import { formatReport } from "../../coordinator/report/text.ts";
import { assertGolden } from "../support/golden.ts";
import { sampleReport, troubledReport, violatedReport } from "../support/sample-report.ts";

const SAMPLES = { sampleReport, troubledReport, violatedReport };
const plain = (report: Report, width = 120) => formatReport(report, { color: false, width });
const place = "reports/r20260301-101500-k3f9/report.json";

describe("the report on a terminal", () => {
  test("all as expected, 120 columns", () => {
    assertGolden("report.txt", formatReport(sampleReport(), { color: false, width: 120, place }));
  });
  test("all as expected, 100 columns", () => {
    assertGolden("report-100.txt", formatReport(sampleReport(), { color: false, width: 100, place }));
  });
  test("a lost worker, a probe that was not refused, a run that was not made", () => {
    assertGolden("report-troubled.txt", formatReport(troubledReport(), { color: false, width: 100, place }));
  });
  test("a lock that did not hold", () => {
    assertGolden("report-violated.txt", formatReport(violatedReport(), { color: false, width: 100, place }));
  });

  for (const [name, sample] of Object.entries(SAMPLES)) {
    test(`${name}: no line is longer than the terminal is wide`, () => {
      for (const width of [60, 61, 72, 80, 85, 90, 99, 100, 101, 110, 119, 120, 200]) {
        const long = plain(sample(), width)
          .split("\n")
          .filter((line) => line.length > Math.min(width, 120));
        assert.deepEqual(long, [], `at ${width} columns`);
      }
    });
    test(`${name}: no line ends in spaces, and no section is empty`, () => {
      assert.doesNotMatch(plain(sample()), /[ ]\n|\n\n\n|undefined|NaN|null/);
    });
    test(`${name}: color adds nothing but escape sequences`, () => {
      const colored = formatReport(sample(), { color: true, width: 100 });
      assert.ok(colored.includes("\u001b["));
      assert.equal(stripVTControlCharacters(colored).replace(" VERDICT  ", "VERDICT: "), plain(sample(), 100));
    });
  }

  test("no escape sequence without color, whatever the environment and the texts of others say", () => {
    const before = process.env.FORCE_COLOR;
    process.env.FORCE_COLOR = "3";
    try {
      const report = troubledReport();
      const [first] = report.runs;
      first!.problems = ["\u001b[2J\u001b[31mred\u0007\r\nalert"];
      report.acl[0]!.answer = "\u001b]0;title\u0007NOPERM";
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there.
      assert.doesNotMatch(plain(report), /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
      assert.match(plain(report), /red alert/);
    } finally {
      if (before === undefined) delete process.env.FORCE_COLOR;
      else process.env.FORCE_COLOR = before;
    }
  });

  test("what is missing prints as no data, never as a number", () => {
    const report = sampleReport();
    report.runs = report.runs.map(withoutData);
    report.acl = [];
    const text = plain(report);
    const lines = text.split("\n").filter((line) => /^ {2}(none|memory|redis|row-lock|version) /.test(line));
    const cells = lines.map((line) => line.trim().split(/ {2,}/).slice(1).join(" | "));
    // Operations in one cell for the three, then lost updates, naive count, seconds of the run and overlap.
    assert.equal(cells[0], "4 | no data | no data | no data | 5.02 | no data");
    // Throughput, fairness, both groups of quantiles.
    assert.equal(cells[5], "no data | no data | no data | no data");
    assert.match(text, /What Redis refuses\n {2}no data/);
    assert.match(text, /none +VIOLATED +·+ +no data\n/);
    assert.doesNotMatch(text, /[^.\d]0 (%|granted|committed)/);
  });

  test("a report without a run still ends in its verdict", () => {
    const report = sampleReport();
    report.runs = [];
    report.skipped = [{ strategy: "redis", reason: "not made: interrupted by SIGTERM" }];
    report.verdict = { value: "unknown", line: "VERDICT: unknown: no run was made (exit 3)", exitCode: 3, reasons: [] };
    const text = plain(report);
    assert.match(text, /No run was made\./);
    assert.match(text, /redis +not made: interrupted by SIGTERM/);
    assert.ok(text.endsWith("VERDICT: unknown: no run was made (exit 3)\n"));
  });

  test("runs of one strategy are named by the settings in which they differ", () => {
    const report = sampleReport();
    const redis = report.runs[2]!;
    report.runs = [1, 8].map((workers) => ({ ...redis, plan: { ...redis.plan, workers } }));
    report.runs.push({ ...redis, guard: "version" });
    const text = plain(report);
    for (const label of ["redis, 1 worker ", "redis, 8 workers ", "redis\\+version "]) {
      assert.match(text, new RegExp(`^ {2}${label}`, "m"));
    }
  });

  test("money from nowhere is said, not hidden in a full bar", () => {
    const report = sampleReport();
    report.runs = [{ ...report.runs[2]!, grantedMoney: 1000, lostMoney: -50 }];
    assert.match(plain(report), /105 % +1,000 granted, 1,050 arrived, 50 more than granted/);
  });
  test("says a problem once, also where it has a semicolon in it and is a part of the reason", () => {
    const problem = "MySQL at db:3306: connect ETIMEDOUT; start it or correct MYSQL_URL";
    const report = troubledReport();
    const runs = report.runs.map((run) => {
      const lost = run.reconciliation.flatMap((row) =>
        row.lost ? [`worker-${row.worker} was lost: ${row.lost}`] : [],
      );
      return { ...run, agreement: "unknown" as const, problems: [problem], reasons: [problem, ...lost] };
    });
    const [, problems = ""] = /\nProblems\n(.*?)\n\n/s.exec(plain({ ...report, runs })) ?? [];
    assert.equal(problems.split("connect ETIMEDOUT").length - 1, runs.length, problems);
  });
});

function withoutData(run: RunReport): RunReport {
  return {
    ...run,
    overlap: null,
    operations: null,
    lostUpdates: null,
    grantedMoney: null,
    lostMoney: null,
    naive: null,
    operationSeconds: null,
    lockWaitSeconds: null,
    throughput: null,
    fairness: null,
    reconciliation: run.reconciliation.map((row) => ({ ...row, prometheus: null, reported: null })),
  };
}
