/** How long operations took, and how long they waited for the lock: one line and one row of quantiles for each run. */
import { max, min } from "d3-array";
import { scaleLinear, scaleLog } from "d3-scale";
import { curveMonotoneX, line } from "d3-shape";
import type { Quantiles } from "../../judge/report-data.ts";
import { milliseconds, percent } from "../../text/format.ts";
import { axisNumber, columns, drawing, rows, write } from "./chart.ts";
import { color, seriesColor } from "./colors.ts";
import { el, type Markup } from "./markup.ts";

export interface Measured {
  readonly name: string;
  readonly times: Quantiles;
}

/** More lines than this cannot be told apart: then only the rows of quantiles are drawn. */
const LINES_MAX = 8;
const [WIDTH, LEFT, RIGHT, TOP, PLOT, ROW] = [1000, 210, 980, 14, 150, 20];

/** Undefined where nothing was measured. */
export function drawDistribution(measured: readonly Measured[], title: string): Markup | undefined {
  const some = measured.filter(({ times }) => times.count > 0 && (times.p50 ?? 0) > 0);
  if (some.length === 0) return undefined;
  const bounds = some.flatMap(({ times }) => [
    times.p50!,
    times.p99!,
    ...(times.buckets ?? []).flatMap(({ atMost }) => (atMost === null ? [] : atMost)),
  ]);
  const least = (min(bounds) ?? 1e-4) / 2;
  const x = scaleLog([least, (max(bounds) ?? 1) * 1.3], [LEFT, RIGHT]);
  const lines = some.length > LINES_MAX ? [] : some.filter(({ times }) => times.buckets !== undefined);
  const top = lines.length === 0 ? TOP : TOP + PLOT + 14;
  const bottom = top + some.length * ROW;
  return drawing(
    { width: WIDTH, height: bottom + 34 },
    title,
    columns(
      ticksOf(x.domain()).map((value) => ({
        at: x(value),
        text: `${axisNumber(Number((value * 1_000).toPrecision(3)))} ms`,
      })),
      TOP,
      bottom,
    ),
    lines.length > 0 && plot(lines, some, x),
    some.map((one, index) => quantileRow(one, index, x, top + index * ROW + ROW / 2)),
    write(LEFT, bottom + 30, "p50 ●   p95 ◆   p99 ▮"),
  );
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

type Scale = (seconds: number) => number;

/** 1, 2 and 5 times the powers of ten. */
function ticksOf([low = 1e-4, high = 1]: readonly number[]): number[] {
  const powers = Array.from({ length: 8 }, (_, index) => 10 ** (index - 5));
  return powers.flatMap((power) => [power, 2 * power, 5 * power]).filter((value) => value >= low && value <= high);
}

function plot(lines: readonly Measured[], all: readonly Measured[], x: Scale): Markup[] {
  const shares = lines.map(({ times }) => sharesOf(times, x));
  const y = scaleLinear([0, max(shares.flat(), ({ share }) => share) ?? 1], [TOP + PLOT, TOP + 4]).nice(3);
  return [
    ...rows(
      y.ticks(3).map((value) => ({ at: y(value), text: percent(value) })),
      LEFT,
      RIGHT,
    ),
    write(4, TOP + 14, "share of the operations"),
    write(4, TOP + 28, "in each bucket"),
    ...shares.map((points, index) =>
      el(
        "path",
        {
          d:
            line<(typeof points)[number]>(
              (point) => point.at,
              (point) => y(point.share),
            )
              .curve(curveMonotoneX)
              .digits(1)(points) ?? "",
          fill: "none",
          stroke: seriesColor(all.indexOf(lines[index]!)),
          "stroke-width": 2,
        },
        el("title", {}, lines[index]!.name),
      ),
    ),
  ];
}

/** A point in the middle of each bucket, and one with nothing on each side of a group of them. */
function sharesOf({ buckets = [], count }: Quantiles, x: Scale) {
  const points = buckets
    .filter(({ atMost }) => atMost !== null)
    .map((bucket) => ({ at: x(bucket.atMost! / 1.25), share: bucket.count / count }));
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined) return [];
  return [{ at: Math.max(LEFT, first.at - 30), share: 0 }, ...points, { at: Math.min(RIGHT, last.at + 30), share: 0 }];
}

function quantileRow({ name, times }: Measured, index: number, x: Scale, y: number): Markup {
  const [p50, p95, p99] = [x(times.p50!), x(times.p95!), x(times.p99!)];
  const paint = seriesColor(index);
  const short = name.length > 34 ? `${name.slice(0, 33)}…` : name;
  return el(
    "g",
    {},
    el(
      "title",
      {},
      `${name}: p50 ${milliseconds(times.p50)}, p95 ${milliseconds(times.p95)}, p99 ${milliseconds(times.p99)} ms`,
    ),
    write(LEFT - 8, y + 4, short, { "text-anchor": "end", fill: color("ink") }),
    el("rect", { x: p50, y: y - 1.5, width: Math.max(1, p99 - p50), height: 3, fill: paint }),
    el("circle", { cx: p50, cy: y, r: 4.5, fill: paint }),
    el("path", { d: `M${p95.toFixed(1)} ${y - 5}l5 5l-5 5l-5 -5z`, fill: paint }),
    el("rect", { x: p99 - 2, y: y - 6, width: 4, height: 12, fill: paint }),
  );
}
