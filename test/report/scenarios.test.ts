import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Report } from "../../coordinator/judge/report-data.ts";
import { labelsOf, namesAmong, quotedLabelsOf } from "../../coordinator/plan/run-names.ts";
import { answers } from "../../coordinator/report/answers.ts";
import { formatJunit } from "../../coordinator/report/junit.ts";
import { formatMarkdown } from "../../coordinator/report/markdown.ts";
import { scenarioTables } from "../../coordinator/report/scenario-tables.ts";
import { formatReport } from "../../coordinator/report/text.ts";
import { assertGolden } from "../support/golden.ts";
import { aclReport, contentionReport, mixedReport, ttlReport } from "../support/sample-scenarios.ts";

const SAMPLES = { contentionReport, ttlReport, mixedReport, aclReport };
const plain = (report: Report, width = 120) => formatReport(report, { color: false, width });

describe("forms of reports with many runs", () => {
  test("thirty-two runs on a terminal, in Markdown and for a CI server", () => {
    assertGolden("report-contention.txt", plain(contentionReport()));
    assertGolden("report-contention.md", formatMarkdown(contentionReport()));
    assertGolden("report-contention.xml", formatJunit(contentionReport()));
  });
  test("a curve stands before the table, and in the short text only runs that are not as expected have a line", () => {
    const report = contentionReport();
    const whole = plain({ ...report, options: { verbose: true } });
    assert.ok(whole.indexOf("More workers on one row") < whole.indexOf("What happened"));
    assert.doesNotMatch(plain(report), /redis, 2 workers/);
    report.runs[5] = { ...report.runs[5]!, agreement: "unknown", reasons: ["the workers rarely contended"] };
    const text = plain(report);
    assert.match(text, /Runs that are not as expected\n[\s\S]*\n {2}redis, 2 workers, hold 2 ms .* unknown /);
    assert.ok(text.indexOf("More workers on one row") < text.indexOf("Runs that are not"));
    assert.doesNotMatch(text, /redis, 4 workers|runs are as theory expects/);
  });
  test("names longer than there is room for", () => assertGolden("report-ttl.txt", plain(ttlReport(), 80)));
  test("no run at all", () => assertGolden("report-acl.txt", plain(aclReport(), 100)));

  for (const [name, sample] of Object.entries(SAMPLES)) {
    test(`${name} is a report, and fits every terminal`, () => {
      Report.parse(JSON.parse(JSON.stringify(sample())));
      for (const width of [60, 72, 80, 100, 120]) {
        const text = plain(sample(), width);
        assert.deepEqual(
          text.split("\n").filter((line) => line.length > width),
          [],
          `at ${width} columns`,
        );
        assert.doesNotMatch(text, /[ ]\n|\n\n\n|undefined|NaN|null/);
      }
      assert.doesNotMatch(formatMarkdown(sample()), /undefined|NaN|null/);
    });
    test(`${name}: test cases have names of their own`, () => {
      const names = [...formatJunit(sample()).matchAll(/<testcase[^>]* name="([^"]*)"/g)].map(([, found]) => found);
      assert.equal(new Set(names).size, names.length);
    });
  }
});

test("a table of faults says how many operations of unknown outcome were applied, where there were any", () => {
  const { runs } = ttlReport();
  runs.push({ ...runs.pop()!, resolved: { applied: 2, notApplied: 1 } });
  const [table] = scenarioTables({ ...ttlReport(), scenario: "faults", runs });
  const applied = table!.columns.filter(({ head }) => head === "applied");
  assert.deepEqual(
    applied.map(({ cell }) => table!.points.map(cell).filter((text) => text !== "")),
    [["2 of 3"]],
  );
});

