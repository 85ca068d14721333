/** What each strategy that held cost, in sentences. The fastest is named only as far as the numbers tell runs apart. */
import { areApart } from "../judge/interval.ts";
import { eachRepeat, medianOf } from "../judge/repeats.ts";
import type { RunReport } from "../judge/report-data.ts";
import { list, milliseconds, NO_DATA, percent, perSecond, plural } from "../text/format.ts";
import { moneyOf, rejectedShare } from "./describe-run.ts";
import { intervalText, rivalsOf } from "./intervals.ts";

type Name = (run: RunReport) => string;

/** `others`: each run compared with the fastest, which the numbers in the tables show as well. */
export interface Cost {
  readonly fastest: readonly string[];
  readonly others: readonly string[];
  readonly remarks: readonly string[];
}

/** `runs`: all with the same load. */
export function cost(runs: readonly RunReport[], name: Name): Cost {
  const kept = keptBy(runs);
  const fastest = kept.find((run) => run.throughput);
  const only = (...sentences: string[]): Cost => ({ fastest: sentences, others: [], remarks: [] });
  if (!fastest?.throughput) {
    return runs.some((run) => !run.control)
      ? only("No strategy that held has throughput numbers, so there is no cost to compare.")
      : only();
  }
  const full = fastest.throughput;
  if (runs.length === 1)
    return only(`${name(fastest)}, the only run with this load: ${speed(fastest)}, ${p99(fastest)}.`);
  const control = runs.filter((run) => run.control && run.data.value === "violated").sort(byThroughput)[0];
  const rivals = rivalsOf(kept);
  return {
    fastest: [
      rivals.length === 0
        ? `${name(fastest)} was the fastest that held${inOneRun(fastest)}: ${speed(fastest)}, ${p99(fastest)}${rejectedSentence(fastest)}.`
        : describeTie([fastest, ...rivals], name),
    ],
    others: kept
      .filter((run) => run !== fastest)
      .map((run) => `${name(run)}: ${compareWithFastest(run, fastest, full, rivals)}.`),
    remarks: [
      ...(control?.throughput ? [describeControl(control, control.throughput, name(fastest), full, name)] : []),
      ...kept
        .filter((run) => run.fairness !== null && run.fairness < UNEVEN)
        .map((run) => `${name(run)} served its workers unevenly: Jain's index is ${run.fairness?.toFixed(2)}.`),
    ],
  };
}

/** The runs that held, the fastest first. */
export const keptBy = (runs: readonly RunReport[]) =>
  runs.filter((run) => !run.control && run.data.value === "holds").sort(byThroughput);

// --- Internal helpers -----------------------------------------------------------------------------------------------

const byThroughput = (a: RunReport, b: RunReport) => (b.throughput ?? 0) - (a.throughput ?? 0);

/** Jain's index below which some workers clearly got less: with 4 workers, about one that got half of its share. */
const UNEVEN = 0.95;

/** `306 committed/s`, with its interval where there is one. */
function speed(run: RunReport): string {
  const range = intervalText(medianOf(run, "throughput"), perSecond);
  return `${perSecond(run.throughput)} committed/s${range === "" ? "" : ` (${range})`}`;
}

const inOneRun = (run: RunReport) =>
  medianOf(run, "throughput")?.low === undefined ? ` in ${plural(eachRepeat(run).length, "run")} of each` : "";

function describeTie(tied: readonly RunReport[], name: Name): string {
  const speeds = tied.map((run) => `${name(run)} with ${speed(run)}`);
  return `The fastest that held cannot be told apart, because their intervals overlap: ${list(speeds)}.`;
}

function compareWithFastest(run: RunReport, fastest: RunReport, full: number, rivals: readonly RunReport[]): string {
  if (run.throughput === null) return `throughput ${NO_DATA}`;
  const whose = rivals.length === 0 ? "that throughput" : "the throughput of the first";
  const throughput = rivals.includes(run)
    ? speed(run)
    : `${percent(run.throughput / full)} of ${whose} (${perSecond(run.throughput)}/s)`;
  const mine = run.operationSeconds?.p99;
  const its = fastest.operationSeconds?.p99;
  // A rejection is fast but does no work, so times with rejections are not compared with times without.
  const alike = (rejected(run) === 0) === (rejected(fastest) === 0);
  const apart = areApart(medianOf(run, "operationSeconds.p99"), medianOf(fastest, "operationSeconds.p99"));
  const ratio = mine !== undefined && its && alike && apart !== false ? (mine / its).toFixed(2) : undefined;
  return `${throughput}, ${p99(run)}${ratio === undefined ? "" : `, ${ratio} times the p99 of the fastest`}${rejectedSentence(run)}`;
}

function describeControl(control: RunReport, throughput: number, fastest: string, full: number, name: Name): string {
  const money = moneyOf(control);
  const lost =
    money && money.granted > 0 && money.lost > 0
      ? ` and lost ${percent(money.lost / money.granted)} of the raises`
      : "";
  return `${name(control)} committed ${(throughput / full).toFixed(2)} times as many operations as ${fastest}${lost}.`;
}

function p99(run: RunReport): string {
  const value = run.operationSeconds?.p99;
  const whole = rejected(run) > 0 ? " (rejected operations included)" : "";
  const range = intervalText(medianOf(run, "operationSeconds.p99"), milliseconds);
  return `p99 ${value === undefined ? NO_DATA : `${milliseconds(value)} ms`}${range === "" ? "" : ` (${range})`}${whole}`;
}

function rejectedSentence(run: RunReport): string {
  const share = rejectedShare(run);
  return share === undefined || share === 0
    ? ""
    : `; ${percent(share)} of its operations were rejected, and the caller must retry them`;
}

const rejected = (run: RunReport) => run.operations?.rejected ?? 0;
