/** Answers in words. Each sentence is made from the numbers of this report; there is no other advice. */
import { STRATEGIES, type StrategyFacts } from "../../worker/contract.ts";
import { poolReport } from "../judge/repeats.ts";
import type { Report, RunReport } from "../judge/report-data.ts";
import { namesAmong, quotedLabelsOf, sharedSettings } from "../plan/run-names.ts";
import { atMost, count, joined, list, oneLine, plural, quoted } from "../text/format.ts";
import { choice } from "./choice.ts";
import { cost, keptBy } from "./cost.ts";
import { describeCertainty } from "./intervals.ts";
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
export function answers(made: Report): Answers {
  const { shown, controls, held, costs, choices, limits, moreLimits, uses } = sentences(poolReport(made));
  return {
    shown,
    held: [...controls, ...held.kept, ...held.others, ...held.overlaps],
    cost: costs.flatMap(({ fastest, others, remarks }) => [...fastest, ...others, ...remarks]),
    choice: choices.flatMap(({ fastest, onFailure, untested }) => [
      ...fastest.map(({ condition, found }) => `Fastest ${condition}: ${found}.`),
      ...onFailure,
      ...untested,
    ]),
    cannotShow: [...limits, ...moreLimits, ...uses],
  };
}

/** The same without the sentences that only repeat what the verdict, the table or another sentence says. */
export function briefAnswers(made: Report): {
  readonly findings: readonly string[];
  readonly limits: readonly string[];
} {
  const { shown, controls, held, costs, choices, limits, uses } = sentences(poolReport(made));
  return {
    findings: [
      ...shown,
      ...controls,
      ...held.kept,
      ...held.overlaps,
      ...costs.flatMap(({ fastest, remarks }) => [...fastest, ...remarks]),
      ...choices.flatMap(({ fastest, onFailure }) => [
        ...[...Map.groupBy(fastest, ({ found }) => found)].map(
          ([found, alike]) => `Fastest ${list(alike.map(({ condition }) => condition))}: ${found}.`,
        ),
        ...onFailure,
      ]),
    ],
    limits: [...limits, ...uses],
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

function sentences(report: Report) {
  const labels = quotedLabelsOf(report.runs);
  const name = (run: RunReport) => labels.get(run) ?? quoted(run.strategy);
  const names = (runs: readonly RunReport[]) => list(namesAmong(runs, report.runs));
  const shown = answerScenario(report, name);
  // A scenario with answers of its own gives the cost there, if it is about cost.
  const compared = shown.length > 0 ? [] : groupByLoad(report.runs);
  return {
    shown,
    controls: controls(report, name, names),
    held: held(report, name, names),
    costs: compared.map((runs) => cost(runs, name)),
    choices: compared.map((runs) => choice(keptBy(runs), name)),
    ...limits(report, name),
    uses: describeUses(report),
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

function held({ runs }: Report, name: Name, names: Names) {
  const controls = runs.filter((run) => run.control);
  const candidates = runs.filter((run) => !run.control && run.expects.data !== "unclaimed");
  const kept = candidates.filter(holds);
  return {
    kept: kept.length > 0 ? [`The data held with ${names(kept)}.`] : [],
    others: candidates
      .flatMap((run) => {
        if (run.data.value === "violated" && run.expects.data === "violated")
          return controls.length > 0 ? `The data did not hold with ${name(run)}, as expected.` : [];
        if (run.data.value === "violated")
          return `The data did not hold with ${name(run)}: ${oneLine(joined(run.data.reasons))}.`;
        if (run.data.value === "unknown")
          return `Nothing was shown about ${name(run)}: ${oneLine(joined(run.data.reasons))}.`;
        return [];
      })
      .map(singleStop),
    overlaps: kept.flatMap((run) => {
      if (run.exclusion.value !== "violated") return [];
      const overlaps = plural(run.exclusion.count, "time");
      const promised =
        run.expects.exclusion === "unclaimed" ? "which it does not promise to prevent" : "which it promises to prevent";
      return `${name(run)} kept the data although operations overlapped ${overlaps}, ${promised}.`;
    }),
  };
}

/** The settings that define the load of a run. */
const LOAD = ["workers", "concurrency", "rows", "holdMs", "pauseMs"] as const;

/** Groups the runs by their load: costs are compared only among runs with the same load. */
function groupByLoad(runs: readonly RunReport[]): RunReport[][] {
  return [...Map.groupBy(runs, (run) => JSON.stringify(LOAD.map((key) => run.plan[key]))).values()];
}

/** `moreLimits`: what the settings in the heading of a report say as well. */
function limits(report: Report, name: Name): { limits: string[]; moreLimits: string[] } {
  const { runs } = report;
  const weakest = runs
    .flatMap((run) => (!run.control && run.data.value === "holds" ? [{ run, ...run.data }] : []))
    .sort((a, b) => b.rateBelow - a.rateBelow)[0];
  const nodes = new Set(runs.flatMap((run) => run.reconciliation.map((row) => row.node)));
  const servers = Math.max(1, ...runs.map(({ plan: { mysqlServers = 1 } }) => mysqlServers));
  const compared = runs.filter((run) => !run.control && holds(run)).length > 1;
  const load = compared ? sharedSettings(runs, LOAD) : [];
  return {
    limits: [
      ...(weakest
        ? [
            `A violation rarer than ${atMost(weakest.rateBelow)} of operations (${name(weakest.run)}, 3 in ${count(weakest.operations)}) may have gone undetected.`,
          ]
        : []),
      ...(runs.length > 0 && runs.every((run) => !run.faults?.length)
        ? ["No fault was injected: a stalled holder, a lost server and a cut connection were not tested."]
        : []),
      ...(servers > 1
        ? [
            `The workers wrote to ${servers} servers of a MySQL cluster, each with its own clock and row locks, so exclusion is not claimed.`,
          ]
        : []),
      ...(nodes.size === 1 ? ["All workers ran on one node, so no network between nodes was involved."] : []),
      ...(compared && runs.every(({ faults }) => faults === undefined) ? describeCertainty(runs) : []),
      ...report.skipped.map(({ strategy, reason }) => `${quoted(strategy)} was not run: ${oneLine(reason)}.`),
    ],
    moreLimits:
      load.length > 0 ? [`Other loads may order the strategies differently: each run had ${list(load)}.`] : [],
  };
}

/** What the strategies that need no lock can be used for, if they were run. */
function describeUses({ runs }: Report): string[] {
  return [...new Set(runs.map(({ strategy }) => strategy))].flatMap((strategy) => {
    const { limits }: StrategyFacts = STRATEGIES[strategy];
    return limits === undefined ? [] : [`${quoted(strategy)}: ${limits}.`];
  });
}

const holds = (run: RunReport) => run.data.value === "holds";

/** Ends the sentence in one full stop: reasons come with or without one. */
const singleStop = (sentence: string) => sentence.replace(/\.+$/, ".");
