/** What a scenario was made to show, in sentences made of its own runs alone. */

import type { Report, RunReport } from "../judge/report-data.ts";
import { labelOf } from "../plan/run-names.ts";
import type { ScenarioName } from "../plan/scenarios/index.ts";
import {
  count,
  decimal,
  duration,
  joined,
  list,
  milliseconds,
  oneLine,
  percent,
  perSecond,
  plural,
} from "../text/format.ts";
import { moneyOf, rejectedShare } from "./describe-run.ts";
import { keyedLabel, paceOf } from "./scenario-tables.ts";

type Name = (run: RunReport) => string;

/** Empty for scenarios that only compare. */
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
  ttl: (runs, name) => runs.map((run) => `${name(run)}: ${fate(run)}${because(run)}.`),
  mixed: (runs, name) => runs.flatMap((run) => mixture(run, name)),
  deadlock: (runs, name) => runs.map((run) => `${name(run)}: ${deadlocks(run)}${because(run)}.`),
};

// --- Speed ----------------------------------------------------------------------------------------------------------

function benchmark(runs: readonly RunReport[]): string[] {
  const guarding = runs.filter(
    ({ control, expects }) => !control && (expects.data !== "unclaimed" || expects.unbroken?.includes("data")),
  );
  return [...Map.groupBy(guarding, labelOf)].map(([label, some]) => `${label}: ${list(some.map(averageAt))}.`);
}

function averageAt(run: RunReport): string {
  const share = rejectedShare(run);
  const errors = share === undefined || share === 0 ? "no errors" : `${percent(share)} errors`;
  const average = run.operationSeconds?.average;
  return `${average === undefined ? "no data" : `${milliseconds(average)} ms on average`} with ${errors} ${paceOf(run)}`;
}

function contention(runs: readonly RunReport[]): string[] {
  return [...Map.groupBy(runs, ({ plan }) => plan.holdMs)].flatMap(([holdMs, some]) => {
    const lines = [...Map.groupBy(some, labelOf).values()].map((line) => [...line].sort(byWorkers));
    const guarding = lines.filter((points) => !isWild(points));
    const inside = `With ${duration(holdMs)} inside`;
    return [
      ...guarding.flatMap((points) => stretch(inside, points)),
      ...guarding.flatMap((points) => beside(inside, points, lines.find(isWild))),
      ...crossings(inside, guarding),
    ];
  });
}

const byWorkers = (a: RunReport, b: RunReport) => a.plan.workers - b.plan.workers;
const isWild = (points: readonly RunReport[]) => points.some(({ control }) => control);

/** From the fewest workers to the most. */
function stretch(inside: string, points: readonly RunReport[]): string[] {
  const [first, last] = [points[0]!, points.at(-1)!];
  if (first === last || !first.throughput || !last.throughput) return [];
  const waits = [first, last].map((run) => run.lockWaitSeconds?.p99);
  const wait =
    waits[0] === undefined || waits[1] === undefined
      ? ""
      : `; the wait for the lock went from ${milliseconds(waits[0])} to ${milliseconds(waits[1])} ms (p99)`;
  const turned = rejectedShare(last);
  const errors = turned ? `; ${percent(turned)} of its operations were rejected at the end` : "";
  return [
    `${inside}, ${labelOf(first)} went from ${perSecond(first.throughput)} committed/s with ${workers(first)} to ${perSecond(last.throughput)} with ${count(last.plan.workers)}${wait}${errors}.`,
  ];
}

/** What waiting costs: the same fleet without any guard. */
function beside(inside: string, points: readonly RunReport[], wild: readonly RunReport[] | undefined): string[] {
  const last = points.at(-1)!;
  const free = wild?.find(({ plan }) => plan.workers === last.plan.workers);
  if (!free?.throughput || !last.throughput || free.data.value !== "violated") return [];
  const money = moneyOf(free);
  const lost = money && money.granted > 0 ? `, which lost ${percent(money.lost / money.granted)} of its raises` : "";
  return [
    `${inside} and ${workers(last)}, ${labelOf(last)} committed ${percent(last.throughput / free.throughput)} as much as ${labelOf(free)}${lost}.`,
  ];
}

/** Where one that rejects and one that waits change places. */
function crossings(inside: string, lines: readonly (readonly RunReport[])[]): string[] {
  const rejects = (points: readonly RunReport[]) => (rejectedShare(points.at(-1)!) ?? 0) > 0;
  return lines.filter(rejects).flatMap((trying) =>
    lines
      .filter((points) => !rejects(points))
      .flatMap((waiting) => {
        const both = trying.flatMap((run) => {
          const other = waiting.find(({ plan }) => plan.workers === run.plan.workers);
          if (!run.throughput || !other?.throughput) return [];
          const ratio = run.throughput / other.throughput;
          return Math.abs(Math.log(ratio)) < Math.log(CLEARLY) ? [] : [{ run, ahead: ratio > 1 }];
        });
        const [first] = both;
        if (first === undefined) return [];
        const names = [labelOf(trying[0]!), labelOf(waiting[0]!)] as const;
        const cross = both.find(({ ahead }) => ahead !== first.ahead);
        const order = first.ahead ? names : ([names[1], names[0]] as const);
        if (cross === undefined)
          return [`${inside}, ${order[0]} committed more than ${order[1]} wherever they differed clearly.`];
        return [`${inside}, ${order[0]} committed more than ${order[1]} until ${workers(cross.run)} turned it round.`];
      }),
  );
}

