/** What the report answers in words. Every sentence is made from this report's own numbers; there is no other advice. */
import { STRATEGIES, type StrategyFacts } from "../../worker/contract.ts";
import type { Report, RunReport } from "../judge/report-data.ts";
import { inProse, labelsOf, namesAmong, sharedSettings } from "../plan/run-names.ts";
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
} from "../text/format.ts";
import { choice } from "./choice.ts";
import { moneyOf, rejectedShare } from "./describe-run.ts";
import { answerScenario } from "./scenario-answers.ts";

export interface Answers {
  /** What the scenario was made for. */
  readonly shown: readonly string[];
  readonly held: readonly string[];
  readonly cost: readonly string[];
  /** Which one to take under which condition. */
  readonly choice: readonly string[];
  readonly cannotShow: readonly string[];
}

/** Which strategies held, what each cost against the fastest that held, which to take when, and what is not shown. */
export function answers(report: Report): Answers {
  const labels = labelsOf(report.runs);
  const name = (run: RunReport) => inProse(labels.get(run) ?? run.strategy);
  const names = (runs: readonly RunReport[]) => list(namesAmong(runs, report.runs, labels));
  const shown = answerScenario(report, name);
  return {
    shown,
    held: [...controls(report, name, names), ...held(report, name, names)],
    // A scenario that tells what it shows tells the cost where that is what it is about.
    cost: shown.length > 0 ? [] : comparable(report.runs).flatMap((runs) => cost(runs, name)),
    choice: shown.length > 0 ? [] : comparable(report.runs).flatMap((runs) => choice(keptBy(runs), name)),
    cannotShow: [...limits(report, name), ...expressible(report)],
  };
}

type Name = (run: RunReport) => string;
type Names = (runs: readonly RunReport[]) => string;

function controls({ runs }: Report, name: Name, names: Names): string[] {
  const controls = runs.filter((run) => run.control);
  if (runs.length === 0) return [];
  if (controls.length === 0) {
    const broken = runs.filter(({ expects, data }) => expects.data === "violated" && data.value === "violated");
    if (broken.length > 0) return [`${names(broken)} lost updates, as expected: a violation can be seen here.`];
    return ["No control was run, so this report has not shown that it would see a violation."];
  }
  const seen = controls.filter((run) => run.data.value === "violated");
  const unseen = controls.filter((run) => run.data.value !== "violated");
  return [
    ...(seen.length > 0 ? [`${names(seen)} lost updates, as a control must: a violation can be seen here.`] : []),
    ...unseen.map(
      (run) => `${name(run)} is a control and no violation of it was seen, so what held beside it is not proved.`,
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
      return `${name(run)} kept the data although operations were inside at once ${overlaps}, ${promised}.`;
    }),
  ].map(singleStop);
}

/** The settings that make the load of a run. */
const LOAD = ["workers", "concurrency", "rows", "holdMs", "pauseMs"] as const;

/** Costs are compared only among runs that were given the same work. */
function comparable(runs: readonly RunReport[]): RunReport[][] {
  return [...Map.groupBy(runs, (run) => JSON.stringify(LOAD.map((key) => run.plan[key]))).values()];
}

function cost(runs: readonly RunReport[], name: Name): string[] {
  const kept = keptBy(runs);
  const fastest = kept.find((run) => run.throughput);
  if (!fastest?.throughput) {
    return runs.some((run) => !run.control)
      ? ["Nothing that held has a throughput, so there is no cost to compare."]
      : [];
  }
  const full = fastest.throughput;
  if (runs.length === 1)
    return [`${name(fastest)}, with a load of its own: ${perSecond(full)} committed/s, ${p99(fastest)}.`];
  const wild = runs.filter((run) => run.control && run.data.value === "violated").sort(byThroughput)[0];
  return [
    `${name(fastest)} was the fastest that held: ${perSecond(full)} committed/s, ${p99(fastest)}${turnedAway(fastest)}.`,
    ...kept.filter((run) => run !== fastest).map((run) => `${name(run)}: ${against(run, fastest, full)}.`),
    ...(wild?.throughput ? [unguarded(wild, wild.throughput, name(fastest), full, name)] : []),
    ...kept
      .filter((run) => run.fairness !== null && run.fairness < UNEVEN)
      .map((run) => `${name(run)} served its workers unevenly: Jain's index is ${run.fairness?.toFixed(2)}.`),
  ];
}

/** Jain's index below which some workers got clearly less than others: with 4 workers, about one at half of its share. */
const UNEVEN = 0.95;

function against(run: RunReport, fastest: RunReport, full: number): string {
  if (run.throughput === null) return `throughput ${NO_DATA}`;
  const throughput = `${percent(run.throughput / full)} of that throughput (${perSecond(run.throughput)}/s)`;
  const mine = run.operationSeconds?.p99;
  const its = fastest.operationSeconds?.p99;
  // A quick rejection is no quick operation: times that include some are not compared with times that do not.
  const comparable = mine !== undefined && its && (rejected(run) === 0) === (rejected(fastest) === 0);
  return `${throughput}, ${p99(run)}${comparable ? `, ${(mine / its).toFixed(2)} times as long` : ""}${turnedAway(run)}`;
}

function unguarded(wild: RunReport, throughput: number, fastest: string, full: number, name: Name): string {
  const money = moneyOf(wild);
  const lost =
    money && money.granted > 0 && money.lost > 0
      ? ` and lost ${percent(money.lost / money.granted)} of the raises`
      : "";
  return `${name(wild)} committed ${(throughput / full).toFixed(2)} times as much as ${fastest}${lost}.`;
}

function p99(run: RunReport): string {
  const value = run.operationSeconds?.p99;
  const whole = rejected(run) > 0 ? ", rejected ones included," : "";
  return `p99 of an operation${whole} ${value === undefined ? NO_DATA : `${milliseconds(value)} ms`}`;
}

function turnedAway(run: RunReport): string {
  const share = rejectedShare(run);
  return share === undefined || share === 0
    ? ""
    : `; ${percent(share)} of its operations were rejected and are the caller's to try again`;
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
          `A violation rarer than ${atMost(weakest.rateBelow)} of operations (${name(weakest.run)}, 3 in ${count(weakest.operations)}) may have gone unseen.`,
        ]
      : []),
    ...(runs.length > 0 && runs.every((run) => !run.faults?.length)
      ? [
          "Nothing was made to fail on purpose: what a paused holder, a lost server or a cut connection does was not tried.",
        ]
      : []),
    ...(nodes.size === 1 ? ["All workers ran on one node, so no network between nodes had a part in it."] : []),
    ...(load.length > 0 ? [`Other loads may order the strategies differently: each run had ${list(load)}.`] : []),
    ...report.skipped.map(({ strategy, reason }) => `${strategy}: it was not run (${oneLine(reason)}).`),
  ];
}

/** What those that need no lock can be used for: said only where one was run. */
function expressible({ runs }: Report): string[] {
  return [...new Set(runs.map(({ strategy }) => strategy))].flatMap((strategy) => {
    const { limits }: StrategyFacts = STRATEGIES[strategy];
    return limits === undefined ? [] : [`${strategy}: ${limits}.`];
  });
}

/** Those that held, the fastest first. */
const keptBy = (runs: readonly RunReport[]) => runs.filter((run) => !run.control && holds(run)).sort(byThroughput);
const holds = (run: RunReport) => run.data.value === "holds";
const byThroughput = (a: RunReport, b: RunReport) => (b.throughput ?? 0) - (a.throughput ?? 0);

/** Reasons come as sentences with or without their full stop. */
const singleStop = (sentence: string) => sentence.replace(/\.+$/, ".");
