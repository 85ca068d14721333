/** The list of earlier reports that `holdfast history` prints. */
import { poolRepeats } from "../judge/repeats.ts";
import type { Report } from "../judge/report-data.ts";
import { labelsOf } from "../plan/run-names.ts";
import { milliseconds, NO_DATA, oneLine, perSecond, plural } from "../text/format.ts";
import { type Column, paragraph, table, wrap } from "../text/layout.ts";
import { painter, type Tone } from "../text/paint.ts";
import { keptBy } from "./cost.ts";
import { rivalsOf } from "./intervals.ts";

/** What was found in a folder of reports, the oldest report first. */
export interface EarlierReports {
  readonly reports: readonly EarlierReport[];
  readonly unreadable: readonly { readonly file: string; readonly reason: string }[];
}

export interface EarlierReport {
  readonly report: Report;
  /** Its report.html as a relative URL; undefined where there is none. */
  readonly page?: string | undefined;
}

/** For a terminal; ends with what could not be read. */
export function formatEarlierReports(
  { reports, unreadable }: EarlierReports,
  terminal: { readonly color: boolean; readonly width: number },
): string {
  const page = { paint: painter(terminal.color), width: Math.min(Math.max(terminal.width, 60), 120) };
  const sections = [
    ...(reports.length === 0 ? [] : [table(COLUMNS, reports, page)]),
    ...(unreadable.length === 0
      ? []
      : [
          [
            page.paint("title", describeUnreadable(unreadable)),
            ...unreadable.map(({ file, reason }) => paragraph("  · ", oneLine(`${file}: ${reason}`), page)),
          ].join("\n"),
        ]),
  ];
  return `${sections.join("\n\n")}\n`;
}

export const describeUnreadable = (unreadable: EarlierReports["unreadable"]) =>
  `${plural(unreadable.length, "file")} that could not be read`;

export const startOf = ({ startedAt }: Report) => startedAt.slice(0, 16).replace("T", " ");

/** The columns of the list, for the terminal and for the page. */
export const COLUMNS: readonly Column<EarlierReport>[] = [
  { head: "started, UTC", cell: ({ report }) => startOf(report) },
  { head: "report", cell: ({ report }) => oneLine(report.report) },
  { head: "scenario", cell: ({ report }) => report.scenario },
  { head: "verdict", cell: ({ report }) => VERDICTS[report.verdict.value], tone: verdictTone },
  {
    head: "fastest that held",
    cell: ({ report }) => wrap(fastestOf(report)?.names.join(" or ") ?? "–", FASTEST_WIDTH).join("\n"),
  },
  { head: "committed/s", align: "right", cell: ({ report }) => perSecond(fastestOf(report)?.run.throughput) },
  { head: "p99, ms", align: "right", cell: ({ report }) => milliseconds(fastestOf(report)?.run.operationSeconds?.p99) },
];
const FASTEST_WIDTH = 26;

// --- Internal helpers -----------------------------------------------------------------------------------------------

const VERDICTS = { expected: "as expected", violated: "VIOLATED", unknown: "UNKNOWN" } as const;

function verdictTone({ report }: EarlierReport): Tone {
  return ({ expected: "good", violated: "alarm", unknown: "unsure" } as const)[report.verdict.value];
}

/** The fastest run that held, and the names of those that cannot be told apart from it. */
function fastestOf({ runs }: Report) {
  const pooled = poolRepeats(runs);
  const kept = keptBy(pooled).filter(({ throughput }) => throughput);
  const [run] = kept;
  if (run === undefined) return undefined;
  const labels = labelsOf(pooled);
  return { run, names: [run, ...rivalsOf(kept)].map((each) => labels.get(each) ?? NO_DATA) };
}
