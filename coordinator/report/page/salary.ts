/** The salary of a row below the lanes of the operations that wrote it. */
import { extent } from "d3-array";
import { type ScaleLinear, scaleLinear } from "d3-scale";
import { curveStepAfter, line } from "d3-shape";
import type { DrawnOperation } from "../../judge/drawing-data.ts";
import { count } from "../../text/format.ts";
import { rows, write } from "./chart.ts";
import { color } from "./colors.ts";
import { el, type Markup } from "./markup.ts";

/** The sides of the drawing, and its height. */
export const LEFT = 110;
export const RIGHT = 980;
export const SALARY = 92;

/** The salary after each write, and what it would be if every raise had been kept. */
export function drawSalary(
  own: readonly DrawnOperation[],
  x: ScaleLinear<number, number>,
  top: number,
  whole: boolean,
): Markup[] {
  const [first] = own;
  if (first === undefined) return [];
  const start = first.newSalary - first.raise;
  let kept = start;
  const points = [
    { at: 0, salary: start, kept, version: 0 },
    ...own.map(({ writtenAfterUs, newSalary, raise, newVersion }) => {
      kept += raise;
      return { at: writtenAfterUs / 1_000, salary: newSalary, kept, version: newVersion };
    }),
  ];
  const values = points.flatMap((point) => (whole ? [point.salary, point.kept] : [point.salary]));
  const [low = 0, high = 1] = extent(values);
  const y = scaleLinear([low, high === low ? low + 1 : high], [top + SALARY - 4, top + 10]).nice(3);
  const path = (value: (point: (typeof points)[number]) => number) =>
    line<(typeof points)[number]>(
      (point) => x(point.at),
      (point) => y(value(point)),
    )
      .curve(curveStepAfter)
      .digits(1)(points) ?? "";
  const end = points.at(-1)!;
  const lost = end.kept - end.salary;
  return [
    ...rows(
      y.ticks(3).map((value) => ({ at: y(value), text: count(value) })),
      LEFT,
      RIGHT,
    ),
    write(4, top + 30, "salary", { fill: color("ink"), "font-size": 12 }),
    ...(whole && lost !== 0
      ? [
          el("path", {
            d: path((point) => point.kept),
            fill: "none",
            stroke: color("muted"),
            "stroke-dasharray": "5 3",
            "stroke-width": 1.5,
          }),
          write(x(end.at) + 24, y(end.kept) + 4, "if every raise", { "font-size": 10 }),
          write(x(end.at) + 24, y(end.kept) + 15, "were kept", { "font-size": 10 }),
        ]
      : []),
    el("path", { d: path((point) => point.salary), fill: "none", stroke: color("bar"), "stroke-width": 2.5 }),
    ...versionMarks(points.slice(1), x, y),
  ];
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** The version at each write, where there is room. */
function versionMarks(
  points: readonly { at: number; salary: number; version: number }[],
  x: ScaleLinear<number, number>,
  y: ScaleLinear<number, number>,
): Markup[] {
  let free = 0;
  return points.map(({ at, salary, version }) => {
    const text = `v${version}`;
    const shown = x(at) >= free;
    if (shown) free = x(at) + text.length * 6.5 + 4;
    return el(
      "g",
      {},
      el("title", {}, `v${version}: salary ${count(salary)}`),
      el("circle", { cx: x(at), cy: y(salary), r: 3, fill: color("bar") }),
      shown && write(x(at) + 3, y(salary) - 5, text, { "font-size": 10 }),
    );
  });
}
