/** The report as GitHub-flavored Markdown: the verdict first, because a page is read from the top. */

import { describeRepeats, listDetailed, poolReport, repeatedOf } from "../judge/repeats.ts";
import type { Report, RunReport } from "../judge/report-data.ts";
import { describeServers } from "../judge/report-verdict.ts";
import { labelsOf, sharedSettings } from "../plan/run-names.ts";
import { count, NO_DATA, percent } from "../text/format.ts";
import type { Column } from "../text/layout.ts";
import { bullets, escaped, tableOf } from "../text/markdown.ts";
import { drawnAt } from "./anchors.ts";
import { answers } from "./answers.ts";
import {
  countsTitle,
  describeMoney,
  describeVerdict,
  listNotes,
  listTroubles,
  listWitnesses,
  moneyOf,
  NOTES_TITLE,
  nothingRan,
  refusedProbes,
  STRENGTH_NOTE,
  userOf,
} from "./describe-run.ts";
import { describeIntervals } from "./intervals.ts";
import { describeOwnLock, OWN_LOCKS_TITLE } from "./own-locks.ts";
import { scenarioTables } from "./scenario-tables.ts";
import {
  costColumns,
  EACH_REPEAT,
  happenedColumns,
  INTERVALS,
  intervalColumns,
  repeatColumns,
  verdictColumns,
} from "./tables.ts";

export function formatMarkdown(made: Report): string {
  const report = poolReport(made);
  const labels = labelsOf(report.runs);
  const detailed = listDetailed(report.runs);
  const sections = [
    ...conclusion(report),
    ...runs(report, labels),
    ...findings({ ...report, runs: detailed }, labelsOf(detailed)),
    ...environment(report),
  ];
  return `${sections.join("\n\n")}\n`;
}

type Labels = ReadonlyMap<RunReport, string>;

function conclusion({ version, scenario, runs, verdict, where, startedAt, report }: Report): string[] {
  const about = [...sharedSettings(runs), ...describeRepeats(runs), where, startedAt, `report ${report}`]
    .map(escaped)
    .join(" · ");
  const reasons = bullets(verdict.reasons);
  return [
    `# Holdfast ${version}: ${escaped(scenario)}`,
    `**${VERDICTS[verdict.value]}** (exit status ${verdict.exitCode}): ${escaped(verdict.line)}`,
    ...(reasons === "" ? [] : [reasons]),
    about,
  ];
}

const VERDICTS = { expected: "As expected", violated: "Violated", unknown: "Unknown" };

function runs(report: Report, labels: Labels): string[] {
  if (report.runs.length === 0) return [nothingRan(report)];
  const { shown, held, cost, choice, cannotShow } = answers(report);
  return [
    "## Did every raise reach the salary?",
    tableOf(MONEY(labels), report.runs),
    "## The report answers",
    ...[
      answersPart("What was shown", shown),
      answersPart("What held", held),
      answersPart("What it cost", cost),
      answersPart("Which to choose", choice),
      answersPart("What is not shown", cannotShow),
    ].flat(),
    ...scenarioTables(report).flatMap(({ title, columns, points }) => [`## ${title}`, tableOf(columns, points)]),
    "## What happened",
    tableOf(happenedColumns(labels), report.runs),
    "## What it cost",
    tableOf(costColumns(labels), report.runs),
    ...intervals(report, labels),
    "## Verdicts",
    tableOf(verdictColumns(labels), report.runs),
    STRENGTH_NOTE,
  ];
}

function intervals({ runs }: Report, labels: Labels): string[] {
  const repeated = runs.filter((run) => repeatedOf(run) !== undefined);
  if (repeated.length === 0) return [];
  const note = describeIntervals(repeated);
  return [
    ...(note === undefined ? [] : [`## ${INTERVALS}`, tableOf(intervalColumns(labels), repeated), note]),
    `## ${EACH_REPEAT}`,
    tableOf(repeatColumns(labels, repeated), repeated),
  ];
}

