/** Scenarios that change one thing from run to run: a table with a line for each of its values, and columns side by side. */

import type { Report, RunReport } from "../judge/report-data.ts";
import { labelOf } from "../plan/theory.ts";
import { count, duration, milliseconds, NO_DATA, percent, perSecond, plural } from "../text/format.ts";
import type { Column } from "../text/layout.ts";

export interface Curve {
  readonly title: string;
  readonly columns: Column<Point>[];
  readonly points: readonly Point[];
}

/** One value of what is changed, with the run of each column group. */
export interface Point {
  readonly value: string;
  readonly runs: ReadonlyMap<string, RunReport>;
}

/** The tables of a report's scenario; none where a line for each run says it all. */
export function curvesOf({ scenario, runs }: Report): Curve[] {
  if (scenario === "contention")
    return [...Map.groupBy(runs, ({ plan }) => plan.holdMs)].map(([holdMs, some]) =>
      curve(`More workers on one row, hold ${duration(Number(holdMs))}`, some, {
        head: "",
        pointOf: ({ plan }) => plural(Number(plan.workers), "worker"),
        groupOf: labelOf,
        cells: CONTENDED,
      }),
    );
  if (scenario === "spread")
    return [
      curve("The same work on more rows", runs, {
        head: "",
        pointOf: ({ plan }) => plural(Number(plan.rows), "row"),
        groupOf: keyedLabel,
        cells: CONTENDED,
      }),
    ];
  if (scenario === "benchmark")
    return [
      curve("Time of an operation and errors, at a fixed rate and as fast as it can", runs, {
        head: "strategy",
        pointOf: labelOf,
        groupOf: paceOf,
        cells: TIMED,
      }),
    ];
  return [];
}

/** `redis, one key for all` where one lock guards all rows. */
export const keyedLabel = (run: RunReport) =>
  run.plan.keyScope === "global" ? `${labelOf(run)}, one key for all` : labelOf(run);

export const paceOf = ({ plan }: RunReport) =>
  plan.intervalMs === undefined ? "as fast as it can" : `every ${duration(Number(plan.intervalMs))}`;

/** The part of all operations that was turned away; undefined where there were none. */
export function rejectedShare({ operations }: RunReport): number | undefined {
  if (operations === null) return undefined;
  const all = operations.committed + operations.rejected + operations.unknown;
  return all === 0 ? undefined : operations.rejected / all;
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

interface Shape {
  readonly head: string;
  pointOf(run: RunReport): string;
  groupOf(run: RunReport): string;
  readonly cells: readonly Cell[];
}

interface Cell {
  readonly head: string;
  text(run: RunReport): string;
}

function curve(title: string, runs: readonly RunReport[], { head, pointOf, groupOf, cells }: Shape): Curve {
  const groups = [...new Set(runs.map(groupOf))];
  const points = [...Map.groupBy(runs, pointOf)].map(([value, some]) => ({
    value,
    runs: new Map(some.map((run) => [groupOf(run), run])),
  }));
  const cell = (group: string, text: Cell["text"]) => (point: Point) => {
    const run = point.runs.get(group);
    return run === undefined ? "" : text(run);
  };
  return {
    title,
    points,
    columns: [
      { head, cell: ({ value }) => value },
      ...groups.flatMap((group) =>
        cells.map((column) => ({ group, head: column.head, align: "right" as const, cell: cell(group, column.text) })),
      ),
    ],
  };
}

/** A dash where nothing was waited for, which is not missing data. */
const time = (quantiles: RunReport["lockWaitSeconds"], key: "average" | "p50" | "p95" | "p99") =>
  quantiles?.count === 0 ? "–" : milliseconds(quantiles?.[key]);

function rejectedText(run: RunReport): string {
  const share = rejectedShare(run);
  return share === undefined ? NO_DATA : percent(share);
}

const CONTENDED: readonly Cell[] = [
  { head: "committed/s", text: (run) => perSecond(run.throughput) },
  { head: "p99 wait, ms", text: (run) => time(run.lockWaitSeconds, "p99") },
  { head: "rejected", text: rejectedText },
];

const TIMED: readonly Cell[] = [
  { head: "committed", text: (run) => count(run.operations?.committed) },
  { head: "errors", text: (run) => count(run.operations?.rejected) },
  { head: "average, ms", text: (run) => time(run.operationSeconds, "average") },
  { head: "p50", text: (run) => time(run.operationSeconds, "p50") },
  { head: "p95", text: (run) => time(run.operationSeconds, "p95") },
  { head: "p99", text: (run) => time(run.operationSeconds, "p99") },
];
