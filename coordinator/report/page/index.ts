/**
 * The report as one HTML file to look at: drawings that need no script, no request and no style sheet. It is well-formed XML
 * too. Nothing is decided here: what it says comes from report.json.
 */

import type { Comparison } from "../../judge/comparison.ts";
import type { Drawing, DrawnWindow } from "../../judge/drawing-data.ts";
import { eachRepeat, listDetailed, poolReport } from "../../judge/repeats.ts";
import type { Report, RunReport } from "../../judge/report-data.ts";
import { labelsOf } from "../../plan/run-names.ts";
import { anchorOf } from "../anchors.ts";
import { nothingRan, STRENGTH_NOTE } from "../describe-run.ts";
import { cards, conclusions, heading } from "./cards.ts";
import { drawing, legend } from "./chart.ts";
import { seriesColor } from "./colors.ts";
import { describeComparison } from "./comparison.ts";
import { curvesOf, drawCurves } from "./curves.ts";
import { drawDistribution } from "./distribution.ts";
import { evidence, type Labels } from "./evidence.ts";
import { drawWindow } from "./lanes.ts";
import { dataBlock, el, type Markup } from "./markup.ts";
import { drawShares, drawThroughput, fairnessText, peakOf } from "./over-time.ts";
import { repeats } from "./repeats.ts";
import { htmlPage, titled, wide } from "./shell.ts";

export interface PageOptions {
  /** Whether the file also holds report.json, in the element `report`. */
  readonly withData: boolean;
  /** With an earlier report; left out where there is none. */
  readonly comparison?: Comparison;
}

