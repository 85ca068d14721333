/** What a scenario was made to show, in sentences made from its own runs. */

import type { Report, RunReport } from "../judge/report-data.ts";
import { labelOf, nameOfStrategy, quotedLabelOf } from "../plan/run-names.ts";
import type { ScenarioName } from "../plan/scenarios/index.ts";
import {
  count,
  decimal,
  duration,
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
import { moneyOf, rejectedShare } from "./describe-run.ts";
import { areSpeedsApart } from "./intervals.ts";
import { keyedLabel, paceOf } from "./scenario-tables.ts";

type Name = (run: RunReport) => string;

/** The answers of the report's scenario; empty for scenarios that only compare. */
export const answerScenario = ({ scenario, runs }: Report, name: Name): string[] => ANSWERS[scenario](runs, name);

type ScenarioAnswers = (runs: readonly RunReport[], name: Name) => string[];

/** For a scenario that the general answers suffice for. */
const none: ScenarioAnswers = () => [];

const ANSWERS: Record<ScenarioName, ScenarioAnswers> = {
  compare: none,
  all: none,
  acl: none,
  benchmark,
  contention,
  spread,
  ttl: (runs, name) => runs.map((run) => `${name(run)}: ${describeFaultOutcome(run)}${because(run)}.`),
  faults: (runs, name) =>
    runs
      .filter(
        ({ plan, agreement, data }) => plan.fault !== undefined && (agreement !== "expected" || data.value !== "holds"),
      )
      .map((run) => `${name(run)}: ${describeFaultOutcome(run)}${because(run)}.`),
  soak: (runs, name) => [
    ...[
      ...Map.groupBy(
        runs.filter(({ control }) => !control),
        labelOf,
      ).values(),
    ].map(sumUpRounds),
    ...runs.filter(({ agreement }) => agreement === "mismatch").map((run) => describeShortest(run, name)),
  ],
  mixed: (runs, name) => runs.flatMap((run) => describeMix(run, name)),
  deadlock: (runs, name) => runs.map((run) => `${name(run)}: ${describeDeadlocks(run)}${because(run)}.`),
};

// --- Speed ----------------------------------------------------------------------------------------------------------

function benchmark(runs: readonly RunReport[]): string[] {
  const guarding = runs.filter(
    ({ control, expects }) => !control && (expects.data !== "unclaimed" || expects.unbroken?.includes("data")),
  );
  return [...Map.groupBy(guarding, quotedLabelOf)].map(
    ([label, some]) => `${label}: ${some.map(averageAt).join("; ")}.`,
  );
}

function averageAt(run: RunReport): string {
  const share = rejectedShare(run);
  const errors = share === undefined || share === 0 ? "no errors" : `${percent(share)} errors`;
  const average = run.operationSeconds?.average;
  return `${paceOf(run)}, ${average === undefined ? NO_DATA : `${milliseconds(average)} ms on average`} and ${errors}`;
}

function contention(runs: readonly RunReport[]): string[] {
  return [...Map.groupBy(runs, ({ plan }) => plan.holdMs)].flatMap(([holdMs, some]) => {
    const series = [...Map.groupBy(some, labelOf).values()].map((line) => [...line].sort(byWorkers));
    const guarding = series.filter((points) => !isControlSeries(points));
    const held = `With a hold time of ${duration(holdMs)}`;
    return [
      ...guarding.flatMap((points) => compareEnds(held, points)),
      ...guarding.flatMap((points) => compareWithControl(held, points, series.find(isControlSeries))),
      ...findCrossings(held, guarding),
    ];
  });
}

const byWorkers = (a: RunReport, b: RunReport) => a.plan.workers - b.plan.workers;
const isControlSeries = (points: readonly RunReport[]) => points.some(({ control }) => control);

/** Compares the run with the fewest workers to the run with the most. */
function compareEnds(held: string, points: readonly RunReport[]): string[] {
  const [first, last] = [points[0]!, points.at(-1)!];
  if (first === last || !first.throughput || !last.throughput) return [];
  const waits = [first, last].map((run) => run.lockWaitSeconds?.p99);
  const wait =
    waits[0] === undefined || waits[1] === undefined
      ? ""
      : `; the wait for the lock went from ${milliseconds(waits[0])} to ${milliseconds(waits[1])} ms (p99)`;
  const rejected = rejectedShare(last);
  const errors = rejected ? `; ${percent(rejected)} of its operations were rejected with ${workers(last)}` : "";
  const from = `${perSecond(first.throughput)} committed/s with ${workers(first)}`;
  const to = `${perSecond(last.throughput)} with ${count(last.plan.workers)}`;
  return [`${held}, ${quotedLabelOf(first)} went from ${from} to ${to}${wait}${errors}.`];
}

/** The cost of waiting: compares the largest fleet with the same fleet under the control. */
function compareWithControl(
  held: string,
  points: readonly RunReport[],
  controls: readonly RunReport[] | undefined,
): string[] {
  const last = points.at(-1)!;
  const control = controls?.find(({ plan }) => plan.workers === last.plan.workers);
  if (!control?.throughput || !last.throughput || control.data.value !== "violated") return [];
  const money = moneyOf(control);
  const lost = money && money.granted > 0 ? `, which lost ${percent(money.lost / money.granted)} of its raises` : "";
  const share = percent(last.throughput / control.throughput);
  return [
    `${held} and ${workers(last)}, ${quotedLabelOf(last)} committed ${share} as much as ${quotedLabelOf(control)}${lost}.`,
  ];
}

/**
 * Compares each strategy that rejects with each that waits, and finds the number of workers that reverses their order.
 */
function findCrossings(held: string, series: readonly (readonly RunReport[])[]): string[] {
  const rejects = (points: readonly RunReport[]) => (rejectedShare(points.at(-1)!) ?? 0) > 0;
  return series
    .filter(rejects)
    .flatMap((rejecting) =>
      series.filter((points) => !rejects(points)).flatMap((waiting) => compareOrder(held, rejecting, waiting)),
    );
}

function compareOrder(held: string, rejecting: readonly RunReport[], waiting: readonly RunReport[]): string[] {
  const clear = rejecting.flatMap((run) => {
    const other = waiting.find(({ plan }) => plan.workers === run.plan.workers);
    if (!run.throughput || !other?.throughput) return [];
    const ratio = run.throughput / other.throughput;
    const isClear = areSpeedsApart(run, other) ?? Math.abs(Math.log(ratio)) >= Math.log(CLEAR_RATIO_MIN);
    return isClear ? [{ run, isAhead: ratio > 1 }] : [];
  });
  const [first] = clear;
  if (first === undefined) return [];
  const names = [rejecting[0]!, waiting[0]!].map(quotedLabelOf);
  const [ahead, behind] = first.isAhead ? names : names.toReversed();
  const crossing = clear.find(({ isAhead }) => isAhead !== first.isAhead);
  if (crossing === undefined)
    return [`${held}, ${ahead} committed more than ${behind} wherever they differed clearly.`];
  return [`${held}, ${ahead} committed more than ${behind} with few workers, and less with ${workers(crossing.run)}.`];
}

/** Two throughputs of short runs without repeats that differ by a smaller factor count as equal. */
const CLEAR_RATIO_MIN = 1.2;

const workers = ({ plan }: RunReport) => plural(plan.workers, "worker");

function spread(runs: readonly RunReport[]): string[] {
  const guarding = runs.filter(({ control }) => !control);
  const series = [...Map.groupBy(guarding, keyedLabel).values()].map((points) =>
    points.toSorted((a, b) => a.plan.rows - b.plan.rows),
  );
  return series.flatMap((points) => {
    const [first, last] = [points[0]!, points.at(-1)!];
    if (first === last || !first.throughput || !last.throughput) return [];
    const shares = [rejectedShare(first), rejectedShare(last)];
    const errors =
      shares[0] === undefined || shares[1] === undefined || shares[0] === 0
        ? ""
        : `; its share of rejected operations went from ${percent(shares[0])} to ${percent(shares[1])}`;
    const key = first.plan.keyScope === "global" ? " with one key for all" : "";
    const from = `${perSecond(first.throughput)} committed/s on ${plural(first.plan.rows, "row")}`;
    const to = `${perSecond(last.throughput)} on ${count(last.plan.rows)}`;
    const times = `${decimal(last.throughput / first.throughput)} times as much`;
    return `${quotedLabelOf(first)}${key}: ${from} and ${to}, ${times}${errors}.`;
  });
}

// --- Faults and mixes -----------------------------------------------------------------------------------------------

function because({ agreement, expects }: RunReport): string {
  if (agreement !== "expected" || expects.because === undefined) return "";
  return ` (${expects.data === "unclaimed" ? "theory claims nothing here" : "as expected"}: ${expects.because})`;
}

/** The faults that happened, the rejections or the recovery that followed, and what became of the data. */
function describeFaultOutcome(run: RunReport): string {
  const happened = list(run.faults ?? []) || "no fault happened";
  const followed =
    run.recoverySeconds === undefined
      ? describeRejections(run) || "no operation was rejected"
      : describeRecovery(run.recoverySeconds, run);
  return `${happened}; ${followed}; ${describeData(run)}`;
}

function sumUpRounds(runs: readonly RunReport[]): string {
  const faults = runs.reduce((sum, { faultTimes = [] }) => sum + faultTimes.length, 0);
  const violated = runs.filter(({ data, exclusion }) => data.value === "violated" || exclusion.value === "violated");
  const happened = `${plural(runs.length, "round")} with ${plural(faults, "fault")}`;
  return `${quotedLabelOf(runs[0]!)}: ${happened}, ${violated.length === 0 ? "none violated" : `${count(violated.length)} violated`}.`;
}

/** What is left of a violated round, and the options that repeat it. */
function describeShortest(run: RunReport, name: Name): string {
  const { guard, plan, shortened } = run;
  const strategy = nameOfStrategy(run);
  if (shortened === undefined) return `${name(run)} could not be repeated with fewer faults.`;
  const { faults, repetitions } = shortened;
  const after = `after ${plural(repetitions, "repetition")}`;
  if (faults.length === 0)
    return `${name(run)} is violated without any fault as well, ${after}: see --scenario compare --strategies ${strategy}.`;
  const options = [
    `--scenario soak --strategies ${strategy} --faults ${faults.join(",")} --seed ${plan.seed}`,
    `--duration ${plan.durationMs}ms --workers ${plan.workers} --hold ${plan.holdMs}ms --lock-ttl ${plan.lockTtlMs}ms`,
    ...(guard === "none" ? [] : [`--guard ${guard}`]),
  ];
  return `${name(run)}: the fewest faults that violated it, ${after}: ${list(faults)}. Repeat it with ${options.join(" ")}.`;
}

function describeRecovery(seconds: number | null, { plan }: RunReport): string {
  if (seconds === null) return "nothing was written after that";
  return `the next write came ${milliseconds(seconds)} ms later (TTL ${duration(plan.lockTtlMs)})`;
}

function describeData({ data, lostUpdates }: RunReport): string {
  if (data.value === "unknown") return `it is unknown whether the data held (${oneLine(joined(data.reasons))})`;
  return data.value === "holds" ? "the data held" : `the data did not hold: ${plural(lostUpdates ?? 0, "update")} lost`;
}

function describeRejections({ errors }: RunReport): string {
  return list(
    errors
      .filter(({ outcome }) => outcome === "rejected")
      .map(({ class: name, count: times }) => `${plural(times, "operation")} rejected (${name})`),
  );
}

function describeMix(run: RunReport, name: Name): string[] {
  if (run.parts === undefined) return [];
  const parts = run.parts.map(({ strategy, committed, rejected, staleWrites, overwritten }) => {
    const refused = rejected > 0 ? ` (${count(rejected)} rejected)` : "";
    const stale = staleWrites === 0 ? "made no stale write" : `made ${plural(staleWrites, "stale write")}`;
    const lost = overwritten === 0 ? "" : `, and lost ${plural(overwritten, "update")} to stale writes`;
    return `${quoted(strategy)} committed ${count(committed)}${refused}, ${stale}${lost}`;
  });
  return [`${name(run)}: ${parts.join("; ")}${because(run)}.`];
}

function describeDeadlocks(run: RunReport): string {
  const deadlocks = (outcome: string) =>
    run.errors
      .filter((error) => error.class === "deadlock" && error.outcome === outcome)
      .reduce((sum, error) => sum + error.count, 0);
  const [rejected, retried] = [deadlocks("rejected"), deadlocks("retried")];
  const then =
    run.plan.pair?.onDeadlock === "retry"
      ? "rolled back and retried"
      : "ignored: the operation went on after the database had rolled it back";
  const happened = [
    ...(rejected > 0 ? [`${plural(rejected, "deadlock")} reported to the caller`] : []),
    ...(retried > 0 ? [`${plural(retried, "deadlock")} ${then}`] : []),
  ];
  const whole = run.checks.some(({ check, status }) => check === "set" && status === "holds")
    ? "no operation was lost or applied twice"
    : "not every operation is accounted for";
  const committed = `${count(run.operations?.committed)} committed`;
  return `${committed}, ${list(happened) || "no deadlock reported"}; ${whole}; ${describeData(run)}`;
}