const MONEY = (labels: Labels): Column<RunReport>[] => [
  { head: "strategy", cell: (run) => labels.get(run) ?? run.strategy },
  { head: "data", cell: (run) => describeVerdict(run, "data").word },
  {
    head: "arrived",
    align: "right",
    cell: (run) => {
      const money = moneyOf(run);
      return money && money.granted > 0 ? percent(money.arrived / money.granted) : NO_DATA;
    },
  },
  { head: "salary units", cell: describeMoney },
];

const answersPart = (title: string, sentences: readonly string[]) =>
  sentences.length === 0 ? [] : [`**${title}**`, bullets(sentences)];

function findings(report: Report, labels: Labels): string[] {
  const perRun = (of: (run: RunReport) => string[]) =>
    bullets(report.runs.flatMap((run) => of(run).map((text) => `${labels.get(run)}: ${text}`)));
  const witnessed = perRun((run) =>
    listWitnesses(run).flatMap(({ check, detail, witnesses }) => [
      `${check}: ${detail}`,
      ...witnesses.map((text) => `${check}: ${text}`),
      ...(check === "chain" ? [drawnAt(run) ?? []].flat() : []),
    ]),
  );
  const errors = perRun((run) =>
    run.errors.map((error) => `${count(error.count)} ${error.outcome}, ${error.class}: ${error.example}`),
  );
  const troubles = perRun((run) => listTroubles(run).map(({ text }) => text));
  const skipped = bullets(report.skipped.map(({ strategy, reason }) => `${strategy}: ${reason}`));
  return [
    ...titled(OWN_LOCKS_TITLE, perRun(describeOwnLock)),
    ...titled("What was violated, and operations that show it", witnessed),
    ...titled("Errors by class, each with one example", errors),
    ...(report.runs.length === 0 ? [] : counts(report, labels)),
    ...probes(report),
    ...titled("Problems", troubles),
    ...titled(NOTES_TITLE, bullets(listNotes(report.runs, labels).map(({ name, text }) => `${name}: ${text}`))),
    ...titled("Skipped", skipped),
  ];
}

function counts({ runs }: Report, labels: Labels): string[] {
  const rows = runs.flatMap((run) => run.reconciliation.map((row) => ({ run, ...row })));
  return [
    `## ${countsTitle(runs)}`,
    tableOf(
      [
        { head: "strategy", cell: ({ run }) => labels.get(run) ?? run.strategy },
        { head: "worker", cell: ({ worker }) => `worker-${worker}` },
        { head: "node", cell: ({ node }) => node },
        { head: "Prometheus", align: "right", cell: ({ prometheus }) => count(prometheus) },
        { head: "reported by worker", align: "right", cell: ({ reported }) => count(reported) },
        { head: "ledger", align: "right", cell: ({ ledger }) => count(ledger) },
        { head: "lost", cell: ({ lost }) => lost ?? "" },
      ],
      rows,
    ),
  ];
}

function probes(report: Report): string[] {
  const note = report.aclNote ? [escaped(report.aclNote)] : [];
  if (report.acl.length === 0) return ["## What Redis refuses", ...(note.length > 0 ? note : [NO_DATA])];
  return [
    `## ${describeServers(report.acl)} refused ${refusedProbes(report)} of ${report.acl.length} forbidden attempts`,
    tableOf(
      [
        { head: "user", cell: userOf },
        { head: "attempt", cell: (probe) => probe.attempt },
        { head: "refused", cell: ({ outcome }) => REFUSED[outcome] },
        { head: "answer", cell: (probe) => probe.answer },
      ],
      report.acl,
    ),
    ...granted(report),
    ...note,
  ];
}

const REFUSED = { refused: "yes", allowed: "**NO**", unanswered: "not shown" } as const;

function granted({ aclGranted }: Report): string[] {
  if (aclGranted === undefined) return [];
  const lines = aclGranted.map(({ user, attempts }) => `${user}: ${attempts.join(", ")}`);
  return [
    "Redis allowed the commands that each user needs, which shows that the probes can tell an allowed command from a refused one:",
    bullets(lines),
  ];
}

const environment = (report: Report) =>
  titled("Where it ran", bullets(Object.entries(report.environment).map(([key, value]) => `${key}: ${value}`)));

const titled = (title: string, body: string) => (body === "" ? [] : [`## ${title}`, body]);
