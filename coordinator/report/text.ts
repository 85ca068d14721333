/** The report for a terminal. Details come first: what a reader came for is what the screen shows at the end. */
import { answers } from "./advice.ts";
import { costColumns, happenedColumns, verdictColumns } from "./columns.ts";
import { findings } from "./findings.ts";
import { count, oneLine, percent } from "./format.ts";
import { bar, padded, paragraph, table } from "./layout.ts";
import { type Page, section } from "./page.ts";
import { badge, painter } from "./paint.ts";
import type { Report } from "./report.ts";
import { labelsOf, moneyOf, moneySentence, sharedSettings, verdictOf } from "./runs.ts";

export interface TextOptions {
  /** Escape sequences are written only where this is true. */
  readonly color: boolean;
  /** Columns of the terminal. Lines are no longer than 120 even where it is wider. */
  readonly width: number;
  /** Where report.json lies. */
  readonly place?: string | undefined;
}

/** The whole report, ending in its verdict; the last line ends in a line feed. */
export function formatReport(report: Report, { color, width, place }: TextOptions): string {
  const labels = labelsOf(report.runs);
  const labelWidth = Math.max(8, ...[...labels.values()].map((label) => label.length));
  const page = { report, labels, labelWidth, paint: painter(color), width: Math.min(Math.max(width, 60), 120) };
  const sections = [
    heading(page),
    ...tables(page),
    ...findings(page),
    ...answered(page),
    money(page),
    conclusion(page, color, place),
  ];
  return `${sections.filter((section) => section !== "").join("\n\n")}\n`;
}

function heading(page: Page): string {
  const { report, paint } = page;
  const seconds = (Date.parse(report.endedAt) - Date.parse(report.startedAt)) / 1000;
  const about = `${report.where}, ${report.startedAt.replace("T", " ").slice(0, 19)} UTC, ${seconds.toFixed(0)} s, report ${report.report}`;
  return [
    `${paint("title", `Holdfast ${report.version}`)}  ${paint("title", report.scenario)}`,
    paragraph("", sharedSettings(report.runs).join(" · "), { ...page, tone: "quiet" }),
    paragraph("", about, { ...page, tone: "quiet" }),
  ].join("\n");
}

function tables(page: Page): string[] {
  const { runs } = page.report;
  if (runs.length === 0) return ["No run was made."];
  const bound =
    "A rate is what n operations without a violation leave possible at 95 % confidence: 3/n. It is not a proof.";
  return [
    section(page, "What happened", table(happenedColumns(page.labels), runs, page)),
    section(page, "What it cost", table(costColumns(page.labels), runs, page)),
    section(
      page,
      "What it shows",
      table(verdictColumns(page.labels), runs, page),
      ...(runs.some((run) => run.data.value === "holds" || run.exclusion.value === "holds")
        ? [paragraph("  ", bound, { ...page, tone: "quiet" })]
        : []),
    ),
  ];
}

function answered(page: Page): string[] {
  if (page.report.runs.length === 0) return [];
  const { held, cost, cannotShow } = answers(page.report);
  const part = (title: string, sentences: readonly string[]) =>
    sentences.map((sentence, index) => {
      const lead = page.paint("quiet", padded(index === 0 ? title : "", 16));
      return paragraph(`  ${lead}`, sentence, page);
    });
  return [
    section(
      page,
      "The report answers",
      ...part("what held", held),
      ...part("what it cost", cost),
      ...part("what is not said", cannotShow),
    ),
  ];
}

/** The moment that the whole report is for: the same raises, with and without a lock. */
function money(page: Page): string {
  const { report, paint, labels, labelWidth, width } = page;
  if (report.runs.length === 0) return "";
  const sentences = report.runs.map(moneySentence);
  const taken = labelWidth + Math.max(...sentences.map((sentence) => sentence.length)) + 27;
  const cells = Math.min(32, width - taken);
  const lines = report.runs.map((run, index) => {
    const { word, tone } = verdictOf(run, "data");
    const lead = `  ${padded(labels.get(run) ?? "", labelWidth)}  ${paint(tone, padded(word, 8))}  `;
    const part = moneyOf(run);
    if (cells < 8 || !part || part.granted <= 0) return paragraph(lead, sentences[index]!, page);
    const share = part.arrived / part.granted;
    const filled = bar(share, cells);
    const drawn = paint(tone, filled) + paint("quiet", "·".repeat(Math.max(0, cells - filled.length)));
    return `${lead}${drawn} ${percent(share).padStart(6)}  ${sentences[index]}`;
  });
  return section(page, "Did every raise reach the salary?", "", ...lines);
}

function conclusion(page: Page, color: boolean, place: string | undefined): string {
  const { verdict } = page.report;
  const { tone, word } = CONCLUSIONS[verdict.value];
  return [
    paragraph(`${badge(color, tone, word)} `, oneLine(verdict.line), { ...page, tone: "title" }),
    ...verdict.reasons.map((reason) => paragraph("  · ", oneLine(reason), page)),
    paragraph("", [`exit status ${count(verdict.exitCode)}`, ...(place ? [`report: ${place}`] : [])].join(" · "), {
      ...page,
      tone: "quiet",
    }),
  ].join("\n");
}

const CONCLUSIONS = {
  expected: { tone: "good", word: "AS EXPECTED" },
  violated: { tone: "alarm", word: "VIOLATED" },
  unknown: { tone: "unsure", word: "UNKNOWN" },
} as const;
