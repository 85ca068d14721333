/** How far the repeats of each run are apart: their throughput, its median and the interval of the median. */
import { max } from "d3-array";
import { scaleLinear } from "d3-scale";
import { eachRepeat, medianOf, repeatedOf } from "../../judge/repeats.ts";
import type { Report, RunReport } from "../../judge/report-data.ts";
import { perSecond } from "../../text/format.ts";
import { describeAgreement } from "../describe-run.ts";
import { describeIntervals } from "../intervals.ts";
import { INTERVALS, intervalColumns } from "../tables.ts";
import { axisNumber, columns, drawing, rule, write } from "./chart.ts";
import { color, TONES } from "./colors.ts";
import { type Labels, tableOf } from "./evidence.ts";
import { el, type Markup } from "./markup.ts";
import { wide } from "./shell.ts";

/** Nothing without repeats. */
export function repeats({ runs }: Report, labels: Labels): Markup[] {
  const repeated = runs.filter((run) => repeatedOf(run) !== undefined);
  if (repeated.length === 0) return [];
  const note = describeIntervals(repeated);
  return [
    el(
      "p",
      {},
      "Each dot is the throughput of one repeat; a ring is one that was not as expected. The line is the median, the band its interval: the speeds of two runs whose bands have a value in common cannot be told apart.",
    ),
    wide(drawRepeats(repeated, labels)),
    ...(note === undefined
      ? []
      : [el("h3", {}, INTERVALS), tableOf(intervalColumns(labels), repeated), el("p", { class: "quiet" }, note)]),
  ];
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const [WIDTH, LEFT, RIGHT, TOP, ROW] = [1000, 210, 980, 14, 26];

function drawRepeats(runs: readonly RunReport[], labels: Labels): Markup {
  const bottom = TOP + runs.length * ROW;
  const highest = max(runs.flatMap(eachRepeat), ({ throughput }) => throughput ?? 0) || 1;
  const x = scaleLinear([0, highest], [LEFT, RIGHT]).nice(6);
  return drawing(
    { width: WIDTH, height: bottom + 34 },
    "Throughput of each repeat, by run",
    columns(
      x.ticks(6).map((value) => ({ at: x(value), text: axisNumber(value) })),
      TOP,
      bottom,
    ),
    runs.map((run, index) => {
      const y = TOP + index * ROW + ROW / 2;
      const name = labels.get(run) ?? run.strategy;
      const median = medianOf(run, "throughput");
      return [
        write(LEFT - 10, y + 4, name, { "text-anchor": "end", fill: color("ink") }),
        median?.low !== undefined &&
          median.high !== undefined &&
          el("rect", {
            x: x(median.low),
            y: y - 8,
            width: Math.max(1, x(median.high) - x(median.low)),
            height: 16,
            fill: color("bar"),
            opacity: "0.25",
          }),
        median && rule(x(median.median), y - 10, x(median.median), y + 10, { stroke: color("ink"), "stroke-width": 2 }),
        eachRepeat(run).flatMap((one) => (one.throughput === null ? [] : dot(one, x(one.throughput), y, name))),
      ];
    }),
    write(LEFT, bottom + 30, "committed/s"),
  );
}

function dot(run: RunReport, cx: number, cy: number, name: string): Markup {
  const { text, tone } = describeAgreement(run);
  const expected = run.agreement === "expected";
  return el(
    "circle",
    {
      cx,
      cy,
      r: expected ? 3.5 : 6,
      fill: color(expected ? "bar" : "ground"),
      stroke: color(expected ? "bar" : TONES[tone]),
      "stroke-width": 2,
    },
    el("title", {}, `${name}, repeat ${run.repeat}: ${perSecond(run.throughput)} committed/s, ${text}`),
  );
}
