/** The machine-readable forms of the report. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { describe, test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import { Report } from "../../coordinator/judge/report-data.ts";
import { reportJsonSchema } from "../../coordinator/report/json-schema.ts";
import { formatJunit } from "../../coordinator/report/junit.ts";
import { formatMarkdown } from "../../coordinator/report/markdown.ts";
import { assertGolden } from "../support/golden.ts";
import { sampleReport, troubledReport, violatedReport } from "../support/sample-report.ts";

const SAMPLES = { sampleReport, troubledReport, violatedReport };

describe("Markdown", () => {
  test("all as expected", () => assertGolden("report.md", formatMarkdown(sampleReport())));
  test("with trouble", () => assertGolden("report-troubled.md", formatMarkdown(troubledReport())));

  test("texts of others stay in their cell and make no markup", () => {
    const report = sampleReport();
    report.acl[0]!.answer = "a | b\n| c <script>alert(1)</script> [x](y) `z` ![i](j)";
    const line = formatMarkdown(report)
      .split("\n")
      .find((text) => text.includes("alert"))!;
    assert.equal(line.replace(/\\./g, "").split("|").length, 6);
    assert.doesNotMatch(line.replace(/\\./g, ""), /[<>`[\]]/);
  });

  test("every table has as many cells in each line", () => {
    for (const sample of Object.values(SAMPLES)) {
      const tables = formatMarkdown(sample())
        .split(/\n\n+/)
        .filter((block) => block.startsWith("|"));
      assert.ok(tables.length >= 5);
      for (const table of tables) {
        const cells = table.split("\n").map((line) => line.replace(/\\./g, "").split("|").length);
        assert.equal(new Set(cells).size, 1, table);
      }
    }
  });
});

const python = spawnSync("python3", ["--version"]).status === 0 ? "python3" : undefined;

describe("JUnit", () => {
  const totals = (xml: string) =>
    /<testsuites [^>]*tests="(\d+)" failures="(\d+)" errors="(\d+)" skipped="(\d+)"/.exec(xml)!.slice(1).map(Number);

  test("all as expected", () => assertGolden("report.xml", formatJunit(sampleReport())));
  test("with trouble", () => assertGolden("report-troubled.xml", formatJunit(troubledReport())));

  test("a control that is violated passes: two cases a run and one for the report, all green", () => {
    assert.deepEqual(totals(formatJunit(sampleReport())), [11, 0, 0, 0]);
  });

  test("a lock that did not hold fails in both aspects, and so does the report", () => {
    const xml = formatJunit(violatedReport());
    assert.deepEqual(totals(xml), [11, 3, 0, 0]);
    assert.match(xml, /name="redis: data"[^>]*>\s*<failure message="data violated 12 times: [^"]*; theory: holds"/);
  });

  test("what was not shown is an error, what was not made is skipped", () => {
    const xml = formatJunit(troubledReport());
    assert.deepEqual(totals(xml), [6, 0, 3, 1]);
    assert.match(xml, /<error message="data unknown: worker-2 was lost: killed by SIGKILL; theory: holds"/);
  });

  test("a control that was not violated fails", () => {
    const report = sampleReport();
    const quiet = { value: "holds", operations: 900, rateBelow: 3 / 900 } as const;
    report.runs[0] = { ...report.runs[0]!, data: quiet, agreement: "mismatch", reasons: ["data should be violated"] };
    assert.match(formatJunit(report), /name="none: data"[^>]*>\s*<failure/);
  });

  test("a run that is unknown as a whole is no pass, though each aspect looks right", () => {
    const report = sampleReport();
    report.runs[2] = { ...report.runs[2]!, agreement: "unknown", reasons: ["Prometheus missed worker-1"] };
    const xml = formatJunit(report);
    assert.deepEqual(totals(xml), [11, 0, 1, 0]);
    assert.match(xml, /name="redis: data"[^>]*>\s*<error message="Prometheus missed worker-1"/);
  });

  test("is well-formed, whatever others wrote", { skip: python === undefined && "no python3 to parse it" }, () => {
    const report = troubledReport();
    report.runs[1]!.problems = ['\u0000\u001b[31m<x a="1">&]]>\ud800\uffff'];
    report.runs[1]!.reasons = ['quote " and ]]> and \u0008'];
    report.environment.machine = '<&">\u0001';
    const xml = formatJunit(report);
    // An independent parser must accept it.
    execFileSync(python!, ["-c", "import sys, xml.etree.ElementTree as t; t.fromstring(sys.stdin.buffer.read())"], {
      input: xml,
    });
  });
});

describe("JSON", () => {
  const validate = new Ajv2020({ allErrors: true, validateFormats: false, allowUnionTypes: true }).compile(
    reportJsonSchema(),
  );

  for (const [name, sample] of Object.entries(SAMPLES)) {
    test(`${name} is what the schema says, by zod and by ajv`, () => {
      const parsed = JSON.parse(JSON.stringify(sample()));
      Report.parse(parsed);
      assert.ok(validate(parsed), JSON.stringify(validate.errors, null, 2));
    });
  }

  test("the schema refuses what is no report", () => {
    const broken: [string, (report: Record<string, unknown>) => void][] = [
      ["another version", (report) => (report.schema = "holdfast/report/v1")],
      ["no runs", (report) => delete report.runs],
      ["a time that is none", (report) => (report.startedAt = "yesterday")],
      ["a verdict that is none", (report) => (report.verdict = { value: "fine", line: "", exitCode: 0, reasons: [] })],
    ];
    for (const [what, change] of broken) {
      const report = JSON.parse(JSON.stringify(sampleReport()));
      change(report);
      assert.ok(!validate(report), `ajv takes ${what}`);
      assert.ok(!Report.safeParse(report).success, `zod takes ${what}`);
    }
  });

  test("a field that a later version adds is accepted by the published schema, not by the program", () => {
    const report = { ...JSON.parse(JSON.stringify(sampleReport())), extra: 1 };
    report.runs[0].verdicts = [];
    assert.ok(validate(report), JSON.stringify(validate.errors));
    assert.ok(!Report.safeParse(report).success);
  });
});
