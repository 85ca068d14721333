/** The page of `holdfast history`: the list of earlier reports, and the cost of each run from report to report. */
import { max } from "d3-array";
import { scaleLinear, scalePoint } from "d3-scale";
import { line } from "d3-shape";
import { platformOf } from "../../judge/comparable.ts";
import type { Interval } from "../../judge/interval.ts";
import { medianOf, poolRepeats, settingsOf } from "../../judge/repeats.ts";
import type { Measure, Report, RunReport } from "../../judge/report-data.ts";
import { labelsOf } from "../../plan/run-names.ts";
import { milliseconds, oneLine, perSecond, plural } from "../../text/format.ts";
import { describeAgreement } from "../describe-run.ts";
import { COLUMNS, describeUnreadable, type EarlierReports, startOf } from "../earlier-reports.ts";
import { intervalText } from "../intervals.ts";
import { axisNumber, columns, drawing, legend, rows, rule, write } from "./chart.ts";
import { color, seriesColor, TONES } from "./colors.ts";
import { listed, tableOf } from "./evidence.ts";
import { el, type Markup } from "./markup.ts";
import { htmlPage, titled, wide } from "./shell.ts";

/** One HTML file that loads nothing. It links to the pages of the reports. */
export function renderTrend(found: EarlierReports): string {
  const { reports, unreadable } = found;
  return htmlPage("Holdfast: earlier reports", [
    el("h1", {}, `Holdfast: ${plural(reports.length, "earlier report")}`),
    ...titled("The reports", "reports", [listOf(found)]),
    ...groupsOf(reports.map(({ report }) => report)).flatMap((group, index) =>
      titled(`${group.scenario} on ${group.platform}`, `trend-${index + 1}`, drawGroup(group)),
    ),
    ...titled(
      "Not shown",
      "unreadable",
      listed(
        describeUnreadable(unreadable),
        unreadable.map(({ file, reason }) => `${file}: ${reason}`),
      ),
    ),
  ]);
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const listOf = ({ reports }: EarlierReports) =>
  tableOf(COLUMNS, reports.toReversed(), (column, earlier) => {
    const text = column.cell(earlier);
    return column.head === "report" && earlier.page !== undefined ? el("a", { href: earlier.page }, text) : text;
  });

/** The reports of one scenario on one platform: their runs with the same settings can be compared. */
interface Group {
  readonly scenario: string;
  readonly platform: string;
  readonly reports: readonly Report[];
  readonly series: readonly Series[];
}

/** The runs with the same settings, by the position of their report. */
interface Series {
  readonly name: string;
  readonly points: readonly { readonly at: number; readonly run: RunReport }[];
}

function groupsOf(reports: readonly Report[]): Group[] {
  return [...Map.groupBy(reports, (report) => JSON.stringify([report.scenario, platformOf(report)])).values()].map(
    (some) => ({
      scenario: some[0]!.scenario,
      platform: platformOf(some[0]!),
      reports: some,
      series: seriesOf(some),
    }),
  );
}

/** Controls are left out: how fast a strategy loses updates is no cost. */
function seriesOf(reports: readonly Report[]): Series[] {
  const all = reports.flatMap((report, at) =>
    poolRepeats(report.runs)
      .filter(({ control }) => !control)
      .map((run) => ({ at, run })),
  );
  const alike = [...Map.groupBy(all, ({ run }) => settingsOf(run)).values()];
  const names = labelsOf(alike.map((points) => points.at(-1)!.run));
  return alike.map((points) => ({ name: names.get(points.at(-1)!.run) ?? "", points }));
}

const MEASURES: readonly { readonly of: Measure; readonly title: string; number(run: RunReport): number | null }[] = [
  { of: "throughput", title: "committed/s", number: ({ throughput }) => throughput },
  {
    of: "operationSeconds.p99",
    title: "p99 of an operation, ms",
    number: ({ operationSeconds }) => operationSeconds?.p99 ?? null,
  },
];

/** The colors are as many as a reader can tell apart. */
const SERIES_MAX = 8;

function drawGroup(group: Group): Markup[] {
  if (group.reports.length < 2) return [el("p", { class: "quiet" }, "One report only, so there is no trend.")];
  if (group.series.length === 0) return [el("p", { class: "quiet" }, "No runs but controls, so there is no cost.")];
  const parts = Array.from({ length: Math.ceil(group.series.length / SERIES_MAX) }, (_, part) =>
    group.series.slice(part * SERIES_MAX, (part + 1) * SERIES_MAX),
  );
  return [
    el("p", {}, "One line for each run with the same settings. A ring is a run that was not as expected."),
    ...parts.flatMap((series) => MEASURES.map((measure) => wide(drawSeries(group, series, measure)))),
  ];
}

const [WIDTH, LEFT, RIGHT, TOP, BOTTOM] = [1000, 60, 960, 26, 230];
const DATES_MAX = 8;

function drawSeries({ scenario, reports }: Group, series: readonly Series[], measure: (typeof MEASURES)[number]) {
  const scale = measure.of === "throughput" ? 1 : 1_000;
  const intervalAt = (run: RunReport): Interval | undefined => medianOf(run, measure.of);
  const highest = max(series, ({ points }) =>
    max(points, ({ run }) => intervalAt(run)?.high ?? measure.number(run) ?? 0),
  );
  const x = scalePoint<number>(
    reports.map((_, at) => at),
    [LEFT + 30, RIGHT - 30],
  );
  const y = scaleLinear([0, (highest || 1) * scale], [BOTTOM, TOP]).nice(4);
  const step = Math.ceil(reports.length / DATES_MAX);
  const key = legend(
    series.map(({ name }, index) => ({ name, paint: seriesColor(index) })),
    LEFT,
    BOTTOM + 44,
    RIGHT - LEFT,
  );
  return drawing(
    { width: WIDTH, height: key.bottom + 10 },
    `${scenario}: ${measure.title} by report`,
    write(4, 12, measure.title),
    rows(
      y.ticks(4).map((value) => ({ at: y(value), text: axisNumber(value) })),
      LEFT,
      RIGHT,
    ),
    columns(
      reports.flatMap((report, at) => (at % step === 0 ? [{ at: x(at) ?? LEFT, text: startOf(report) }] : [])),
      BOTTOM,
      BOTTOM + 4,
    ),
    series.map(({ name, points }, index) => {
      const shown = points.flatMap(({ at, run }) => {
        const value = measure.number(run);
        return value === null ? [] : [{ run, report: reports[at]!, x: x(at) ?? LEFT, y: y(value * scale) }];
      });
      return [
        el("path", {
          d:
            line<(typeof shown)[number]>(
              (point) => point.x,
              (point) => point.y,
            ).digits(1)(shown) ?? "",
          fill: "none",
          stroke: seriesColor(index),
          "stroke-width": 2,
        }),
        shown.map((point) => [
          range(intervalAt(point.run), point.x, (value) => y(value * scale), seriesColor(index)),
          mark(point, seriesColor(index), `${name}, ${describe(point.report, point.run)}`),
        ]),
      ];
    }),
    key.drawn,
  );
}

function describe(report: Report, run: RunReport): string {
  const range = intervalText(medianOf(run, "throughput"), perSecond);
  const speed = `${perSecond(run.throughput)} committed/s${range === "" ? "" : ` (${range})`}`;
  const p99 = `p99 ${milliseconds(run.operationSeconds?.p99)} ms`;
  return `report ${oneLine(report.report)} of ${startOf(report)}: ${speed}, ${p99}, ${describeAgreement(run).text}`;
}

/** The interval of a repeated run. */
const range = (interval: Interval | undefined, at: number, y: (value: number) => number, stroke: string) =>
  interval?.low !== undefined &&
  interval.high !== undefined &&
  rule(at, y(interval.low), at, y(interval.high), { stroke, "stroke-width": 2, opacity: "0.5" });

function mark({ run, x, y }: { run: RunReport; x: number; y: number }, paint: string, title: string): Markup {
  const { tone } = describeAgreement(run);
  const expected = run.agreement === "expected";
  return el(
    "circle",
    {
      cx: x,
      cy: y,
      r: expected ? 3.5 : 6,
      fill: expected ? paint : color("ground"),
      stroke: expected ? paint : color(TONES[tone]),
      "stroke-width": 2,
    },
    el("title", {}, title),
  );
}
