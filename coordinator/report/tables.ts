/** The tables of the report with one line for each run, for the terminal and for Markdown. */

import { eachRepeat, medianOf } from "../judge/repeats.ts";
import type { Measure, RunReport } from "../judge/report-data.ts";
import type { Aspect } from "../plan/run-plan.ts";
import { count, decimal, milliseconds, NO_DATA, percent, perSecond } from "../text/format.ts";
import type { Column } from "../text/layout.ts";
import {
  describeAgreement,
  describeStrength,
  describeVerdict,
  isJudgedByClaims,
  quantileText,
  rejectedText,
} from "./describe-run.ts";
import { intervalText } from "./intervals.ts";

type RunColumn = Column<RunReport>;
type Labels = ReadonlyMap<RunReport, string>;

export const happenedColumns = (labels: Labels): RunColumn[] => [
  strategy(labels),
  right("workers", (run) => String(run.plan.workers)),
  right("committed", (run) => count(run.operations?.committed), "operations"),
  right("rejected", (run) => count(run.operations?.rejected), "operations"),
  right("unknown", (run) => count(run.operations?.unknown), "operations"),
  lostUpdates("lost updates"),
  right("naive", (run) => count(run.naive)),
  right("seconds", (run) => decimal(run.seconds)),
  right("all workers\nactive", (run) => (run.overlap === null ? NO_DATA : percent(run.overlap))),
];

/** The one table of the short text, narrow enough for 80 columns. */
export const shortColumns = (labels: Labels, runs: readonly RunReport[]): RunColumn[] => [
  strategy(labels),
  ...(["data", "exclusion"] as const).map(
    (aspect): RunColumn => ({
      head: `${aspect}\nheld?`,
      cell: (run) => describeVerdict(run, aspect).word.replace("not claimed", "–"),
      tone: (run) => describeVerdict(run, aspect).tone,
    }),
  ),
  {
    head: "expected?",
    cell: (run) =>
      isJudgedByClaims(run)
        ? { expected: "as claimed", mismatch: "NOT AS CLAIMED", unknown: "unknown" }[run.agreement]
        : { expected: "yes", mismatch: "NO", unknown: "unknown" }[run.agreement],
    tone: (run) => describeAgreement(run).tone,
  },
  lostUpdates("lost\nupdates"),
  right("committed\nper s", (run) => withInterval(perSecond(run.throughput), run, "throughput", perSecond)),
  right("p99,\nms", (run) =>
    withInterval(quantileText(run.operationSeconds, "p99"), run, "operationSeconds.p99", milliseconds),
  ),
  right("rejected", rejectedText),
  // An operation of unknown outcome is rare and matters, so its column is there only where there is one.
  ...(runs.some(({ operations }) => operations?.unknown)
    ? [right("unknown\noutcome", (run) => count(run.operations?.unknown))]
    : []),
];

export const costColumns = (labels: Labels): RunColumn[] => [
  strategy(labels),
  right("committed/s", (run) => perSecond(run.throughput)),
  right("fairness", (run) => decimal(run.fairness)),
  ...quantiles("operation, ms", (run) => run.operationSeconds),
  ...quantiles("lock wait, ms", (run) => run.lockWaitSeconds),
];

/** Above the tables of repeated runs. */
export const INTERVALS = "How sure the numbers are: intervals of the medians";
export const EACH_REPEAT = "Each repeat: committed/s, and what was not as expected";

export const intervalColumns = (labels: Labels): RunColumn[] => [
  strategy(labels),
  right("committed/s", (run) => intervalText(medianOf(run, "throughput"), perSecond) || NO_DATA),
  ...(["average", "p50", "p95", "p99"] as const).map((key) =>
    right(
      key === "average" ? "avg" : key,
      (run) => intervalText(medianOf(run, `operationSeconds.${key}`), milliseconds) || NO_DATA,
      "operation, ms",
    ),
  ),
  right("p99", (run) => intervalText(medianOf(run, "lockWaitSeconds.p99"), milliseconds) || "–", "lock wait, ms"),
];

/** A column for each repeat. */
export const repeatColumns = (labels: Labels, runs: readonly RunReport[]): RunColumn[] => [
  strategy(labels),
  ...[...new Set(runs.flatMap((run) => eachRepeat(run).flatMap(({ repeat }) => repeat ?? [])))]
    .sort((a, b) => a - b)
    .map(
      (number): RunColumn => ({
        ...right(String(number), (run) => repeatText(eachRepeat(run).find(({ repeat }) => repeat === number))),
        tone: (run) => (eachRepeat(run).every(isAsExpected) ? "plain" : "unsure"),
      }),
    ),
];

const isAsExpected = ({ agreement }: RunReport) => agreement === "expected";

function repeatText(run: RunReport | undefined): string {
  if (run === undefined) return "not made";
  if (isAsExpected(run)) return perSecond(run.throughput);
  return `${perSecond(run.throughput)} ${describeAgreement(run).text}`;
}

export const verdictColumns = (labels: Labels): RunColumn[] => [
  strategy(labels),
  ...(["data", "exclusion"] as const).flatMap((aspect) => [
    verdict(aspect),
    {
      head: "evidence",
      group: aspect,
      cell: (run: RunReport) => describeStrength(run, aspect),
      tone: () => "quiet" as const,
    },
  ]),
  { head: "expected?", cell: (run) => describeAgreement(run).text, tone: (run) => describeAgreement(run).tone },
];

const lostUpdates = (head: string): RunColumn => ({
  ...right(head, (run) => count(run.lostUpdates)),
  tone: (run) => (run.lostUpdates ? describeVerdict(run, "data").tone : "plain"),
});

/** `306 (290–330)` where the run was repeated often enough. */
function withInterval(text: string, run: RunReport, measure: Measure, number: (value: number) => string): string {
  const range = intervalText(medianOf(run, measure), number);
  return range === "" ? text : `${text} (${range})`;
}

const strategy = (labels: Labels): RunColumn => ({ head: "strategy", cell: (run) => labels.get(run) ?? run.strategy });

const right = (head: string, cell: (run: RunReport) => string, group?: string): RunColumn => ({
  head,
  cell,
  align: "right",
  ...(group === undefined ? {} : { group }),
});

const verdict = (aspect: Aspect): RunColumn => ({
  head: "verdict",
  group: aspect,
  cell: (run) => describeVerdict(run, aspect).word,
  tone: (run) => describeVerdict(run, aspect).tone,
});

function quantiles(group: string, of: (run: RunReport) => RunReport["operationSeconds"]): RunColumn[] {
  const column = (head: string, key: "average" | "p50" | "p95" | "p99") =>
    right(head, (run) => quantileText(of(run), key), group);
  return [column("avg", "average"), column("p50", "p50"), column("p95", "p95"), column("p99", "p99")];
}
