/** Answers in words. Each sentence is made from the numbers of this report; there is no other advice. */
import { STRATEGIES, type StrategyFacts } from "../../worker/contract.ts";
import type { Report, RunReport } from "../judge/report-data.ts";
import { namesAmong, quotedLabelsOf, sharedSettings } from "../plan/run-names.ts";
import {
  atMost,
  count,
  joined,
  list,
  milliseconds,
  NO_DATA,
  oneLine,
  percent,
  perSecond,
  plural,
  quoted,
} from "../text/format.ts";
import { choice } from "./choice.ts";
import { moneyOf, rejectedShare } from "./describe-run.ts";
import { answerScenario } from "./scenario-answers.ts";

export interface Answers {
  /** What the scenario was made to show; empty for scenarios that only compare. */
  readonly shown: readonly string[];
  readonly held: readonly string[];
  readonly cost: readonly string[];
  /** Which strategy to choose under which condition. */
  readonly choice: readonly string[];
  readonly cannotShow: readonly string[];
}

/** Answers which strategies held, what each cost, which one to choose when, and what the report does not show. */
export function answers(report: Report): Answers {
  const labels = quotedLabelsOf(report.runs);
  const name = (run: RunReport) => labels.get(run) ?? quoted(run.strategy);
  const names = (runs: readonly RunReport[]) => list(namesAmong(runs, report.runs));
  const shown = answerScenario(report, name);
  return {
    shown,
    held: [...controls(report, name, names), ...held(report, name, names)],
    // A scenario with answers of its own gives the cost there, if it is about cost.
    cost: shown.length > 0 ? [] : groupByLoad(report.runs).flatMap((runs) => cost(runs, name)),
    choice: shown.length > 0 ? [] : groupByLoad(report.runs).flatMap((runs) => choice(keptBy(runs), name)),
    cannotShow: [...limits(report, name), ...describeUses(report)],
  };
}

type Name = (run: RunReport) => string;
type Names = (runs: readonly RunReport[]) => string;

function controls({ runs }: Report, name: Name, names: Names): string[] {
  const controls = runs.filter((run) => run.control);
  if (runs.length === 0) return [];
  if (controls.length === 0) {
    const broken = runs.filter(({ expects, data }) => expects.data === "violated" && data.value === "violated");
    if (broken.length > 0)
      return [`${names(broken)} lost updates, as expected, so this report can detect a violation.`];
    return ["No control ran, so this report has not shown that it can detect a violation."];
  }
  const seen = controls.filter((run) => run.data.value === "violated");
  const unseen = controls.filter((run) => run.data.value !== "violated");
  return [
    ...(seen.length > 0
      ? [`${names(seen)} lost updates, as a positive control must, so this report can detect a violation.`]
      : []),
    ...unseen.map(
      (run) => `${name(run)} is a control, but no violation was observed, so the runs that held prove nothing.`,
    ),
  ];
}

function held({ runs }: Report, name: Name, names: Names): string[] {
  const controls = runs.filter((run) => run.control);
  const candidates = runs.filter((run) => !run.control && run.expects.data !== "unclaimed");
  const kept = candidates.filter(holds);
  return [
    ...(kept.length > 0 ? [`The data held with ${names(kept)}.`] : []),
    ...candidates.flatMap((run) => {
      if (run.data.value === "violated" && run.expects.data === "violated")
        return controls.length > 0 ? `The data did not hold with ${name(run)}, as expected.` : [];
      if (run.data.value === "violated")
        return `The data did not hold with ${name(run)}: ${oneLine(joined(run.data.reasons))}.`;
      if (run.data.value === "unknown")
        return `Nothing was shown about ${name(run)}: ${oneLine(joined(run.data.reasons))}.`;
      return [];
    }),
    ...kept.flatMap((run) => {
      if (run.exclusion.value !== "violated") return [];
      const overlaps = plural(run.exclusion.count, "time");
      const promised =
        run.expects.exclusion === "unclaimed" ? "which it does not promise to prevent" : "which it promises to prevent";
      return `${name(run)} kept the data although operations overlapped ${overlaps}, ${promised}.`;
    }),
  ].map(singleStop);
}

/** The settings that define the load of a run. */
const LOAD = ["workers", "concurrency", "rows", "holdMs", "pauseMs"] as const;

/** Groups the runs by their load: costs are compared only among runs with the same load. */
function groupByLoad(runs: readonly RunReport[]): RunReport[][] {
  return [...Map.groupBy(runs, (run) => JSON.stringify(LOAD.map((key) => run.plan[key]))).values()];
}

