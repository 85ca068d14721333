import type { Outcome, WorkerFinal } from "./contract.ts";

type Counted = "committed" | "rejected" | "unknown" | "raised" | "naive" | "releaseFailures" | "errors";

/** All that a worker counts, under the names of its final numbers. */
export type Counts = Pick<WorkerFinal, Counted> & { readonly faulted: number };

export type Tally = ReturnType<typeof createTally>;

/** The worker's own counts. Its metrics count the same events separately, so that the judge can compare the two. */
export function createTally() {
  const counts = { committed: 0, rejected: 0, unknown: 0, raised: 0, naive: 0, releaseFailures: 0, faulted: 0 };
  const errors = new Map<string, WorkerFinal["errors"][number]>();
  return {
    operation(outcome: Outcome, raise: number) {
      counts[outcome] += 1;
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
    faulted() {
      counts.faulted += 1;
    },
    /** May be called at any time. */
    result: (): Counts => ({ ...counts, errors: [...errors.values()] }),
  };
}
