/** Throughput over time, stacked by worker, and the share of each worker. */
import { max, sum } from "d3-array";
import { scaleBand, scaleLinear } from "d3-scale";
import { area, curveStepAfter, line, stack } from "d3-shape";
import type { Drawing } from "../../judge/drawing-data.ts";
import type { RunReport } from "../../judge/report-data.ts";
import { count, decimal, duration } from "../../text/format.ts";
import { axisNumber, columns, drawing, rows, rule, write } from "./chart.ts";
import { color, seriesColor } from "./colors.ts";
import { el, type Markup } from "./markup.ts";

const SIZE = { width: 360, height: 180 };
const [LEFT, RIGHT, TOP, BOTTOM] = [42, 352, 20, 158];

/** Operations a second, committed or rejected, in the busiest bin of all runs: their drawings have one scale. */
export const peakOf = (drawings: readonly Drawing[]) =>
  max(
    drawings,
    ({ committed, rejected = [], binSeconds }) =>
      max(committed[0] ?? [], (_, bin) =>
        Math.max(
          sum(committed, (worker) => worker[bin] ?? 0),
          rejected[bin] ?? 0,
        ),
      )! / binSeconds,
  ) ?? 0;

export function drawThroughput(run: RunReport, drawn: Drawing, peak: number, title: string): Markup {
  const { committed, binSeconds } = drawn;
  const bins = committed[0]?.length ?? 0;
  const x = scaleLinear([0, bins * binSeconds], [LEFT, RIGHT]);
  const y = scaleLinear([0, Math.max(peak, 1)], [BOTTOM, TOP]).nice(4);
  // The last value once more, so that the last step has its width.
  const steps = Array.from({ length: bins + 1 }, (_, bin) =>
    committed.map((worker) => (worker[Math.min(bin, bins - 1)] ?? 0) / binSeconds),
  );
  const layers = stack<number[], number>()
    .keys(committed.map((_, worker) => worker))
    .value((values, worker) => values[worker] ?? 0)(steps);
  const shape = area<[number, number]>(
    (_, bin) => x(bin * binSeconds),
    ([low]) => y(low),
    ([, high]) => y(high),
  )
    .curve(curveStepAfter)
    .digits(1);
  return drawing(
    SIZE,
    title,
    rows(
      y.ticks(4).map((value) => ({ at: y(value), text: axisNumber(value) })),
      LEFT,
      RIGHT,
    ),
    columns(
      x.ticks(5).map((value) => ({ at: x(value), text: `${axisNumber(value)} s` })),
      BOTTOM,
      BOTTOM + 3,
    ),
    layers.map((layer, worker) =>
      el(
        "path",
        { d: shape(layer as unknown as [number, number][]) ?? "", fill: seriesColor(worker) },
        el("title", {}, `worker-${worker}: ${count(sum(committed[worker] ?? []))} committed`),
      ),
    ),
    rejections(drawn, x, y),
    faultBands(run, drawn, x),
    gap(drawn, x),
  );
}

/** One bar for each worker: its part of the committed operations, and the part of an even share. */
export function drawShares(run: RunReport, title: string): Markup {
  const workers = run.reconciliation;
  const [width, height] = [240, 96];
  const x = scaleBand<number>(
    workers.map((_, index) => index),
    [30, width - 4],
  ).padding(workers.length > 20 ? 0 : 0.25);
  const y = scaleLinear([0, Math.max(1, max(workers, ({ ledger }) => ledger) ?? 1)], [height - 16, 8]);
  const even = (sum(workers, ({ ledger }) => ledger) || 0) / Math.max(1, workers.length);
  return drawing(
    { width, height },
    title,
    write(26, y(0) + 4, "0", { "text-anchor": "end", "font-size": 10 }),
    write(26, 14, axisNumber(y.domain()[1]!), { "text-anchor": "end", "font-size": 9 }),
    workers.map(({ worker, ledger }, index) =>
      el(
        "g",
        {},
        el("title", {}, `worker-${worker}: ${count(ledger)} committed`),
        el("rect", {
          x: x(index) ?? 0,
          y: y(ledger),
          width: x.bandwidth(),
          height: y(0) - y(ledger),
          fill: seriesColor(worker),
        }),
        workers.length <= 12 &&
          write((x(index) ?? 0) + x.bandwidth() / 2, height - 4, String(worker), {
            "text-anchor": "middle",
            "font-size": 10,
          }),
      ),
    ),
    rule(30, y(even), width - 4, y(even), { stroke: color("ink"), "stroke-dasharray": "3 3" }),
  );
}

export const fairnessText = (run: RunReport) => `Jain's index ${decimal(run.fairness)}`;

// --- Internal helpers -----------------------------------------------------------------------------------------------

type Scale = (value: number) => number;

function faultBands({ faultTimes = [] }: RunReport, { startedAtUs }: Drawing, x: Scale): Markup[] {
  return faultTimes.map((fault) => {
    const from = Math.max(LEFT, x((fault.startedAtUs - startedAtUs) / 1e6));
    const to = Math.min(RIGHT, x((fault.endedAtUs - startedAtUs) / 1e6));
    return el(
      "rect",
      {
        x: Math.min(from, RIGHT),
        y: TOP - 6,
        width: Math.max(1, to - from),
        height: BOTTOM - TOP + 6,
        fill: color("fault"),
        opacity: "0.25",
      },
      el("title", {}, fault.server ?? `fault of worker-${fault.worker}`),
    );
  });
}

function rejections({ rejected, binSeconds }: Drawing, x: Scale, y: Scale): Markup | undefined {
  if (rejected === undefined) return undefined;
  // The last value once more, so that the last step has its width.
  const steps = [...rejected, rejected.at(-1)!].map((count) => count / binSeconds);
  const shape = line<number>(
    (_, bin) => x(bin * binSeconds),
    (rate) => y(rate),
  )
    .curve(curveStepAfter)
    .digits(1);
  return el(
    "path",
    { d: shape(steps) ?? "", fill: "none", stroke: color("ink"), "stroke-width": 1.5 },
    el("title", {}, `${count(sum(rejected))} rejected`),
  );
}

/** The longest time without a write, as a bracket above the drawing. */
function gap({ longestGap: { afterSeconds, seconds } }: Drawing, x: Scale): Markup[] {
  const [from, to] = [Math.max(LEFT, x(afterSeconds)), Math.min(RIGHT, x(afterSeconds + seconds))];
  const text = `longest gap ${seconds < 1 ? duration(Number((seconds * 1_000).toPrecision(3))) : `${axisNumber(seconds)} s`}`;
  const atEnd = from > (LEFT + RIGHT) / 2;
  return [
    rule(from, TOP - 8, from, BOTTOM, { stroke: color("ink"), "stroke-dasharray": "2 2" }),
    el("rect", { x: from, y: TOP - 8, width: Math.max(2, to - from), height: 3, fill: color("ink") }),
    write(atEnd ? from - 4 : from + 4, TOP - 9, text, {
      "text-anchor": atEnd ? "end" : "start",
      "font-size": 10,
      fill: color("ink"),
    }),
  ];
}