function cost(runs: readonly RunReport[], name: Name): string[] {
  const kept = keptBy(runs);
  const fastest = kept.find((run) => run.throughput);
  if (!fastest?.throughput) {
    return runs.some((run) => !run.control)
      ? ["No strategy that held has throughput numbers, so there is no cost to compare."]
      : [];
  }
  const full = fastest.throughput;
  if (runs.length === 1)
    return [`${name(fastest)}, the only run with this load: ${perSecond(full)} committed/s, ${p99(fastest)}.`];
  const control = runs.filter((run) => run.control && run.data.value === "violated").sort(byThroughput)[0];
  return [
    `${name(fastest)} was the fastest that held: ${perSecond(full)} committed/s, ${p99(fastest)}${rejectedSentence(fastest)}.`,
    ...kept.filter((run) => run !== fastest).map((run) => `${name(run)}: ${compareWithFastest(run, fastest, full)}.`),
    ...(control?.throughput ? [describeControl(control, control.throughput, name(fastest), full, name)] : []),
    ...kept
      .filter((run) => run.fairness !== null && run.fairness < UNEVEN)
      .map((run) => `${name(run)} served its workers unevenly: Jain's index is ${run.fairness?.toFixed(2)}.`),
  ];
}

/** Jain's index below which some workers clearly got less: with 4 workers, about one that got half of its share. */
const UNEVEN = 0.95;

function compareWithFastest(run: RunReport, fastest: RunReport, full: number): string {
  if (run.throughput === null) return `throughput ${NO_DATA}`;
  const throughput = `${percent(run.throughput / full)} of that throughput (${perSecond(run.throughput)}/s)`;
  const mine = run.operationSeconds?.p99;
  const its = fastest.operationSeconds?.p99;
  // A rejection is fast but does no work, so times with rejections are not compared with times without.
  const comparable = mine !== undefined && its && (rejected(run) === 0) === (rejected(fastest) === 0);
  return `${throughput}, ${p99(run)}${comparable ? `, ${(mine / its).toFixed(2)} times the p99 of the fastest` : ""}${rejectedSentence(run)}`;
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
  return `p99 ${value === undefined ? NO_DATA : `${milliseconds(value)} ms`}${whole}`;
}

function rejectedSentence(run: RunReport): string {
  const share = rejectedShare(run);
  return share === undefined || share === 0
    ? ""
    : `; ${percent(share)} of its operations were rejected, and the caller must retry them`;
}

const rejected = (run: RunReport) => run.operations?.rejected ?? 0;

function limits(report: Report, name: Name): string[] {
  const { runs } = report;
  const weakest = runs
    .flatMap((run) => (!run.control && run.data.value === "holds" ? [{ run, ...run.data }] : []))
    .sort((a, b) => b.rateBelow - a.rateBelow)[0];
  const nodes = new Set(runs.flatMap((run) => run.reconciliation.map((row) => row.node)));
  const compared = runs.filter((run) => !run.control && holds(run)).length > 1;
  const load = compared ? sharedSettings(runs, LOAD) : [];
  return [
    ...(weakest
      ? [
          `A violation rarer than ${atMost(weakest.rateBelow)} of operations (${name(weakest.run)}, 3 in ${count(weakest.operations)}) may have gone undetected.`,
        ]
      : []),
    ...(runs.length > 0 && runs.every((run) => !run.faults?.length)
      ? ["No fault was injected: a stalled holder, a lost server and a cut connection were not tested."]
      : []),
    ...(nodes.size === 1 ? ["All workers ran on one node, so no network between nodes was involved."] : []),
    ...(load.length > 0 ? [`Other loads may order the strategies differently: each run had ${list(load)}.`] : []),
    ...report.skipped.map(({ strategy, reason }) => `${quoted(strategy)} was not run: ${oneLine(reason)}.`),
  ];
}

/** What the strategies that need no lock can be used for, if they were run. */
function describeUses({ runs }: Report): string[] {
  return [...new Set(runs.map(({ strategy }) => strategy))].flatMap((strategy) => {
    const { limits }: StrategyFacts = STRATEGIES[strategy];
    return limits === undefined ? [] : [`${quoted(strategy)}: ${limits}.`];
  });
}

/** The runs that held, the fastest first. */
const keptBy = (runs: readonly RunReport[]) => runs.filter((run) => !run.control && holds(run)).sort(byThroughput);
const holds = (run: RunReport) => run.data.value === "holds";
const byThroughput = (a: RunReport, b: RunReport) => (b.throughput ?? 0) - (a.throughput ?? 0);

/** Ends the sentence in one full stop: reasons come with or without one. */
const singleStop = (sentence: string) => sentence.replace(/\.+$/, ".");