/** Closer than this, two throughputs of short runs are alike. */
const CLEARLY = 1.2;

const workers = ({ plan }: RunReport) => plural(plan.workers, "worker");

function spread(runs: readonly RunReport[]): string[] {
  const byRows = (a: RunReport, b: RunReport) => a.plan.rows - b.plan.rows;
  const lines = [
    ...Map.groupBy(
      runs.filter(({ control }) => !control),
      keyedLabel,
    ),
  ].map(([label, points]) => [label, [...points].sort(byRows)] as const);
  return lines.flatMap(([label, points]) => {
    const [first, last] = [points[0]!, points.at(-1)!];
    if (first === last || !first.throughput || !last.throughput) return [];
    const shares = [rejectedShare(first), rejectedShare(last)];
    const errors =
      shares[0] === undefined || shares[1] === undefined || shares[0] === 0
        ? ""
        : `; rejected were ${percent(shares[0])} and ${percent(shares[1])}`;
    const times = `${decimal(last.throughput / first.throughput)} times as much`;
    const rows = `from ${plural(first.plan.rows, "row")} to ${count(last.plan.rows)}`;
    return `${label}: ${perSecond(first.throughput)} and ${perSecond(last.throughput)} committed/s ${rows}, ${times}${errors}.`;
  });
}

// --- What goes wrong ------------------------------------------------------------------------------------------------

function because({ agreement, expects }: RunReport): string {
  if (agreement !== "expected" || expects.because === undefined) return "";
  return `, ${expects.data === "unclaimed" ? "which nothing promises" : "as expected"}: ${expects.because}`;
}

/** What was made to happen, who noticed, and what came of it. */
function fate(run: RunReport): string {
  const happened = list(run.faults ?? []) || "nothing was made to happen";
  if (run.recoverySeconds !== undefined) return `${happened}; ${recovery(run)}; the data ${outcome(run)}`;
  const refused = rejections(run);
  return `${happened}; ${refused === "" ? "nobody was refused anything" : refused}; the data ${outcome(run)}`;
}

function recovery({ recoverySeconds, plan }: RunReport): string {
  if (recoverySeconds === null || recoverySeconds === undefined) return "nobody wrote after that";
  return `the next write came ${milliseconds(recoverySeconds)} ms later (TTL ${duration(plan.lockTtlMs)})`;
}

function outcome({ data, lostUpdates }: RunReport): string {
  if (data.value === "unknown") return `are unknown (${oneLine(joined(data.reasons))})`;
  return data.value === "holds" ? "held" : `did not hold: ${plural(lostUpdates ?? 0, "update")} lost`;
}

function rejections({ errors }: RunReport): string {
  return list(
    errors
      .filter(({ outcome }) => outcome === "rejected")
      .map(({ class: name, count: times }) => `${plural(times, "operation")} refused (${name})`),
  );
}

function mixture(run: RunReport, name: Name): string[] {
  if (run.parts === undefined) return [];
  const told = run.parts.map(({ strategy, committed, rejected, staleWrites, overwritten }) => {
    const refused = rejected > 0 ? ` and was refused ${plural(rejected, "time")}` : "";
    const stale = staleWrites === 0 ? "never wrote from a stale read" : `wrote ${count(staleWrites)} from a stale read`;
    const lost = overwritten === 0 ? "" : `, and lost ${count(overwritten)} under the stale writes`;
    return `${strategy} committed ${count(committed)}${refused}, ${stale}${lost}`;
  });
  return [`${name(run)}: ${told.join("; ")}${because(run)}.`];
}

function deadlocks(run: RunReport): string {
  const of = (outcome: string) =>
    run.errors
      .filter((error) => error.class === "deadlock" && error.outcome === outcome)
      .reduce((n, e) => n + e.count, 0);
  const [refused, retried] = [of("rejected"), of("retried")];
  const happened = [
    ...(refused > 0 ? [`${plural(refused, "deadlock")} handed to the caller`] : []),
    ...(retried > 0
      ? [
          `${plural(retried, "deadlock")} ${run.plan.pair?.onDeadlock === "retry" ? "rolled back and tried again" : "carried on after"}`,
        ]
      : []),
  ];
  const whole = run.checks.some(({ check, status }) => check === "set" && status === "holds")
    ? "no operation was lost or applied twice"
    : "the set of operations is not accounted for";
  const committed = `${count(run.operations?.committed)} committed`;
  return `${committed}, ${list(happened) || "no deadlock reported"}; ${whole}; the data ${outcome(run)}`;
}
