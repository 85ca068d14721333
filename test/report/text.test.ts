import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import type { Report, RunReport } from "../../coordinator/judge/report-data.ts";
import { formatMarkdown } from "../../coordinator/report/markdown.ts";
import { formatReport } from "../../coordinator/report/text.ts";
import { assertGolden } from "../support/golden.ts";
import { sampleReport, troubledReport, violatedReport } from "../support/sample-report.ts";

const SAMPLES = { sampleReport, troubledReport, violatedReport };
const plain = (report: Report, width = 120) => formatReport(report, { color: false, width });
const verbose = (report: Report): Report => ({ ...report, options: { ...report.options, verbose: true } });
const place = "reports/r20260301-101500-k3f9/report.json";

describe("the report on a terminal", () => {
  test("all as expected, 120 columns", () => {
    assertGolden("report.txt", formatReport(sampleReport(), { color: false, width: 120, place }));
  });
  test("all as expected, 100 columns", () => {
    assertGolden("report-100.txt", formatReport(sampleReport(), { color: false, width: 100, place }));
  });
  test("the whole report, 120 columns", () => {
    assertGolden("report-verbose.txt", formatReport(verbose(sampleReport()), { color: false, width: 120, place }));
  });
  test("a default report takes at most 40 lines", () => {
    for (const width of [100, 120]) {
      const lines = formatReport(sampleReport(), { color: false, width, place }).trimEnd().split("\n");
      assert.ok(lines.length <= 40, `${lines.length} lines at ${width} columns`);
    }
  });
  test("the verdict is at the beginning and at the end", () => {
    for (const report of [sampleReport(), verbose(sampleReport())]) {
      const lines = plain(report).trimEnd().split("\n");
      assert.deepEqual([lines[1], lines.at(-1)], [report.verdict.line, report.verdict.line]);
    }
  });

  test("the short text has everything that is not as expected", () => {
    for (const report of [troubledReport(), violatedReport()]) {
      const text = plain(report, 200).replace(/\s+/g, " ");
      const runs = report.runs.filter(({ agreement }) => agreement !== "expected");
      const facts = [
        ...report.verdict.reasons,
        ...runs.flatMap(({ checks }) => checks.flatMap(({ witnesses }) => witnesses.map((witness) => witness.text))),
        ...runs.flatMap(({ reasons }) => reasons),
        ...runs.flatMap(({ problems }) => problems),
        ...runs.flatMap(({ reconciliation }) => reconciliation.flatMap(({ lost }) => lost ?? [])),
        ...report.acl.flatMap(({ outcome, attempt }) => (outcome === "refused" ? [] : `${attempt}: NOT REFUSED`)),
        ...report.skipped.map(({ reason }) => reason),
      ];
      assert.ok(facts.length >= 3, "the sample has too little to lose");
      const missing = facts.filter((fact) => !text.replaceAll(" on local", "").includes(fact));
      assert.deepEqual(missing, []);
    }
  });

  test("counts that differ by operations of unknown outcome alone have that reason", () => {
    const report = sampleReport();
    const run = report.runs.find(({ checks }) =>
      checks.some(({ check, status }) => check === "metrics" && status === "holds"),
    )!;
    const [first, ...others] = run.reconciliation;
    const more = { ...run, reconciliation: [{ ...first!, ledger: first!.ledger + 1 }, ...others] };
    const text = plain({ ...report, runs: report.runs.map((each) => (each === run ? more : each)) });
    assert.match(
      text.replace(/\s+/g, " "),
      /the counts differ for 1 of 4 workers .*was of unknown outcome to its worker/,
    );
  });

  test("refused commands are counted in one line, and listed where one was not refused", () => {
    assert.match(plain(sampleReport()), /^ {2}· 5 of 5 forbidden Redis commands were refused\.$/m);
    assert.doesNotMatch(plain(sampleReport()), /NOPERM/);
    for (const outcome of ["allowed", "unanswered"] as const) {
      const report = sampleReport();
      report.acl[0] = { ...report.acl[0]!, outcome, answer: "OK" };
      assert.doesNotMatch(plain(report), /forbidden Redis commands were refused/);
      assert.match(
        plain(report),
        /Redis refused 4 of 5 forbidden attempts; its answers\n.*the answer was: OK\n.*NOPERM/,
      );
    }
    assert.match(plain({ ...sampleReport(), acl: [] }), /What Redis must refuse was not tried\./);
  });

  test("operations of unknown outcome have a column where there are any", () => {
    const report = sampleReport();
    assert.doesNotMatch(plain(report), /outcome/);
    report.runs[2] = { ...report.runs[2]!, operations: { committed: 1652, rejected: 0, unknown: 7 } };
    assert.match(plain(report), /unknown\n.*outcome\n[\s\S]*\n {2}redis .* 7\n/);
  });

  test("a lost worker, a probe that was not refused, a run that was not made", () => {
    assertGolden("report-troubled.txt", formatReport(troubledReport(), { color: false, width: 100, place }));
  });
  test("a lock that did not hold", () => {
    assertGolden("report-violated.txt", formatReport(violatedReport(), { color: false, width: 100, place }));
  });

  const FORMS = Object.entries(SAMPLES).flatMap(([name, sample]) => [
    [name, sample] as const,
    [`${name}, verbose`, () => verbose(sample())] as const,
  ]);
  for (const [name, sample] of FORMS) {
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
    assert.match(plain(report), /^ {2}redis +HOLDS +HOLDS +yes +no data +no data +no data +no data$/m);
    const text = plain(verbose(report));
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

  test("notes on the servers are said once for all runs, and not again where they are a reason", () => {
    const report = sampleReport();
    const [evicted, twice] = ["Redis evicted 7 keys", "Prometheus has 2 series of a worker"];
    report.runs = report.runs.map((run) => ({ ...run, notes: run.strategy === "redis" ? [evicted, twice] : [twice] }));
    const notes = () => /^What happened during the runs\n([\s\S]*?)\n\n/m.exec(plain(report))?.[1];
    assert.equal(notes(), `  all runs  ${twice}\n  redis     ${evicted}`);
    assert.ok(formatMarkdown(report).includes(`- all runs: ${twice}\n- redis: ${evicted}`));
    report.runs = report.runs.map((run) => ({ ...run, notes: [evicted], reasons: [evicted] }));
    assert.equal(notes(), undefined);
  });

  test("a report without a run still ends in its verdict", () => {
    const report = sampleReport();
    report.runs = [];
    report.skipped = [{ strategy: "redis", reason: "not made: interrupted by SIGTERM" }];
    report.verdict = { value: "unknown", line: "VERDICT: unknown: no run was made (exit 3)", exitCode: 3, reasons: [] };
    const text = plain(report);
    assert.match(text, /No run was made\./);
    assert.match(text, /"redis" was not run: not made: interrupted by SIGTERM\./);
    assert.match(plain(verbose(report)), /redis +not made: interrupted by SIGTERM/);
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
    assert.match(plain(verbose(report)), /105 % +1,000 granted, 1,050 arrived, 50 more than granted/);
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
