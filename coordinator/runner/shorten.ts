/** Finds the fewest faults of a violated round of `soak` that still show the violation. */
import type { RunReport } from "../judge/report-data.ts";
import type { FaultName } from "../plan/fault-theory.ts";
import type { RunPlan } from "../plan/run-plan.ts";
import { drawFaults, placeFaults } from "../plan/scenarios/soak.ts";

/**
 * Repeats a violated round with fewer faults: first without any, then with each alone, then without one after the other.
 * `make` makes a run. Returns the fewest faults that were seen to violate it, which are all of them where no repetition
 * did. With n faults it repeats the round at most 2n + 1 times, and no more once `signal` is aborted.
 */
export async function shorten(
  plan: RunPlan,
  chosen: readonly FaultName[],
  make: (plan: RunPlan) => Promise<RunReport>,
  signal: AbortSignal,
): Promise<NonNullable<RunReport["shortened"]>> {
  const all = drawFaults(plan, chosen);
  let repetitions = 0;
  async function isViolated(faults: readonly FaultName[]) {
    if (signal.aborted) return false;
    repetitions += 1;
    const run = `${plan.run}-again-${repetitions}`;
    return (await make({ ...plan, run, ...placeFaults(plan, faults) })).agreement === "mismatch";
  }
  if (await isViolated([])) return { faults: [], repetitions };
  if (all.length > 1) for (const one of all) if (await isViolated([one])) return { faults: [one], repetitions };
  let fewest = all;
  // Each was tried alone, so less than two are not tried again.
  for (const one of all) {
    const fewer = fewest.filter((name) => name !== one);
    if (fewer.length > 1 && (await isViolated(fewer))) fewest = fewer;
  }
  return { faults: fewest, repetitions };
}
