import { type Outcome, REJECTED_PARTS, type WorkerFinal } from "./contract.ts";

type Counted =
  | "committed"
  | "rejected"
  | "unknown"
  | "raised"
  | "naive"
  | "releaseFailures"
  | "errors"
  | "rejectedParts";

/** All that a worker counts, under the names of its final numbers. */
export type Counts = Pick<WorkerFinal, Counted> & { readonly faulted: number };

/** When a fault began and ends, by `performance.now()`. */
export interface FaultTime {
  readonly fromMs: number;
  readonly untilMs: number;
}
const FAULT_TIMES_MAX = 100;

export type Tally = ReturnType<typeof createTally>;

/** The worker's own counts. Its metrics count the same events separately, so that the judge can compare the two. */
export function createTally() {
  const counts = { committed: 0, rejected: 0, unknown: 0, raised: 0, naive: 0, releaseFailures: 0, faulted: 0 };
  const errors = new Map<string, WorkerFinal["errors"][number]>();
  const faultTimes: FaultTime[] = [];
  const rejectedParts = Array.from({ length: REJECTED_PARTS }, () => 0);
  return {
    /** `elapsed`: the part of the planned duration that has passed, from 0 on. */
    operation(outcome: Outcome, raise: number, elapsed: number) {
      counts[outcome] += 1;
      if (outcome === "rejected")
        rejectedParts[Math.min(REJECTED_PARTS - 1, Math.floor(elapsed * REJECTED_PARTS))]! += 1;
      if (outcome === "committed") counts.raised += raise;
    },
    error(errorClass: string, outcome: Outcome | "retried", example: string) {
      const key = `${errorClass} ${outcome}`;
      const seen = errors.get(key);
      if (seen === undefined) errors.set(key, { class: errorClass, outcome, count: 1, example });
      else seen.count += 1;
    },
    naive() {
      counts.naive += 1;
    },
    releaseFailed() {
      counts.releaseFailures += 1;
    },
    faulted(time: FaultTime) {
      counts.faulted += 1;
      if (faultTimes.length < FAULT_TIMES_MAX) faultTimes.push(time);
    },
    /** The first times of the fault. */
    faultTimes: (): readonly FaultTime[] => faultTimes,
    /** May be called at any time. */
    result: (): Counts => ({
      ...counts,
      errors: [...errors.values()],
      ...(counts.rejected === 0 ? {} : { rejectedParts: [...rejectedParts] }),
    }),
  };
}
