/** The report for a terminal, which begins and ends with the verdict: in short, or with the option `verbose` in full. */

import { describeRepeats, listDetailed, poolReport, repeatedOf } from "../judge/repeats.ts";
import type { Report, RunReport } from "../judge/report-data.ts";
import { labelsOf, sharedSettings } from "../plan/run-names.ts";
import { count, oneLine, percent } from "../text/format.ts";
import { bar, nextTo, nextToLines, padded, paragraph, table, wrap } from "../text/layout.ts";
import { badge, type Paint, painter } from "../text/paint.ts";
import { answers } from "./answers.ts";
import { describeMoney, describeVerdict, moneyOf, nothingRan, STRENGTH_NOTE } from "./describe-run.ts";
import { describeIntervals } from "./intervals.ts";
import { labelWidthMax, type Page, section } from "./page.ts";
import {
  costColumns,
  EACH_REPEAT,
  happenedColumns,
  INTERVALS,
  intervalColumns,
  repeatColumns,
  verdictColumns,
} from "./tables.ts";
import { findings } from "./text-sections.ts";
import { curves, shortSections } from "./text-short.ts";

export interface TextOptions {
  /** Escape sequences are written only where this is true. */
  readonly color: boolean;
  /** Columns of the terminal. Lines are no longer than 120 even where it is wider. */
  readonly width: number;
  /** Path of report.json. */
  readonly place?: string | undefined;
}

/** Returns the whole report, which ends with its verdict and a line feed. */
export function formatReport(made: Report, { color, width, place }: TextOptions): string {
  const report = poolReport(made);
  const labels = labelsOf(report.runs);
  const pageWidth = Math.min(Math.max(width, 60), 120);
  const longest = Math.max(8, ...[...labels.values()].map((label) => label.length));
  const labelWidth = Math.min(longest, labelWidthMax(pageWidth));
  const page = { report, labels, labelWidth, paint: painter(color), width: pageWidth };
  const detailed = withDetails(page);
  const sections = [
    heading(page),
    ...(report.options.verbose === true ? allSections(page, detailed) : shortSections(page, detailed)),
    conclusion(page, color, place),
  ];
  return `${sections.filter((section) => section !== "").join("\n\n")}\n`;
}

const allSections = (page: Page, detailed: Page): string[] => [
  ...curves(page),
  ...tables(page),
  ...findings(detailed),
  ...answersSection(page),
  money(page),
];

/** The page of the findings: a run whose repeats are not all as expected stands there with each of its repeats. */
function withDetails(page: Page): Page {
  const runs = listDetailed(page.report.runs);
  const labels = labelsOf(runs);
  const longest = Math.max(page.labelWidth, ...[...labels.values()].map((label) => label.length));
  return {
    ...page,
    report: { ...page.report, runs },
    labels,
    labelWidth: Math.min(longest, labelWidthMax(page.width)),
  };
}

/** Settings that are needed to understand the numbers; report.json has the rest. */
const HEADLINE = ["workers", "concurrency", "rows", "durationMs", "holdMs", "lockTtlMs"] as const;

function heading(page: Page): string {
  const { report, paint } = page;
  const seconds = Math.round((Date.parse(report.endedAt) - Date.parse(report.startedAt)) / 1000);
  const started = `${report.startedAt.slice(0, 16).replace("T", " ")} UTC`;
  const about = [oneLine(report.where), started, `${count(seconds)} s in all`, `report ${report.report}`];
  const settings = [...sharedSettings(report.runs, HEADLINE), ...describeRepeats(report.runs)];
  return [
    paint("title", `Holdfast ${report.version}: ${report.scenario}`),
    paragraph("", oneLine(report.verdict.line), { ...page, tone: TONES[report.verdict.value] }),
    ...[settings, about]
      .filter((items) => items.length > 0)
      .map((items) => paragraph("", items.join(" · "), { ...page, tone: "quiet" })),
  ].join("\n");
}

function tables(page: Page): string[] {
  const { runs } = page.report;
  if (runs.length === 0) return [nothingRan(page.report)];
  const bounded = runs.some((run) => run.data.value === "holds" || run.exclusion.value === "holds");
  const note = bounded ? [paragraph("  ", STRENGTH_NOTE, { ...page, tone: "quiet" })] : [];
  const labels = new Map([...page.labels].map(([run, label]) => [run, wrap(label, page.labelWidth).join("\n")]));
  return [
    section(page, "What happened", table(happenedColumns(labels), runs, page)),
    section(page, "What it cost", table(costColumns(labels), runs, page)),
    ...intervals(page, labels),
    section(page, "Verdicts", table(verdictColumns(labels), runs, page), ...note),
  ];
}

