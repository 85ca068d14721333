import { list } from "../../text/format.ts";
import type { Evidence } from "../evidence.ts";
import type { CheckResult } from "../report-data.ts";
import { readHistories, type WriterHistories } from "./writer-histories.ts";

/**
 * How long nothing was committed, and how evenly the workers got their turn. Never violated: how slow is too slow is
 * the reader's to say. Unknown where a worker committed nothing although others did: it starved, or it never worked.
 */
export function liveness(evidence: Evidence, histories = readHistories(evidence)): CheckResult {
  const counts = committedByWorker(evidence, histories);
  const starved = counts.flatMap((committed, index) => (committed === 0 ? [`worker-${index}`] : []));
  const stallMs = longestStallMs(evidence);
  const stall = stallMs === null ? "no data on stalls" : `longest stall ${stallMs.toFixed(1)} ms`;
  const fair = jain(counts);
  const detail =
    fair === null
      ? "nothing was committed"
      : `${stall}, Jain's index ${fair.toFixed(3)} over ${counts.length} workers` +
        (starved.length > 0 ? `; ${list(starved)} committed nothing` : "");
  const unknown = fair === null || stallMs === null || starved.length > 0;
  return { check: "liveness", status: unknown ? "unknown" : "holds", detail, count: 0, witnesses: [] };
}

/** Final numbers of those workers that could ask the database for the time at their start and at their end. */
export const timed = (workers: Evidence["workers"]) =>
  workers.flatMap(({ final }) => (final === undefined || final.endedAtUs === 0 ? [] : [final]));

/**
 * When the fleet ran: from its first start to its last end, by the database's clock. Undefined where no worker reported
 * it.
 */
export function fleetInterval(workers: Evidence["workers"]): { startedAtUs: number; endedAtUs: number } | undefined {
  const finals = timed(workers);
  if (finals.length === 0) return undefined;
  return {
    startedAtUs: Math.min(...finals.map(({ startedAtUs }) => startedAtUs)),
    endedAtUs: Math.max(...finals.map(({ endedAtUs }) => endedAtUs)),
  };
}

/** Operations in the ledger by the index of the worker that made them, whichever of its processes it was. */
export function committedByWorker({ plan }: Evidence, { writers }: WriterHistories): number[] {
  const counts = Array.from({ length: plan.workers }, () => 0);
  for (const { worker, operations } of writers.values())
    if (worker >= 0 && worker < counts.length) counts[worker]! += operations;
  return counts;
}

/** Jain's fairness index, 1/n (one has it all) to 1 (all alike); null where there is nothing to share. */
export function jain(shares: readonly number[]): number | null {
  const sum = shares.reduce((total, share) => total + share, 0);
  const squares = shares.reduce((total, share) => total + share * share, 0);
  return squares === 0 ? null : (sum * sum) / (shares.length * squares);
}

/**
 * The longest time between two writes, or between a write and the start or end of the fleet; null where nothing was
 * written or no worker said when it ran.
 */
export function longestStallMs({ ledger, workers }: Evidence): number | null {
  const interval = fleetInterval(workers);
  if (ledger.length === 0 || interval === undefined) return null;
  const { startedAtUs, endedAtUs } = interval;
  let longestUs = 0;
  let last = startedAtUs;
  for (let row = 0; row <= ledger.length; row++) {
    const next = row === ledger.length ? endedAtUs : ledger.writtenAtUs[row]!;
    longestUs = Math.max(longestUs, next - last);
    last = Math.max(last, next);
  }
  return longestUs / 1_000;
}
