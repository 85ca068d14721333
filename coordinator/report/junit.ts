/**
 * The report for a CI server: a test case for each run and aspect, and one for the verdict on the whole report. A
 * control that is violated as theory expects passes. A failure is a disagreement with theory. A result that is unknown
 * is an error, because it must not look like success.
 */
import junit, { type Builder } from "junit-report-builder";
import type { Report, RunReport } from "../judge/report-data.ts";
import { labelsOf } from "../plan/run-names.ts";
import { ASPECTS, type Aspect } from "../plan/run-plan.ts";
import { joined, oneLine } from "../text/format.ts";
import { describeMoney, describeStrength, listTroubles, listWitnesses } from "./describe-run.ts";

export function formatJunit(report: Report): string {
  const labels = labelsOf(report.runs);
  const xml = builder.newBuilder().name("holdfast");
  const suite = xml.testSuite().name(`holdfast ${report.scenario}`);
  suite.time((Date.parse(report.endedAt) - Date.parse(report.startedAt)) / 1000);
  for (const [name, value] of Object.entries(propertiesOf(report))) suite.property(name, oneLine(value));
  const testCase = (className: string, name: string, result: Result, seconds = 0) => {
    const made = suite.testCase().className(`holdfast.${className}`).name(name).time(seconds);
    const message = oneLine(result.message);
    if (result.kind === "failure") made.failure(message, "violated");
    if (result.kind === "error") made.error(message, "unknown");
    if (result.kind === "skipped") made.skipped();
    // The package puts the text into CDATA and escapes only the first end mark in it.
    made.standardOutput([message, ...result.lines.map(oneLine)].join("\n").replaceAll("]]>", "]] >"));
  };
  for (const run of report.runs) {
    const results = ASPECTS.map((aspect) => aspectResult(run, aspect));
    const [data, exclusion] = runResult(run, results);
    testCase(run.strategy, `${labels.get(run)}: data`, data!, run.seconds);
    testCase(run.strategy, `${labels.get(run)}: exclusion`, exclusion!);
  }
  for (const { strategy, reason } of report.skipped) {
    testCase(strategy, strategy, { kind: "skipped", message: `skipped: ${reason}`, lines: [] });
  }
  testCase("report", "verdict", {
    kind: VERDICTS[report.verdict.value],
    message: report.verdict.line,
    lines: report.verdict.reasons,
  });
  return xml.build();
}

/** The package is CommonJS: its default export is the builder, but its types say that it is the whole module. */
const builder = junit as unknown as Builder;

interface Result {
  readonly kind: "pass" | "failure" | "error" | "skipped";
  readonly message: string;
  readonly lines: readonly string[];
}

const VERDICTS = { expected: "pass", violated: "failure", unknown: "error" } as const;

function aspectResult(run: RunReport, aspect: Aspect): Result {
  const verdict = run[aspect];
  const expected = run.expects[aspect];
  const theory = expected === "unclaimed" ? "theory claims nothing" : `theory: ${expected}`;
  const observed =
    verdict.value === "unknown"
      ? `unknown: ${joined(verdict.reasons)}`
      : `${verdict.value} ${describeStrength(run, aspect)}${verdict.value === "violated" ? `: ${joined(verdict.reasons)}` : ""}`;
  const message = `${aspect} ${observed}; ${theory}`;
  const lines = [
    ...(aspect === "data" ? [`salary units: ${describeMoney(run)}`] : []),
    ...listWitnesses(run)
      .filter(({ check }) => (check === "exclusion") === (aspect === "exclusion"))
      .flatMap(({ check, detail, witnesses }) => [`${check}: ${detail}`, ...witnesses]),
  ];
  if (expected === "unclaimed" || verdict.value === expected) return { kind: "pass", message, lines };
  return { kind: verdict.value === "unknown" ? "error" : "failure", message, lines };
}

/**
 * Reports a problem of the whole run in the test case of its data, unless the case of an aspect reports one already.
 */
function runResult(run: RunReport, results: readonly Result[]): readonly Result[] {
  const [data, ...others] = results;
  const lines = [...data!.lines, ...listTroubles(run).map(({ text }) => text)];
  if (run.agreement === "expected" || results.some(({ kind }) => kind !== "pass"))
    return [{ ...data!, lines }, ...others];
  const kind = run.agreement === "mismatch" ? "failure" : "error";
  return [{ kind, message: joined(run.reasons) || data!.message, lines }, ...others];
}

const propertiesOf = (report: Report): Record<string, string> => ({
  report: report.report,
  version: report.version,
  where: report.where,
  ...report.environment,
});
