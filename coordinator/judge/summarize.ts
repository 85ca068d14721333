/** Puts evidence and judgement into the shape of the report. Pure: nothing is read and nothing is decided here. */
import { type Outcome, STRATEGIES, type StrategyFacts } from "../../worker/contract.ts";
import { isControl, theoryOf } from "../plan/theory.ts";
import { partsOf } from "./by-strategy.ts";
import { fleetInterval, jain } from "./checks/liveness.ts";
import type { Evidence } from "./evidence.ts";
import { describeFaults, measureRecovery } from "./faults.ts";
import type { Judgement, RunReport } from "./report-data.ts";

export function summarize(evidence: Evidence, judgement: Judgement, startedAt: Date, endedAt: Date): RunReport {
  const { plan, prometheus, ledger, workers } = evidence;
  const facts: StrategyFacts = STRATEGIES[plan.strategy];
  const { run, strategy, guard, mix, expects: _, ...settings } = plan;
  const finals = workers.flatMap(({ final }) => final ?? []);
  const seconds = runningSeconds(evidence);
  const complete = prometheus !== undefined && prometheus.workers.length === plan.workers ? prometheus : undefined;
  const committed = complete?.workers.map((worker) => worker.committed);

  return {
    run,
    strategy,
    ...(mix === undefined ? {} : { mix }),
    guard,
    summary: mix === undefined ? facts.summary : "several strategies at once, in turn by the index of the worker",
    plan: settings,
    control: isControl(plan),
    expects: theoryOf(plan),
    startedAt: startedAt.toISOString(),
    ...(plan.fault === undefined ? {} : { faults: describeFaults(plan.fault, evidence) }),
    ...(mix === undefined ? {} : { parts: partsOf(mix, evidence) }),
    ...(plan.fault?.action === "die" ? { recoverySeconds: measureRecovery(evidence) } : {}),
    seconds,
    wholeSeconds: (endedAt.getTime() - startedAt.getTime()) / 1_000,
    operations: complete === undefined ? null : countsOf(complete.workers),
    reported: countsOf(finals),
    ledgerRows: ledger.length,
    naive: complete === undefined ? null : sum(complete.workers.map(({ naive }) => naive)),
    operationSeconds: complete?.operation ?? null,
    lockWaitSeconds: complete?.lockWait ?? null,
    throughput: committed === undefined || seconds === 0 ? null : sum(committed) / seconds,
    fairness: committed === undefined ? null : jain(committed),
    errors: mergeErrors(evidence),
    ...judgement,
    problems: evidence.problems,
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

function sum(values: readonly number[] | Float64Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

const countsOf = (parts: readonly Record<Outcome, number>[]) => ({
  committed: sum(parts.map(({ committed }) => committed)),
  rejected: sum(parts.map(({ rejected }) => rejected)),
  unknown: sum(parts.map(({ unknown }) => unknown)),
});

/**
 * Seconds from the first start to the last end of a worker, by the database's clock; where no worker reported them,
 * from the first read to the last write.
 */
function runningSeconds({ workers, ledger }: Evidence): number {
  const interval = fleetInterval(workers);
  if (interval !== undefined) return (interval.endedAtUs - interval.startedAtUs) / 1e6;
  return ledger.length === 0 ? 0 : (ledger.writtenAtUs.at(-1)! - ledger.readAtUs[0]!) / 1e6;
}

function mergeErrors({ workers }: Evidence): RunReport["errors"] {
  const merged = new Map<string, RunReport["errors"][number]>();
  for (const { final } of workers)
    for (const error of final?.errors ?? []) {
      const key = `${error.class} ${error.outcome}`;
      const seen = merged.get(key);
      if (seen === undefined) merged.set(key, { ...error });
      else seen.count += error.count;
    }
  return [...merged.values()].sort((a, b) => b.count - a.count);
}
