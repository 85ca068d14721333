/** The tables of the report with one line for each run, for the terminal and for Markdown. */

import type { RunReport } from "../judge/report-data.ts";
import type { Aspect } from "../plan/run-plan.ts";
import { count, decimal, NO_DATA, percent, perSecond } from "../text/format.ts";
import type { Column } from "../text/layout.ts";
import { describeAgreement, describeStrength, describeVerdict, quantileText } from "./describe-run.ts";

type RunColumn = Column<RunReport>;
type Labels = ReadonlyMap<RunReport, string>;

export const happenedColumns = (labels: Labels): RunColumn[] => [
  strategy(labels),
  right("workers", (run) => String(run.plan.workers)),
  right("committed", (run) => count(run.operations?.committed), "operations"),
  right("rejected", (run) => count(run.operations?.rejected), "operations"),
  right("unknown", (run) => count(run.operations?.unknown), "operations"),
  {
    ...right("lost updates", (run) => count(run.lostUpdates)),
    tone: (run) => (run.lostUpdates ? describeVerdict(run, "data").tone : "plain"),
  },
  right("naive", (run) => count(run.naive)),
  right("seconds", (run) => decimal(run.seconds)),
  right("all workers\nactive", (run) => (run.overlap === null ? NO_DATA : percent(run.overlap))),
];

export const costColumns = (labels: Labels): RunColumn[] => [
  strategy(labels),
  right("committed/s", (run) => perSecond(run.throughput)),
  right("fairness", (run) => decimal(run.fairness)),
  ...quantiles("operation, ms", (run) => run.operationSeconds),
  ...quantiles("lock wait, ms", (run) => run.lockWaitSeconds),
];

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
