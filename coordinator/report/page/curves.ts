/** The curves of the scenarios that change one setting: throughput by the number of workers, or by that of rows. */
import { max } from "d3-array";
import { scaleLinear, scalePoint } from "d3-scale";
import { line } from "d3-shape";
import type { Report, RunReport } from "../../judge/report-data.ts";
import { labelOf } from "../../plan/run-names.ts";
import { duration, perSecond, plural } from "../../text/format.ts";
import { describeVerdict } from "../describe-run.ts";
import { keyedLabel } from "../scenario-tables.ts";
import { axisNumber, columns, drawing, legend, rows, write } from "./chart.ts";
import { color, seriesColor } from "./colors.ts";
import { el, type Markup } from "./markup.ts";

export interface Curves {
  readonly title: string;
  readonly runs: readonly RunReport[];
  readonly settingOf: (run: RunReport) => number;
  readonly nameOf: (run: RunReport) => string;
  readonly unit: string;
}

/** Nothing for a scenario that changes no such setting. */
export function curvesOf({ scenario, runs }: Report): Curves[] {
  if (scenario === "contention")
    return [...Map.groupBy(runs, ({ plan }) => plan.holdMs)].map(([holdMs, some]) => ({
      title: `More workers on one row, hold ${duration(holdMs)}`,
      runs: some,
      settingOf: ({ plan }) => plan.workers,
      nameOf: labelOf,
      unit: "worker",
    }));
  if (scenario === "spread")
    return [
      {
        title: "The same work on more rows",
        runs,
        settingOf: ({ plan }) => plan.rows,
        nameOf: keyedLabel,
        unit: "row",
      },
    ];
  return [];
}

const [WIDTH, LEFT, RIGHT, TOP, BOTTOM] = [1000, 60, 960, 26, 270];

export function drawCurves({ title, runs, settingOf, nameOf, unit }: Curves): Markup {
  const values = [...new Set(runs.map(settingOf))].sort((a, b) => a - b);
  const groups = [...Map.groupBy(runs, nameOf)];
  const x = scalePoint<number>(values, [LEFT + 20, RIGHT - 20]);
  const y = scaleLinear([0, max(runs, ({ throughput }) => throughput ?? 0) || 1], [BOTTOM, TOP]).nice(4);
  const key = legend(
    groups.map(([name], index) => ({ name, paint: seriesColor(index) })),
    LEFT,
    BOTTOM + 44,
    RIGHT - LEFT,
  );
  const at = (run: RunReport): readonly [number, number] => [x(settingOf(run)) ?? LEFT, y(run.throughput ?? 0)];
  return drawing(
    { width: WIDTH, height: key.bottom + 10 },
    title,
    write(4, 12, "committed/s"),
    rows(
      y.ticks(5).map((value) => ({ at: y(value), text: axisNumber(value) })),
      LEFT,
      RIGHT,
    ),
    columns(
      values.map((value) => ({ at: x(value) ?? LEFT, text: plural(value, unit) })),
      BOTTOM,
      BOTTOM + 4,
    ),
    groups.map(([, some], index) => {
      const shown = some.filter(({ throughput }) => throughput !== null).sort((a, b) => settingOf(a) - settingOf(b));
      return [
        el("path", {
          d: line<readonly [number, number]>().digits(1)(shown.map(at)) ?? "",
          fill: "none",
          stroke: seriesColor(index),
          "stroke-width": 2,
          "stroke-dasharray": shown.some(({ lostUpdates }) => lostUpdates) ? "6 4" : undefined,
        }),
        shown.map((run) => mark(run, at(run), seriesColor(index), nameOf(run))),
      ];
    }),
    key.drawn,
  );
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** A run that lost updates is an open circle: its throughput is no achievement. */
function mark(run: RunReport, [cx, cy]: readonly [number, number], paint: string, name: string): Markup {
  const lost = (run.lostUpdates ?? 0) > 0;
  return el(
    "circle",
    { cx, cy, r: 4, fill: lost ? color("ground") : paint, stroke: paint, "stroke-width": 2 },
    el("title", {}, `${name}: ${perSecond(run.throughput)} committed/s, data ${describeVerdict(run, "data").word}`),
  );
}