describe("names of runs", () => {
  test("have what differs among runs of the same strategy, and every fault", () => {
    const labels = [...labelsOf(ttlReport().runs).values()];
    assert.deepEqual(labels, [
      "redis, TTL 100 ms, holder overruns its TTL",
      "redis, TTL 100 ms, not extended, holder overruns its TTL",
      "redis, TTL 100 ms, holder is stalled",
      "redis, TTL 2 s, holder dies",
    ]);
    assert.deepEqual([...labelsOf(mixedReport().runs).values()], ["version next to none", "version next to row-lock"]);
    const contended = new Set(labelsOf(contentionReport().runs).values());
    assert.equal(contended.size, 32);
    assert.ok(contended.has("redis, 8 workers, hold 10 ms"));
  });

  test("stand in parentheses among others, and are left out where one stands for all", () => {
    const { runs } = contentionReport();
    assert.ok(new Set(quotedLabelsOf(runs).values()).has('"redis" (8 workers, hold 10 ms)'));
    const [version] = mixedReport().runs;
    assert.deepEqual(
      [{ ...version!, mix: undefined, guard: "version" as const }, version!].map((run) => [
        ...quotedLabelsOf([run]).values(),
      ]),
      [['"version"'], ['"version" next to "none"']],
    );
    const redis = runs.filter(({ strategy }) => strategy === "redis");
    const claimed = redis.filter(({ expects }) => expects.data === "holds");
    assert.deepEqual(namesAmong(claimed, runs), ['"redis"']);
    assert.deepEqual(namesAmong(claimed.slice(0, 1), runs), ['"redis" (2 workers, hold 2 ms)']);
  });
});

describe("what a scenario shows", () => {
  test("contention: the range, the cost compared with no lock, and where one strategy overtakes another", () => {
    const shown = answers(contentionReport()).shown.join("\n");
    assert.match(
      shown,
      /With a hold time of 2 ms, "redis" went from 250 committed\/s with 1 worker to 220 with 8; .* 2.00 to 16.0 ms/,
    );
    assert.match(
      shown,
      /With a hold time of 2 ms and 8 workers, "redis" committed 18 % as much as "none", which lost 74 % of its/,
    );
    assert.match(shown, /"version" .* 78 % of its operations were rejected with 8 workers/);
    assert.match(
      shown,
      /With a hold time of 2 ms, "version" committed more than "redis" with few workers, and less with 8 workers/,
    );
    assert.match(
      shown,
      /With a hold time of 10 ms, "row-lock" committed more than "version" wherever they differed clearly/,
    );
    assert.deepEqual(answers(contentionReport()).cost, []);
  });

  test("contention: a curve for each hold time, with a line for each number of workers", () => {
    const [curve, other] = scenarioTables(contentionReport());
    assert.deepEqual(
      [curve?.title, other?.title],
      [2, 10].map((ms) => `More workers on one row, hold ${ms} ms`),
    );
    const [points, columns] = [curve!.points, curve!.columns];
    assert.deepEqual(
      points.map((point) => columns.slice(0, 4).map((column) => column.cell(point))),
      [
        ["1 worker", "300", "–", "0 %"],
        ["2 workers", "550", "–", "0 %"],
        ["4 workers", "900", "–", "0 %"],
        ["8 workers", "1,200", "–", "0 %"],
      ],
    );
  });

  test("ttl: who noticed, what broke and why, and how long after a death", () => {
    const { shown, held } = answers(ttlReport());
    assert.match(shown[0]!, /25 times; no operation was rejected; the data held\.$/);
    assert.match(shown[1]!, /25 operations rejected \(LockLost\); the data held\.$/);
    assert.match(shown[2]!, /the data did not hold: 3,107 updates lost \(as expected: no timer fires/);
    assert.match(shown[3]!, /the next write came 1,910 ms later \(TTL 2 s\); the data held\.$/);
    assert.match(
      held[0]!,
      /^"redis" \(TTL 100 ms, holder is stalled\) lost updates, as expected, so this report can detect a violation/,
    );
    assert.doesNotMatch(held.join("\n"), /No control ran/);
  });

  test("ttl: no write after a death", () => {
    const report = ttlReport();
    report.runs[3] = { ...report.runs[3]!, recoverySeconds: null };
    assert.match(answers(report).shown[3]!, /nothing was written after that/);
  });

  test("mixed: who wrote from a stale read, and who lost by it", () => {
    const { shown } = answers(mixedReport());
    assert.match(shown[0]!, /"version" committed 218 \(1,900 rejected\), made no stale write, and lost 190 updates/);
    assert.match(shown[0]!, /"none" committed 4,100, made 3,107 stale writes/);
    assert.match(shown[1]!, /"row-lock" committed 1,000, made no stale write\.$/);
  });
});
