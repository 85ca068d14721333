/** A few operations up close: a lane for each worker. */
import { extent, max } from "d3-array";
import { type ScaleLinear, scaleLinear } from "d3-scale";
import { line } from "d3-shape";
import type { DrawnOperation, DrawnWindow } from "../../judge/drawing-data.ts";
import type { RunReport } from "../../judge/report-data.ts";
import { count, plural } from "../../text/format.ts";
import { axisNumber, columns, drawing, rule, write } from "./chart.ts";
import { color } from "./colors.ts";
import { el, type Markup } from "./markup.ts";
import { drawSalary, LEFT, RIGHT, SALARY } from "./salary.ts";

const WIDTH = 1000;
const LANE = 46;
const BAR = 14;
const TOP = 24;

export function drawWindow(run: RunReport, window: DrawnWindow, title: string): Markup {
  const { operations } = window;
  const lanes = lanesOf(operations);
  const last = max(operations, ({ writtenAfterUs }) => writtenAfterUs) ?? 0;
  const x = scaleLinear([0, Math.max(last, 1) / 1_000], [LEFT, RIGHT - 90]);
  const bottom = TOP + lanes.length * LANE;
  const own = operations.filter(({ employee }) => employee === undefined);
  const salaryTop = bottom + 30;
  const height = salaryTop + SALARY + 46;
  const laneY = (operation: DrawnOperation) => TOP + lanes.indexOf(laneOf(operation)) * LANE + 20;
  return drawing(
    { width: WIDTH, height },
    title,
    faultBands(run, window, x, bottom),
    sharedSpans(run, operations, x, bottom),
    columns(
      x.ticks(8).map((value) => ({ at: x(value), text: `${axisNumber(value)} ms` })),
      TOP - 6,
      salaryTop + SALARY,
    ),
    lanes.map((lane, index) => laneFrame(lane, operations, run, TOP + index * LANE)),
    arrows(operations, x, laneY, lossOf(run)),
    operations.map((operation) => bar(operation, operations, x, laneY(operation), lossOf(run))),
    drawSalary(own, x, salaryTop, window.omitted === 0),
    write(LEFT, height - 4, captionOf(window)),
  );
}

/** A stale write of a control is amber: only a loss that must not happen is red. */
const lossOf = (run: RunReport): Loss => (run.agreement === "expected" ? "control" : "broken");
type Loss = "control" | "broken";

const laneOf = ({ worker, loop }: DrawnOperation) => worker * 1e6 + loop;

const lanesOf = (operations: readonly DrawnOperation[]) => [...new Set(operations.map(laneOf))].sort((a, b) => a - b);

function laneFrame(lane: number, operations: readonly DrawnOperation[], { plan }: RunReport, top: number) {
  const { worker, loop } = operations.find((operation) => laneOf(operation) === lane)!;
  // A foreign writer is no loop of a worker.
  const stranger = plan.serverFaults?.some((fault) => fault.name === "foreign-writer") ? "foreign" : "unregistered";
  const name = worker < 0 ? stranger : plan.concurrency > 1 ? `worker-${worker}, loop ${loop}` : `worker-${worker}`;
  return [rule(0, top + LANE, RIGHT, top + LANE), write(4, top + 31, name, { fill: color("ink"), "font-size": 12 })];
}

function bar(
  operation: DrawnOperation,
  operations: readonly DrawnOperation[],
  x: ScaleLinear<number, number>,
  y: number,
  loss: Loss,
): Markup {
  const { readAfterUs, writtenAfterUs, readVersion, newVersion, stale, overwrittenBy, raise, fence } = operation;
  const from = x(readAfterUs / 1_000);
  const wide = Math.max(3, x(writtenAfterUs / 1_000) - from);
  const kind = stale ? "stale" : overwrittenBy === undefined ? "kept" : "overwritten";
  const lost = overwrittenBy !== undefined;
  const fill = stale ? color(`${loss}-bar`) : lost ? color("pale") : color("bar");
  const about = [
    `operation ${operation.op}: read v${readVersion}, wrote v${newVersion} ${((writtenAfterUs - readAfterUs) / 1_000).toFixed(2)} ms later`,
    `raise ${count(raise)}, salary ${count(operation.newSalary)}`,
    ...(fence === undefined ? [] : [`fencing token ${count(fence)}`]),
    ...(stale ? [`a stale write: it was not based on v${newVersion - 1}`] : []),
    ...(lost ? [`its raise was erased by operation ${overwrittenBy}`] : []),
  ];
  return el(
    "g",
    {},
    el("title", {}, about.join("; ")),
    el("rect", {
      x: from,
      y,
      width: wide,
      height: BAR,
      rx: 3,
      fill,
      "data-kind": kind,
      ...(lost ? { stroke: color(stale ? "pale" : "control"), "stroke-width": 2, "stroke-dasharray": "4 2" } : {}),
    }),
    write(from, y - 4, labelOf(operation, operations, x), {
      fill: stale ? color(loss) : color("ink"),
      "font-weight": stale ? 700 : 400,
    }),
    fence !== undefined && write(from, y + BAR + 10, `token ${shortToken(fence)}`, { "font-size": 9 }),
  );
}

