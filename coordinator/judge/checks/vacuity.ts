import { type Outcome, writerOf } from "../../../worker/contract.ts";
import { atLeast, count, list, outOf, plural, quoted } from "../../text/format.ts";
import type { Evidence } from "../evidence.ts";
import { quietTimesUs } from "../faults.ts";
import type { CheckResult } from "../report-data.ts";
import { findShortIntervals } from "./exclusion.ts";
import { committedByWorker, timed } from "./liveness.ts";
import { orderVersions } from "./version-order.ts";
import { readHistories } from "./writer-histories.ts";

/** Below this many writes a clean run bounds the rate of violations at 10 % (3/n), which says next to nothing. */
export const OPERATIONS_MIN = 30;
/** Neighbours in the ledger by different writers: at least so many, and at least this share. */
export const TURNS_MIN = 10;
export const TURN_SHARE_MIN = 0.01;
/**
 * Writes that would have been stale by chance, had nothing kept the writers apart; none at all of 5 is seen once in 150
 * runs.
 */
export const STALE_BY_CHANCE_MIN = 5;
/** The part of the planned duration in which all workers must have run. */
export const OVERLAP_MIN = 0.9;

/**
 * Whether the run could have shown a violation at all. A lock that refuses everybody and a fleet that takes turns by
 * chance look perfect; such a run is unknown, not held.
 */
export function vacuity(
  evidence: Evidence,
  order = orderVersions(evidence.ledger),
  histories = readHistories(evidence),
): CheckResult {
  const { ledger, plan } = evidence;
  const { turns, pairs } = countTurns(evidence, order.previous);
  const byChance = staleByChance(evidence);
  const overlap = overlapOf(evidence);
  const idle = findIdle(plan, committedByWorker(evidence, histories));
  const reasons: string[] = [];
  const failed = describeFailures(evidence);
  if (plan.workers * plan.concurrency === 1) reasons.push("a single writer has no contention");
  if (ledger.length < OPERATIONS_MIN)
    reasons.push(
      `only ${plural(ledger.length, "operation")} committed, but at least ${OPERATIONS_MIN} are needed; run for longer`,
    );
  else if (plan.workers * plan.concurrency > 1 && (turns < TURNS_MIN || turns < TURN_SHARE_MIN * pairs))
    reasons.push(`the writers rarely contended: ${outOf(turns, pairs, "write")} followed a write of another writer`);
  else if (byChance < STALE_BY_CHANCE_MIN)
    reasons.push(
      findShortIntervals(evidence)[0] ??
        `operations rarely overlapped: without protection only about ${byChance.toFixed(1)} of ${plural(pairs, "write")} would have been stale, but at least ${STALE_BY_CHANCE_MIN} are needed; use fewer rows, shorter pauses or a longer run`,
    );
  if (idle.length > 0) reasons.push(`${list(idle)} committed nothing`);
  // Where most operations failed, all of the above follows from that, and a longer run would change nothing.
  if (reasons.length > 0 && failed !== undefined) reasons.splice(0, reasons.length, failed);
  if (overlap === null) reasons.push("no data on when all workers were active");
  else if (overlap < OVERLAP_MIN)
    reasons.push(
      `all workers were active at the same time for only ${atLeast(overlap)} of the planned duration, but at least ${atLeast(OVERLAP_MIN)} is needed`,
    );
  return {
    check: "vacuity",
    status: reasons.length > 0 ? "unknown" : "holds",
    detail:
      reasons.length > 0
        ? reasons.join("; ")
        : `${plural(ledger.length, "operation")}, ${atLeast(turns / pairs)} after a write of another writer, all workers active for ${atLeast(overlap ?? 0)} of the planned duration`,
    count: 0,
    witnesses: [],
  };
}

/**
 * The part of the planned duration, 0 to 1, in which all workers ran, by the database's clock; null unless all of them
 * said when they ran. One that died on purpose is not waited for.
 */
export function overlapOf(evidence: Evidence): number | null {
  const ranForMs = togetherMs(evidence);
  return ranForMs === null ? null : Math.min(1, ranForMs / evidence.plan.durationMs);
}

