/** The text of a report without --verbose: one table, then only what is not as expected, findings and limits. */
import { eachRepeat } from "../judge/repeats.ts";
import type { Report, RunReport } from "../judge/report-data.ts";
import { describeServers } from "../judge/report-verdict.ts";
import { quotedLabelOf } from "../plan/run-names.ts";
import { count, oneLine } from "../text/format.ts";
import { paragraph, table, wrap } from "../text/layout.ts";
import { briefAnswers } from "./answers.ts";
import { countsAgree, listWitnesses, nothingRan, refusedProbes } from "./describe-run.ts";
import { type Page, section } from "./page.ts";
import { scenarioTables } from "./scenario-tables.ts";
import { shortColumns } from "./tables.ts";
import { counts, errors, notes, ownLocks, probes, troubles, witnesses } from "./text-sections.ts";

/** `detailed`: the page on which a run that is not as expected stands with each of its repeats. */
export function shortSections(page: Page, detailed: Page): string[] {
  const { findings, limits } = shortAnswers(page.report);
  const unexpected = withRuns(detailed, ({ agreement }) => agreement !== "expected");
  return [
    ...curves(page),
    ...runs(page),
    ownLocks(page),
    witnesses(unexpected),
    errors(unexpected),
    counts(withRuns(detailed, (run) => !countsAgree(run))),
    isRefusedEverywhere(page.report) ? "" : probes(page),
    troubles(detailed),
    notes(detailed),
    listed(page, "Findings", findings),
    listed(page, "Limits", limits),
  ];
}

/** The tables of the scenario, with a line for each value of the setting that it changes. */
export const curves = (page: Page): string[] =>
  scenarioTables(page.report).map(({ title, columns, points }) => section(page, title, table(columns, points, page)));

// --- Internal helpers -----------------------------------------------------------------------------------------------

const withRuns = (page: Page, keep: (run: RunReport) => boolean): Page => ({
  ...page,
  report: { ...page.report, runs: page.report.runs.filter(keep) },
});

/** Where the scenario has tables of its own, only the runs that are not as expected have a line each. */
function runs(page: Page): string[] {
  const { report } = page;
  if (report.runs.length === 0) return [nothingRan(report)];
  const shown = hasCurves(report) ? report.runs.filter(({ agreement }) => agreement !== "expected") : report.runs;
  if (shown.length === 0) return [];
  const labels = new Map([...page.labels].map(([run, label]) => [run, wrap(label, page.labelWidth).join("\n")]));
  const drawn = table(shortColumns(labels, shown), shown, page);
  return [hasCurves(report) ? section(page, "Runs that are not as expected", drawn) : drawn];
}

const hasCurves = (report: Report) => scenarioTables(report).length > 0;

function listed(page: Page, title: string, sentences: readonly string[]): string {
  if (sentences.length === 0) return "";
  return section(page, title, ...sentences.map((sentence) => paragraph("  · ", sentence, page)));
}

/** The sentences of the report, with one line for what is as expected and has a section otherwise. */
function shortAnswers(report: Report): ReturnType<typeof briefAnswers> {
  const { findings, limits } = briefAnswers(report);
  const { runs, acl } = report;
  const all = runs.length > 0 && runs.every(({ agreement }) => agreement === "expected");
  return {
    findings: [
      ...(all && hasCurves(report)
        ? [`All ${count(runs.flatMap(eachRepeat).length)} runs are as theory expects.`]
        : []),
      ...findings,
      ...example(runs),
      ...(runs.length > 0 && runs.every(countsAgree)
        ? ["The counts of Prometheus, workers and ledger agree for each worker of each run."]
        : []),
      ...(acl.length > 0 && isRefusedEverywhere(report) ? [describeRefusals(report)] : []),
    ],
    limits: [
      ...(acl.length === 0 && runs.length > 0
        ? [`What Redis must refuse was ${oneLine(report.aclNote ?? "not tried")}.`]
        : []),
      ...limits,
    ],
  };
}

/** One of the violations that theory expects. All others are listed with every operation that shows them. */
function example(runs: readonly RunReport[]): string[] {
  for (const run of runs.filter(({ agreement }) => agreement === "expected"))
    for (const { witnesses } of listWitnesses(run))
      if (witnesses[0] !== undefined) return [`A violation of ${quotedLabelOf(run)}, as expected: ${witnesses[0]}.`];
  return [];
}

/** The scenario acl has no other content, so there everything is listed. */
const isRefusedEverywhere = ({ acl, scenario }: Report) =>
  scenario !== "acl" && acl.every(({ outcome }) => outcome === "refused");

function describeRefusals(report: Report): string {
  const { acl, aclNote } = report;
  const where = aclNote === undefined ? "" : ` (${oneLine(aclNote)})`;
  return `${refusedProbes(report)} of ${acl.length} forbidden ${describeServers(acl)} commands were refused${where}.`;
}