/** The last digits of a long token: the first ones are the same for all. */
const shortToken = (fence: number) => (fence < 1e6 ? String(fence) : `…${String(fence).slice(-6)}`);

/** As much as fits before the next bar of the lane. */
function labelOf(operation: DrawnOperation, operations: readonly DrawnOperation[], x: ScaleLinear<number, number>) {
  const from = x(operation.readAfterUs / 1_000);
  const next = operations
    .filter((other) => laneOf(other) === laneOf(operation) && other.readAfterUs > operation.readAfterUs)
    .map(({ readAfterUs }) => x(readAfterUs / 1_000));
  const room = Math.min(WIDTH, ...next) - from;
  const { readVersion, newVersion } = operation;
  const whole = `v${readVersion} → v${newVersion}`;
  return [whole, `v${newVersion}`].find((text) => text.length * 6.2 + 4 < room) ?? "";
}

/** From each erased write to the stale write that erased it. */
function arrows(
  operations: readonly DrawnOperation[],
  x: ScaleLinear<number, number>,
  laneY: (operation: DrawnOperation) => number,
  loss: Loss,
): Markup[] {
  const byOp = new Map(operations.map((operation) => [operation.op, operation]));
  return operations.flatMap((lost) => {
    const eraser = lost.overwrittenBy === undefined ? undefined : byOp.get(lost.overwrittenBy);
    if (eraser === undefined) return [];
    const down = laneY(eraser) > laneY(lost);
    const [x1, y1] = [x(lost.writtenAfterUs / 1_000), laneY(lost) + BAR / 2];
    const [x2, y2] = [x(eraser.writtenAfterUs / 1_000), laneY(eraser) + (down ? -1 : BAR + 1)];
    const tip = down ? -6 : 6;
    const bend = line<readonly [number, number]>()([
      [x1, y1],
      [x2, y1],
      [x2, y2 + tip],
    ]);
    return [
      el("path", { d: bend ?? "", fill: "none", stroke: color(loss), "stroke-width": 1.5, "stroke-dasharray": "2 2" }),
      el("path", {
        d:
          line<readonly [number, number]>()([
            [x2 - 4, y2 + tip],
            [x2 + 4, y2 + tip],
            [x2, y2],
          ]) ?? "",
        fill: color(loss),
      }),
    ];
  });
}

/** The times in which two operations were inside at once, where that breaks exclusion. */
function sharedSpans(
  run: RunReport,
  operations: readonly DrawnOperation[],
  x: ScaleLinear<number, number>,
  bottom: number,
) {
  if (run.exclusion.value !== "violated") return [];
  const spans: [from: number, to: number][] = [];
  let open = 0;
  const steps = operations
    .flatMap(({ readAfterUs, writtenAfterUs }) => [[readAfterUs, 1] as const, [writtenAfterUs, -1] as const])
    .sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  for (const [at, step] of steps) {
    if (open === 1 && step === 1) spans.push([at, at]);
    if (open === 2 && step === -1) spans.at(-1)![1] = at;
    open += step;
  }
  return spans.map(([from, to]) =>
    el(
      "rect",
      {
        x: x(from / 1_000),
        y: TOP,
        width: Math.max(0.5, x(to / 1_000) - x(from / 1_000)),
        height: bottom - TOP,
        fill: color(lossOf(run)),
        opacity: "0.12",
      },
      el("title", {}, `two or more operations were inside for ${((to - from) / 1_000).toFixed(2)} ms`),
    ),
  );
}

function faultBands(
  { faultTimes = [] }: RunReport,
  window: DrawnWindow,
  x: ScaleLinear<number, number>,
  bottom: number,
) {
  const [least = 0, most = 0] = extent(x.domain());
  return faultTimes.flatMap(({ worker, server, startedAtUs, endedAtUs }) => {
    const from = Math.max(least, (startedAtUs - window.startedAtUs) / 1_000);
    const to = Math.min(most, (endedAtUs - window.startedAtUs) / 1_000);
    if (to < from) return [];
    const name = server ?? `fault of worker-${worker}`;
    return [
      el(
        "rect",
        {
          x: x(from),
          y: TOP - 10,
          width: Math.max(2, x(to) - x(from)),
          height: bottom - TOP + 10,
          fill: color("fault"),
          opacity: "0.16",
        },
        el("title", {}, name),
      ),
      write(x(from) + 2, TOP - 12, name, { fill: color("fault"), "font-size": 10 }),
    ];
  });
}

function captionOf({ operations, omitted, shows }: DrawnWindow): string {
  const stale = operations.filter((operation) => operation.stale).length;
  return [
    plural(operations.length, "operation"),
    ...(shows === "violation" ? [plural(stale, "lost update")] : ["the closest in time of this run"]),
    ...(omitted > 0 ? [`${plural(omitted, "operation")} in the middle left out`] : []),
    "time by the clock of the database",
  ].join(" · ");
}
