/** Sections of the text: violations, errors, counts, refused commands, problems. One without content is an empty string. */

import type { RunReport } from "../judge/report-data.ts";
import { describeServers } from "../judge/report-verdict.ts";
import { count, list, NO_DATA, oneLine, plural } from "../text/format.ts";
import { type Column, flow, nextTo, padded, paragraph, table } from "../text/layout.ts";
import type { Tone } from "../text/paint.ts";
import { drawnAt } from "./anchors.ts";
import {
  countsAgree,
  countsTitle,
  listNotes,
  listTroubles,
  listWitnesses,
  NOTES_TITLE,
  refusedProbes,
  rowAgrees,
  userOf,
} from "./describe-run.ts";
import { describeOwnLock, OWN_LOCKS_TITLE } from "./own-locks.ts";
import { labelWidthMax, type Page, section } from "./page.ts";

/** All sections in order. */
export function findings(page: Page): string[] {
  return [
    ownLocks(page),
    witnesses(page),
    errors(page),
    counts(page),
    probes(page),
    troubles(page),
    notes(page),
    skipped(page),
    environment(page),
  ];
}

export function ownLocks(page: Page): string {
  const lines = page.report.runs.flatMap((run) =>
    labelled(
      page,
      run,
      describeOwnLock(run).map((text) => ({ text })),
    ),
  );
  return lines.length === 0 ? "" : section(page, OWN_LOCKS_TITLE, ...lines);
}

export function witnesses(page: Page): string {
  const lines = page.report.runs.flatMap((run) =>
    labelled(
      page,
      run,
      listWitnesses(run).flatMap(({ check, detail, witnesses }) => [
        { text: `${check}: ${detail}` },
        ...witnesses.map((text) => ({ mark: "· ", text })),
        ...(check === "chain" ? [drawnAt(run) ?? []].flat().map((text) => ({ mark: "· ", text })) : []),
      ]),
    ),
  );
  return lines.length === 0 ? "" : section(page, "What was violated, and operations that show it", ...lines);
}

export function errors(page: Page): string {
  const lines = page.report.runs.flatMap((run) =>
    labelled(
      page,
      run,
      run.errors.map((error) => ({
        text: `${count(error.count)} ${error.outcome}, ${error.class}: ${oneLine(error.example)}`,
      })),
    ),
  );
  return lines.length === 0 ? "" : section(page, "Errors by class, each with one example", ...lines);
}

export function counts(page: Page): string {
  const { runs } = page.report;
  if (runs.length === 0) return "";
  const agreeing = runs.filter(countsAgree);
  if (agreeing.length < MANY_RUNS)
    return section(page, countsTitle(runs), ...runs.map((run) => countsOfRun(page, run)));
  const total = count(agreeing.reduce((sum, run) => sum + run.ledgerRows, 0));
  const summed = `${count(agreeing.length)} runs: ${total} ledger rows; the counts agree for each worker of each run`;
  const others = runs.filter((run) => !countsAgree(run));
  const line = paragraph(`  ${page.paint("good", "✓")} `, summed, page);
  return section(page, countsTitle(runs), line, ...others.map((run) => countsOfRun(page, run)));
}

/** From this many runs on, those whose counts agree share one line, so that they do not hide one that does not. */
const MANY_RUNS = 12;

/** One line where the counts agree; otherwise also the workers for which they do not. */
function countsOfRun(page: Page, run: RunReport): string {
  const label = page.labels.get(run) ?? "";
  const workers = plural(run.reconciliation.length, "worker");
  const [prometheus, reported, ledger] = [
    totalOf(run, (row) => row.prometheus),
    totalOf(run, (row) => row.reported),
    totalOf(run, (row) => row.ledger),
  ];
  const named = (mark: string, text: string) =>
    nextTo({ before: `  ${mark} `, label, labelWidth: page.labelWidth, after: "  " }, text, page);
  if (countsAgree(run)) {
    const died = run.reconciliation.filter((row) => row.died && row.prometheus !== row.ledger);
    const sums =
      died.length === 0
        ? `${prometheus} = ${reported} = ${ledger} committed, in total and for each of ${workers}`
        : `${reported} = ${ledger} committed, in total and for each of ${workers}; Prometheus has ${prometheus}, because ${list(died.map((row) => `worker-${row.worker}`))} died after its last scrape`;
    return named(page.paint("good", "✓"), sums);
  }
  const off = run.reconciliation.filter((row) => !rowAgrees(row));
  const metrics = run.checks.find(({ check }) => check === "metrics");
  const detail = metrics?.status === "holds" ? EXPLAINED : metrics?.detail;
  const indent = " ".repeat(page.labelWidth + 6);
  const sums = `Prometheus ${prometheus}, workers ${reported}, ledger ${ledger}: the counts differ for ${count(off.length)} of ${workers}`;
  return [
    named(page.paint("unsure", "✗"), sums),
    ...(off.length > 0 ? [table(COUNTS, off, { ...page, indent })] : []),
    ...(detail ? [paragraph(indent, oneLine(detail), { ...page, tone: "quiet" })] : []),
  ].join("\n");
}

/** The check holds although the counts differ: nothing but these operations makes the difference. */
const EXPLAINED =
  "what the ledger has in addition was of unknown outcome to its worker: the COMMIT was carried out and its answer never came";

function totalOf(run: RunReport, source: (row: Row) => number | null): string {
  const numbers = run.reconciliation.map(source).filter((number) => number !== null);
  if (numbers.length === 0 || numbers.length < run.reconciliation.length) return NO_DATA;
  return count(numbers.reduce((sum, number) => sum + number, 0));
}

type Row = RunReport["reconciliation"][number];