/** The intervals of repeated runs, and what each repeat committed; nothing without repeats. */
function intervals(page: Page, labels: Page["labels"]): string[] {
  const repeated = page.report.runs.filter((run) => repeatedOf(run) !== undefined);
  if (repeated.length === 0) return [];
  const note = describeIntervals(repeated);
  const each = section(page, EACH_REPEAT, table(repeatColumns(labels, repeated), repeated, page));
  if (note === undefined) return [each];
  const shown = table(intervalColumns(labels), repeated, page);
  return [section(page, INTERVALS, shown, paragraph("  ", note, { ...page, tone: "quiet" })), each];
}

function answersSection(page: Page): string[] {
  if (page.report.runs.length === 0) return [];
  const { shown, held, cost, choice, cannotShow } = answers(page.report);
  const part = (title: string, sentences: readonly string[]) =>
    sentences.map((sentence, index) => {
      const lead = page.paint("quiet", padded(index === 0 ? title : "", 11));
      return paragraph(`  ${lead}`, sentence, page);
    });
  const lines = [
    ...part("shown", shown),
    ...part("held", held),
    ...part("cost", cost),
    ...part("choice", choice),
    ...part("not shown", cannotShow),
  ];
  return [section(page, "The report answers", ...lines)];
}

/** For each run, how many of the granted raises arrived: with a lock and without. */
function money(page: Page): string {
  const { report, paint, labels, labelWidth, width } = page;
  if (report.runs.length === 0) return "";
  const grantedWidth = Math.max(...report.runs.map((run) => count(run.grantedMoney).length));
  const sentences = report.runs.map((run) => describeMoney(run, grantedWidth));
  const wordWidth = Math.max(8, ...report.runs.map((run) => describeVerdict(run, "data").word.length));
  const sentenceWidth = Math.max(...sentences.map(({ length }) => length));
  const cells = Math.min(32, width - labelWidth - sentenceWidth - wordWidth - 15);
  const lines = report.runs.map((run, index) => {
    const { word, tone } = describeVerdict(run, "data");
    const label = labels.get(run) ?? "";
    const column = { before: "  ", label, labelWidth, after: `  ${paint(tone, padded(word, wordWidth))}  ` };
    if (cells < 6) return nextTo(column, describeMoney(run), page);
    const names = wrap(label, labelWidth);
    return nextToLines({ ...column, names }, [`${moneyBar(run, cells, paint)}  ${sentences[index]}`]);
  });
  return section(page, `Did every raise reach the salary?  ${paint("quiet", "in salary units")}`, ...lines);
}

/** A run whose data are unknown has no bar: a full one would look like success. */
function moneyBar(run: RunReport, cells: number, paint: Paint): string {
  const money = moneyOf(run);
  if (!money || money.granted <= 0 || run.data.value === "unknown")
    return paint("quiet", "·".repeat(cells)) + " ".repeat(7);
  const share = money.arrived / money.granted;
  const filled = bar(share, cells);
  const rest = paint("quiet", "·".repeat(Math.max(0, cells - filled.length)));
  return `${paint(describeVerdict(run, "data").tone === "good" ? "good" : "bad", filled)}${rest} ${percent(share).padStart(6)}`;
}

/** The verdict line of report.json, and its reasons where they say more than the line. */
function conclusion(
  { report: { runs, verdict }, paint, width }: Page,
  color: boolean,
  place: string | undefined,
): string {
  const tone = TONES[verdict.value];
  const line = oneLine(verdict.line);
  // The line gives a single reason itself, except for a run that broke its promise, which it only names.
  const broken = verdict.value === "violated" && runs.some(({ agreement }) => agreement === "mismatch");
  const reasons = verdict.reasons.length > 1 || broken ? verdict.reasons.map(oneLine) : [];
  const [head, rest] = line.startsWith(VERDICT) && color ? [`${badge(tone)} `, line.slice(VERDICT.length)] : ["", line];
  return [
    paragraph(head, rest, { width, paint, tone }),
    ...reasons.map((reason) => paragraph("  · ", reason, { width, paint })),
    ...(place ? [paint("quiet", `report: ${place}`)] : []),
  ].join("\n");
}

const VERDICT = "VERDICT: ";
const TONES = { expected: "good", violated: "bad", unknown: "unsure" } as const;
