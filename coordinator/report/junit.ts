/**
 * The report for a CI server: a test case for each run and aspect, and one for the verdict on the whole report. A
 * control that is violated as theory expects passes. A failure is a disagreement with theory. A result that is unknown
 * is an error, because it must not look like success.
 */
import type { Report, RunReport } from "../judge/report-data.ts";
import { labelsOf, nameOfStrategy } from "../plan/run-names.ts";
import { ASPECTS, type Aspect } from "../plan/run-plan.ts";
import { joined } from "../text/format.ts";
import { drawnAt } from "./anchors.ts";
import { describeMoney, describeStrength, listTroubles, listWitnesses } from "./describe-run.ts";
import { createSuite, type Result } from "./junit-suite.ts";

export function formatJunit(report: Report): string {
  const labels = labelsOf(report.runs);
  const seconds = (Date.parse(report.endedAt) - Date.parse(report.startedAt)) / 1000;
  const { testCase, build } = createSuite(`holdfast ${report.scenario}`, propertiesOf(report), seconds);
  for (const run of report.runs) {
    const results = ASPECTS.map((aspect) => aspectResult(run, aspect));
    const [data, exclusion] = runResult(run, results);
    testCase(nameOfStrategy(run), `${labels.get(run)}: data`, data!, run.seconds);
    testCase(nameOfStrategy(run), `${labels.get(run)}: exclusion`, exclusion!);
  }
  for (const { strategy, reason } of report.skipped) {
    testCase(strategy, strategy, { kind: "skipped", message: `skipped: ${reason}`, lines: [] });
  }
  testCase("report", "verdict", {
    kind: VERDICTS[report.verdict.value],
    message: report.verdict.line,
    lines: report.verdict.reasons,
  });
  return build();
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
    ...(verdict.value === "violated" ? [drawnAt(run) ?? []].flat() : []),
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