export function renderPage(made: Report, { withData, comparison }: PageOptions): string {
  const report = poolReport(made);
  const labels = labelsOf(report.runs);
  return htmlPage(
    `Holdfast: ${report.scenario}, ${report.verdict.value}`,
    [...heading(report), ...sections(report, labels, comparison)],
    withData && dataBlock("report", made),
  );
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

function sections(report: Report, labels: Labels, comparison?: Comparison): Markup[] {
  if (report.runs.length === 0)
    return [el("p", {}, nothingRan(report)), ...titled("Evidence", "evidence", evidence(report, labels))];
  const drawn = report.runs.flatMap((run) => {
    const found = drawingOf(run);
    return found === undefined ? [] : [{ run, drawn: found, name: labels.get(run) ?? run.strategy }];
  });
  return [
    ...titled("The runs", "runs", [cards(report, labels), el("p", { class: "quiet" }, STRENGTH_NOTE)]),
    ...titled(
      "Compared with an earlier report",
      "comparison",
      comparison === undefined ? [] : describeComparison(comparison),
    ),
    ...titled("Repeats", "repeats", repeats(report, labels)),
    ...titled("Operations up close", "windows", windows(report)),
    ...titled("What the report answers", "answers", conclusions(report)),
    ...titled("Throughput over time", "throughput", throughput(drawn)),
    ...titled("Time of an operation", "operation-time", distribution(report, labels, "operationSeconds")),
    ...titled("Wait for the lock", "lock-wait", distribution(report, labels, "lockWaitSeconds")),
    ...titled("Did each worker get its turn?", "fairness", fairness(report, labels)),
    ...curvesOf(report).flatMap((curves, index) =>
      titled(curves.title, `curves-${index + 1}`, [wide(drawCurves(curves))]),
    ),
    ...titled("Evidence", "evidence", evidence(report, labels)),
  ];
}

const drawingOf = (run: RunReport): Drawing | undefined => run.drawing ?? eachRepeat(run)[0]?.drawing;

/** With more windows than this, only those of violations are drawn. */
const WINDOWS_MAX = 16;

/** First what must not happen, then what controls do, then for contrast the runs that held. */
const rank = (run: RunReport, { shows }: DrawnWindow) =>
  shows === "densest" ? 2 : run.agreement === "expected" ? 1 : 0;

function windows(report: Report): Markup[] {
  const runs = listDetailed(report.runs);
  const labels = labelsOf(runs);
  const all = runs
    .flatMap((run) => (run.drawing?.windows ?? []).map((window, index) => ({ run, window, index })))
    .sort((a, b) => rank(a.run, a.window) - rank(b.run, b.window));
  const shown = all.length <= WINDOWS_MAX ? all : all.filter(({ window }) => window.shows === "violation");
  if (shown.length === 0) return [];
  return [
    el(
      "p",
      {},
      "Each bar is an operation, from its read to its write, with the version that it read and the one that it wrote. A strongly colored bar is a stale write: it erased the dashed writes that an arrow leads from. Time in which two operations were inside at once is shaded. Amber is for controls, red only for an unexpected violation.",
    ),
    ...shown.map(({ run, window, index }) => {
      const label = labels.get(run) ?? run.strategy;
      const title =
        window.shows === "violation" ? `${label}: what was violated` : `${label}: its densest moment, for contrast`;
      return el(
        "figure",
        { id: anchorOf(run, index + 1) },
        el("figcaption", {}, el("h3", {}, title), witnessTexts(window.texts)),
        wide(drawWindow(run, window, title)),
      );
    }),
    ...(shown.length < all.length
      ? [el("p", { class: "quiet" }, `${all.length - shown.length} more windows are in report.json.`)]
      : []),
  ];
}

const TEXTS_MAX = 4;
const witnessTexts = (texts: readonly string[]) => [
  ...texts.slice(0, TEXTS_MAX).map((text) => el("div", {}, text)),
  ...(texts.length > TEXTS_MAX
    ? [el("div", { class: "quiet" }, `and ${texts.length - TEXTS_MAX} more, in report.json`)]
    : []),
];

function throughput(drawn: readonly { run: RunReport; drawn: Drawing; name: string }[]): Markup[] {
  if (drawn.length === 0) return [];
  const peak = peakOf(drawn.map((one) => one.drawn));
  const workers = Math.max(...drawn.map(({ run }) => run.plan.workers));
  const names = Array.from({ length: Math.min(workers, 8) }, (_, worker) => ({
    name: `worker-${worker}`,
    paint: seriesColor(worker),
  }));
  const key = legend(names, 0, 12, 900);
  return [
    el(
      "p",
      {},
      "Committed operations a second by the rows of the ledger, one color for each worker, all runs on one scale. The thin line is rejected operations a second, as the workers counted them.",
    ),
    wide(drawing({ width: 1000, height: key.bottom + 8 }, "The colors of the workers", key.drawn)),
    el(
      "div",
      { class: "grid" },
      drawn.map((one) =>
        el(
          "figure",
          {},
          el("figcaption", {}, one.name),
          drawThroughput(one.run, one.drawn, peak, `${one.name}: throughput over time`),
        ),
      ),
    ),
  ];
}

function distribution(report: Report, labels: Labels, key: "operationSeconds" | "lockWaitSeconds"): Markup[] {
  const measured = report.runs.flatMap((run) => {
    const own = run[key];
    if (own === null) return [];
    const buckets = own.buckets ?? eachRepeat(run)[0]?.[key]?.buckets;
    return [{ name: labels.get(run) ?? run.strategy, times: buckets === undefined ? own : { ...own, buckets } }];
  });
  const title = key === "operationSeconds" ? "Time of an operation, by run" : "Wait for the lock, by run";
  const drawn = drawDistribution(measured, title);
  return drawn === undefined ? [] : [wide(drawn)];
}

function fairness({ runs }: Report, labels: Labels): Markup[] {
  return [
    el("p", {}, "Committed operations of each worker by its index; the dashed line is an even share."),
    el(
      "div",
      { class: "grid small" },
      runs.map((run) => {
        const title = `${labels.get(run) ?? run.strategy}: ${fairnessText(run)}`;
        return el("figure", {}, el("figcaption", {}, title), drawShares(run, title));
      }),
    ),
  ];
}