const COUNTS: Column<Row>[] = [
  { head: "worker", cell: (row) => `worker-${row.worker}` },
  { head: "node", cell: (row) => row.node },
  { head: "Prometheus", align: "right", cell: (row) => count(row.prometheus) },
  { head: "reported by worker", align: "right", cell: (row) => count(row.reported) },
  { head: "ledger", align: "right", cell: (row) => count(row.ledger) },
  { head: "", cell: (row) => (row.lost === undefined ? "" : "lost"), tone: () => "unsure" },
];

export function probes(page: Page): string {
  const { acl, aclNote } = page.report;
  const note = aclNote ? [paragraph("  ", oneLine(aclNote), { ...page, tone: "quiet" })] : [];
  if (acl.length === 0) return section(page, "What Redis refuses", ...(note.length > 0 ? note : [`  ${NO_DATA}`]));
  const width = Math.max(...acl.map((probe) => userOf(probe).length));
  const lead = (mark: string, user: string) => `  ${mark} ${padded(user, width)}  `;
  const open = acl
    .filter(({ outcome }) => outcome === "allowed")
    .map((probe) => {
      const { attempt, answer } = probe;
      const text = `${oneLine(attempt)}: NOT REFUSED, the answer was: ${oneLine(answer) || NO_DATA}`;
      return paragraph(lead(page.paint("alarm", "✗"), userOf(probe)), text, { ...page, tone: "alarm" });
    });
  const unanswered = acl
    .filter(({ outcome }) => outcome === "unanswered")
    .map((probe) => {
      const { attempt, answer } = probe;
      const text = `${oneLine(attempt)}: neither refused nor allowed, the answer was: ${oneLine(answer) || NO_DATA}`;
      return paragraph(lead(page.paint("unsure", "?"), userOf(probe)), text, page);
    });
  const alike = Map.groupBy(
    acl.filter(({ outcome }) => outcome === "refused"),
    (probe) => `${userOf(probe)} ${refusalOf(probe.answer)}`,
  );
  const refused = [...alike.values()].flatMap((probes) => {
    const [first] = probes;
    return [
      paragraph(lead(page.paint("good", "✓"), userOf(first!)), refusalOf(first!.answer), page),
      flow(
        " ".repeat(width + 6),
        probes.map(({ attempt }) => oneLine(attempt)),
        { ...page, tone: "quiet" },
      ),
    ];
  });
  const granted = (page.report.aclGranted ?? []).flatMap(({ user, attempts }, index) => [
    ...(index === 0 ? [paragraph("  ", GRANTED, page)] : []),
    flow(lead(page.paint("good", "✓"), user), attempts, { ...page, tone: "quiet" }),
  ]);
  const title = `${describeServers(acl)} refused ${refusedProbes(page.report)} of ${acl.length} forbidden attempts; ${acl.some(({ service }) => service !== undefined) ? "their" : "its"} answers`;
  return section(page, title, ...open, ...unanswered, ...refused, ...granted, ...note);
}

const GRANTED =
  "Redis allowed the commands that each user needs, which shows that the probes can tell an allowed command from a refused one:";

/** The answer of Redis without the name of the command, so that refusals that differ only in it are grouped. */
const refusalOf = (answer: string) => oneLine(answer).replace(/'[^']*'/g, "'...'") || NO_DATA;

export function troubles(page: Page): string {
  const lines = page.report.runs.flatMap((run) =>
    labelled(
      page,
      run,
      listTroubles(run).flatMap(({ text, log }) => [
        { text: oneLine(text) },
        ...logLines(log).map((line) => ({ mark: "│ ", text: line, tone: "quiet" as const })),
      ]),
    ),
  );
  return lines.length === 0 ? "" : section(page, "Problems", ...lines);
}

export function notes(page: Page): string {
  const lines = listNotes(page.report.runs, page.labels).map(({ name, text }) =>
    nextTo({ before: "  ", label: name, labelWidth: page.labelWidth, after: "  " }, text, page),
  );
  return lines.length === 0 ? "" : section(page, NOTES_TITLE, ...lines);
}

/** The last lines of the log, which say why the worker ended. report.json has all lines that were kept. */
const logLines = (log: string | undefined) =>
  (log ?? "")
    .split("\n")
    .map(oneLine)
    .filter((line) => line !== "")
    .slice(-LOG_LINES_MAX);
const LOG_LINES_MAX = 8;

function skipped(page: Page): string {
  const { skipped } = page.report;
  if (skipped.length === 0) return "";
  const longest = Math.max(page.labelWidth, ...skipped.map(({ strategy }) => strategy.length));
  const labelWidth = Math.min(longest, labelWidthMax(page.width));
  return section(
    page,
    "Skipped",
    ...skipped.map(({ strategy, reason }) =>
      nextTo({ before: "  ", label: strategy, labelWidth, after: "  " }, oneLine(reason), page),
    ),
  );
}

function environment(page: Page): string {
  const entries = Object.entries(page.report.environment).map(([key, value]) => `${key} ${oneLine(value)}`);
  return entries.length === 0 ? "" : section(page, "Where it ran", flow("  ", entries, { ...page, tone: "quiet" }));
}

/** Paragraphs of one run, with its name next to the first. A paragraph with a mark is a detail of the one above. */
function labelled(page: Page, run: RunReport, paragraphs: readonly Detail[]): string[] {
  const label = page.labels.get(run) ?? "";
  return paragraphs.map(({ mark = "", text, tone = "plain" }, index) => {
    const after = `  ${page.paint("quiet", mark)}`;
    const column = { before: "  ", label: index === 0 ? label : "", labelWidth: page.labelWidth, after };
    return nextTo(column, text, { ...page, tone });
  });
}

interface Detail {
  readonly mark?: string;
  readonly text: string;
  readonly tone?: Tone;
}
