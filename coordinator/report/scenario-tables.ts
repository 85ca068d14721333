/** Tables of scenarios that change one setting: a line for each of its values, with the strategies side by side. */

import { STRATEGIES } from "../../worker/contract.ts";
import { poolRepeats } from "../judge/repeats.ts";
import type { Report, RunReport } from "../judge/report-data.ts";
import { describeFault, labelOf } from "../plan/run-names.ts";
import type { ScenarioName } from "../plan/scenarios/index.ts";
import { count, duration, milliseconds, perSecond, plural } from "../text/format.ts";
import type { Column } from "../text/layout.ts";
import { quantileText, rejectedText } from "./describe-run.ts";

export interface ScenarioTable {
  readonly title: string;
  readonly columns: Column<Point>[];
  readonly points: readonly Point[];
}

/** One value of the setting, with the run of each column group. */
export interface Point {
  readonly value: string;
  readonly runs: ReadonlyMap<string, RunReport>;
}

/** The tables of the report's scenario. */
export const scenarioTables = ({ scenario, runs }: Report): ScenarioTable[] => TABLES[scenario](poolRepeats(runs));

/** `redis, one key for all` where one lock guards all rows. */
export const keyedLabel = (run: RunReport) =>
  run.plan.keyScope === "global" ? `${labelOf(run)}, one key for all` : labelOf(run);

export const paceOf = ({ plan }: RunReport) =>
  plan.intervalMs === undefined ? "as fast as it can" : `every ${duration(plan.intervalMs)}`;

// --- Internal helpers -----------------------------------------------------------------------------------------------

type Tables = (runs: readonly RunReport[]) => ScenarioTable[];

/** For a scenario that the tables with one line for each run suffice for. */
const none: Tables = () => [];

const TABLES: Record<ScenarioName, Tables> = {
  compare: none,
  all: none,
  ttl: none,
  mixed: none,
  acl: none,
  deadlock: none,
  faults: (runs) => [
    createTable("What each fault did, and how long nobody wrote", runs, {
      head: "fault",
      pointOf: ({ plan }) => describeFault(plan) || "none",
      groupOf: labelOf,
      cells: UNDER_FAULT,
    }),
  ],
  soak: none,
  contention: (runs) =>
    [...Map.groupBy(runs, ({ plan }) => plan.holdMs)].map(([holdMs, some]) =>
      createTable(`More workers on one row, hold ${duration(holdMs)}`, some, {
        head: "",
        pointOf: ({ plan }) => plural(plan.workers, "worker"),
        groupOf: labelOf,
        cells: CONTENDED,
      }),
    ),
  spread: (runs) => [
    createTable("The same work on more rows", runs, {
      head: "",
      pointOf: ({ plan }) => plural(plan.rows, "row"),
      groupOf: keyedLabel,
      cells: CONTENDED,
    }),
  ],
  benchmark: (runs) => [
    createTable("Time of an operation and errors, at a fixed rate and as fast as it can", runs, {
      head: "strategy",
      pointOf: labelOf,
      groupOf: paceOf,
      cells: TIMED,
    }),
  ],
};

interface Shape {
  readonly head: string;
  pointOf(run: RunReport): string;
  groupOf(run: RunReport): string;
  readonly cells: readonly Cell[];
}

interface Cell {
  readonly head: string;
  text(run: RunReport): string;
  /** For a column that is there only where one of its runs has something to say. */
  readonly isRare?: true;
}

function createTable(
  title: string,
  runs: readonly RunReport[],
  { head, pointOf, groupOf, cells }: Shape,
): ScenarioTable {
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
        cells
          .filter(({ isRare, text }) => !isRare || runs.some((run) => groupOf(run) === group && text(run) !== ""))
          .map(({ head, text }) => ({ group, head, align: "right" as const, cell: cell(group, text) })),
      ),
    ],
  };
}

/** Marked where it is not as theory expects. Exclusion counts only for a strategy that promises it without a fault. */
function outcomeText({ strategy, data, exclusion, lostUpdates, agreement }: RunReport): string {
  const mark = agreement === "expected" ? "" : " (!)";
  const promised = STRATEGIES[strategy].expects.exclusion === "holds";
  if (data.value === "violated") return `${count(lostUpdates)} lost${mark}`;
  if (exclusion.value === "violated" && promised) return `not exclusive${mark}`;
  return data.value === "holds" ? `held${mark}` : `unknown${mark}`;
}

const UNDER_FAULT: readonly Cell[] = [
  { head: "data", text: outcomeText },
  { head: "ms", text: (run) => (run.quietSeconds === undefined ? "" : milliseconds(run.quietSeconds)) },
  { head: "applied", text: resolvedText, isRare: true },
];

/** How many of its operations of unknown outcome were applied. */
function resolvedText({ resolved }: RunReport): string {
  return resolved === undefined ? "" : `${count(resolved.applied)} of ${count(resolved.applied + resolved.notApplied)}`;
}

const CONTENDED: readonly Cell[] = [
  { head: "committed/s", text: (run) => perSecond(run.throughput) },
  { head: "p99 wait, ms", text: (run) => quantileText(run.lockWaitSeconds, "p99") },
  { head: "rejected", text: rejectedText },
];

const TIMED: readonly Cell[] = [
  { head: "committed", text: (run) => count(run.operations?.committed) },
  { head: "errors", text: (run) => count(run.operations?.rejected) },
  { head: "average, ms", text: (run) => quantileText(run.operationSeconds, "average") },
  { head: "p50", text: (run) => quantileText(run.operationSeconds, "p50") },
  { head: "p95", text: (run) => quantileText(run.operationSeconds, "p95") },
  { head: "p99", text: (run) => quantileText(run.operationSeconds, "p99") },
];