/** How long all workers ran, milliseconds; null as for {@link overlapOf}. */
export function togetherMs({ plan, workers }: Evidence): number | null {
  const finals = timed(workers).filter(({ died }) => !died);
  const died = workers.filter(({ final }) => final?.died).length;
  if (finals.length === 0 || finals.length < plan.workers - died || plan.durationMs <= 0) return null;
  const startedAtUs = finals.reduce((last, final) => Math.max(last, final.startedAtUs), Number.NEGATIVE_INFINITY);
  const endedAtUs = finals.reduce((first, final) => Math.min(first, final.endedAtUs), Number.POSITIVE_INFINITY);
  return Math.max(0, (endedAtUs - startedAtUs) / 1_000);
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/**
 * In a mix, a strategy that retries may starve next to one that waits, so one busy worker of each strategy is enough.
 */
function findIdle({ mix }: Evidence["plan"], counts: readonly number[]): string[] {
  if (mix === undefined) return counts.flatMap((count, index) => (count === 0 ? [`worker-${index}`] : []));
  const busy = new Set(counts.flatMap((count, index) => (count === 0 ? [] : [mix[index % mix.length]])));
  return [...new Set(mix)]
    .filter((strategy) => !busy.has(strategy))
    .map((strategy) => `each worker of ${quoted(strategy)}`);
}

/** How many operations failed, and with which error most often; undefined unless most of them did. */
function describeFailures({ workers }: Evidence): string | undefined {
  const finals = workers.flatMap(({ final }) => final ?? []);
  const sum = (outcome: Outcome) => finals.reduce((total, final) => total + final[outcome], 0);
  const [rejected, unknown] = [sum("rejected"), sum("unknown")];
  const failed = rejected + unknown;
  const total = failed + sum("committed");
  if (failed === 0 || failed * 2 <= total) return undefined;
  const errors = finals.flatMap(({ errors }) => errors.filter(({ outcome }) => outcome !== "retried"));
  const classes = [...Map.groupBy(errors, (error) => error.class).values()].map((alike) => ({
    ...alike[0]!,
    count: alike.reduce((total, { count }) => total + count, 0),
  }));
  const worst = classes.sort((a, b) => b.count - a.count)[0];
  const how = unknown === 0 ? "rejected" : rejected === 0 ? "of unknown outcome" : "rejected or of unknown outcome";
  const many = failed === total ? `all ${plural(total, "operation")}` : outOf(failed, total, "operation");
  const most =
    worst === undefined || worst.count >= failed ? "" : `, ${count(worst.count)} of them with ${worst.class}`;
  return `${many} were ${how}${most}${worst === undefined ? "" : `: ${worst.example}`}`;
}

function countTurns({ ledger }: Evidence, previous: Int32Array) {
  let turns = 0;
  let pairs = 0;
  for (let row = 0; row < ledger.length; row++) {
    const before = previous[row]!;
    if (before < 0) continue;
    pairs++;
    if (writerOf(ledger.op[row]!) !== writerOf(ledger.op[before]!)) turns++;
  }
  return { turns, pairs };
}

/**
 * How many writes would have been stale had the writers come at the same rate and with nothing between them: for each
 * write, as many as others wrote to that employee on average in the time from its read to its end.
 */
function staleByChance(evidence: Evidence): number {
  const { ledger, plan } = evidence;
  const employees = new Map<number, Map<number, { writes: number; insideUs: number }>>();
  for (let row = 0; row < ledger.length; row++) {
    const employee = ledger.employee[row]!;
    const writers = employees.get(employee) ?? new Map<number, { writes: number; insideUs: number }>();
    const writer = writerOf(ledger.op[row]!);
    const own = writers.get(writer) ?? { writes: 0, insideUs: 0 };
    own.writes++;
    own.insideUs += Math.max(0, ledger.writtenAtUs[row]! - ledger.readAtUs[row]!);
    writers.set(writer, own);
    employees.set(employee, writers);
  }
  const duringUs = Math.max(plan.durationMs, writingMs(evidence)) * 1_000;
  let stale = 0;
  for (const writers of employees.values()) {
    const writes = [...writers.values()].reduce((total, own) => total + own.writes, 0);
    for (const own of writers.values()) stale += (own.insideUs * (writes - own.writes)) / duringUs;
  }
  return stale;
}

/**
 * How long a run that a fault has delayed took, milliseconds, without the times in which nobody could write. 0 if not all
 * workers said when they ran.
 */
function writingMs(evidence: Evidence): number {
  const ranForMs = togetherMs(evidence) ?? 0;
  if (ranForMs <= evidence.plan.durationMs) return ranForMs;
  return ranForMs - quietTimesUs(evidence).reduce((sum, us) => sum + us, 0) / 1_000;
}
