import { STRATEGIES, type StrategyFacts } from "../../../worker/contract.ts";
import { strategyOfWorker } from "../../plan/run-plan.ts";
import { isPromised, theoryOf, UNANSWERED } from "../../plan/theory.ts";
import { duration, list, outOf, plural } from "../../text/format.ts";
import { type Evidence, isForeign, type Ledger } from "../evidence.ts";
import type { CheckResult, Witness } from "../report-data.ts";
import { chain, staleWrites } from "./chain.ts";
import { employeePrefix, orderVersions, type VersionOrder } from "./version-order.ts";
import { createNamer, WITNESSES } from "./witnesses.ts";

/**
 * Nobody read what a lock guards between another's read and write, by the database's clock: one employee, or all of
 * them where one key guards them all. The interval from read to write lies inside the true critical section, so an
 * overlap is real; one that is shorter than the way to the database is not seen. Intervals that only touch do not
 * overlap: they must share some time.
 *
 * An operation that wrote nothing has no interval. Where a lock promises to exclude and the version that its holder read
 * was no longer there for the write, somebody else wrote in between, so the rejection is the evidence. A token that is
 * too old does not say as much: the server that counts the tokens may have lost its data.
 *
 * One sweep in the order of their ends, from the last to the first, finds every interval that reaches beyond the start
 * of a later one. The count is the number of operations less the number of groups that do not touch each other.
 */
export function exclusion(evidence: Evidence, order = orderVersions(evidence.ledger)): CheckResult {
  const { ledger } = evidence;
  if (ledger.length === 0) return { check: "exclusion", status: "unknown", detail: "no data", count: 0, witnesses: [] };
  const back = clockWentBack(ledger, order.previous);
  if (back >= 0) {
    const detail = `the database's clock went back at operation ${ledger.op[back]}, so its times cannot be compared`;
    return { check: "exclusion", status: "unknown", detail, count: 0, witnesses: [] };
  }
  const { count, first } = guardsAll(evidence)
    ? sweep(ledger, () => 0, sortByEnd(ledger))
    : sweep(ledger, (row) => ledger.employee[row]!);
  const refused = countRefused(evidence, order);
  const violations = count + refused.certain;
  const doubts = violations > 0 ? [] : [...refused.doubts, ...findShortIntervals(evidence)];
  return {
    check: "exclusion",
    status: violations > 0 ? "violated" : doubts.length > 0 ? "unknown" : "holds",
    detail:
      [
        ...(count > 0 ? [`${outOf(count, ledger.length, "operation")} overlapped another one`] : []),
        ...(refused.certain > 0
          ? [
              `the guard rejected ${plural(refused.certain, "holder")} of the lock, because others had written meanwhile`,
            ]
          : []),
        ...doubts,
      ].join("; ") || `none of ${plural(ledger.length, "operation")} overlapped another one`,
    count: violations,
    witnesses: first.map(([row, other]) => describeWitness(evidence, row, other)),
  };
}

/**
 * The work of an operation is between its read and its write. Where many intervals are far too short for it, the times
 * are wrong, and say nothing about overlaps. A few are no proof.
 */
export function findShortIntervals(evidence: Evidence): string[] {
  const { ledger, plan } = evidence;
  const { strategy, mix = [strategy], holdMs } = plan;
  if (mix.some((one) => (STRATEGIES[one] as StrategyFacts).worksInside === false)) return [];
  const shortUs = (holdMs - TIMER_MS) * 1_000 * SHORT_SHARE;
  let short = 0;
  for (let row = 0; row < ledger.length; row++)
    if (ledger.writtenAtUs[row]! - ledger.readAtUs[row]! < shortUs && !isForeign(evidence, ledger.op[row]!)) short++;
  if (short <= ledger.length * SHORT_MAX) return [];
  return [
    `${outOf(short, ledger.length, "operation")} took less than half of the hold time of ${duration(holdMs)} from read to write, which is impossible: the times are wrong`,
  ];
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** The first row that was written before its own read or before the row before it; -1 if there is none. */
function clockWentBack({ length, readAtUs, writtenAtUs }: Ledger, previous: Int32Array): number {
  for (let row = 0; row < length; row++) {
    const before = previous[row]!;
    const floor = before < 0 ? readAtUs[row]! : Math.max(readAtUs[row]!, writtenAtUs[before]!);
    // Written so that a time that is no number counts as one that went back.
    if (!(writtenAtUs[row]! >= floor)) return row;
  }
  return -1;
}

const guardsAll = ({ plan: { keyScope, strategy, mix = [strategy] } }: Evidence) =>
  keyScope === "global" && mix.every((one) => STRATEGIES[one].lock.keyed);

/** The rows in the order of their ends; undefined if they are in that order already, as those of one employee are. */
function sortByEnd({ length, writtenAtUs }: Ledger): Int32Array | undefined {
  let row = 1;
  while (row < length && writtenAtUs[row - 1]! <= writtenAtUs[row]!) row++;
  if (row >= length) return undefined;
  return Int32Array.from({ length }, (_, index) => index).sort((a, b) => writtenAtUs[a]! - writtenAtUs[b]! || a - b);
}

/** Operations that held a lock which promises to exclude, and whose write the guard rejected. */
function countRefused(evidence: Evidence, order: VersionOrder): { certain: number; doubts: readonly string[] } {
  const { plan, workers, ledger } = evidence;
  if (plan.guard === "none" || !isPromised(theoryOf(plan), "exclusion")) return { certain: 0, doubts: [] };
  const errors = workers.flatMap(({ index, final }) => {
    const facts: StrategyFacts = STRATEGIES[strategyOfWorker(plan, index)];
    return facts.write === "guarded" ? (final?.errors ?? []) : [];
  });
  const sum = (test: (error: (typeof errors)[number]) => boolean) =>
    errors.filter(test).reduce((total, { count }) => total + count, 0);
  const conflicts = sum((error) => error.class === "conflict");
  const fenced = sum((error) => error.class === "fenced");
  // A statement whose writer gave up may be carried out when the lock has gone to the next one.
  const unanswered = sum((error) => UNANSWERED.includes(error.class));
  // So may the last statements of a process that has ended, whose lock goes to the next one when it ends.
  const ended = workers.filter(({ final }) => final === undefined || final.died).length;
  const foreign = conflicts > 0 && chain(evidence, order).count > staleWrites(ledger);
  const excuses = [
    ...(unanswered > 0 ? [`the ${plural(unanswered, "statement")} that the database did not answer`] : []),
    ...(ended > 0 ? [`the last statements of ${plural(ended, "worker")} that did not finish`] : []),
    ...(foreign ? ["the writes outside the ledger"] : []),
  ];
  const doubts = [
    ...(fenced > 0
      ? [`the guard rejected ${plural(fenced, "holder")} of the lock, because their tokens were too old`]
      : []),
    ...(conflicts > 0 && excuses.length > 0
      ? [`the guard rejected ${plural(conflicts, "holder")} of the lock, which may be due to ${list(excuses)}`]
      : []),
  ];
  return { certain: excuses.length > 0 ? 0 : conflicts, doubts };
}

/** Timers of Node count whole milliseconds of a clock that a busy process reads late, so one may fire this much early. */
const TIMER_MS = 1;
/** An interval is too short if it is below this share of the hold time. */
const SHORT_SHARE = 0.5;
/** The share of operations that may be short. */
const SHORT_MAX = 0.01;

/** Pairs of rows: one that ended after the other had started, and that other. The first pairs are the earliest. */
function sweep(
  { length, readAtUs, writtenAtUs }: Ledger,
  guardedBy: (row: number) => number,
  order?: Int32Array | undefined,
) {
  const earliest = new Map<number, number>();
  const first: [row: number, other: number][] = [];
  let count = 0;
  for (let index = length - 1; index >= 0; index--) {
    const row = order === undefined ? index : order[index]!;
    const later = earliest.get(guardedBy(row));
    const took = readAtUs[row]! < writtenAtUs[row]!;
    if (took && later !== undefined && readAtUs[later]! < writtenAtUs[row]!) {
      count++;
      first.unshift([row, later]);
      if (first.length > WITNESSES) first.pop();
    }
    if (later === undefined || readAtUs[row]! < readAtUs[later]!) earliest.set(guardedBy(row), row);
  }
  return { count, first };
}

function describeWitness(evidence: Evidence, row: number, other: number): Witness {
  const { ledger } = evidence;
  const name = createNamer(evidence);
  const both = [ledger.op[row]!, ledger.op[other]!] as const;
  const begun = Math.max(ledger.readAtUs[row]!, ledger.readAtUs[other]!);
  const overlapMs = (ledger.writtenAtUs[row]! - begun) / 1_000;
  const text = `${name(both[0])} (version ${ledger.newVersion[row]}) and ${name(both[1])} (version ${ledger.newVersion[other]}) were both in the critical section for ${overlapMs.toFixed(3)} ms`;
  return { check: "exclusion", text: employeePrefix(evidence, ledger.employee[row]!) + text, operations: both };
}
