/** Puts evidence and judgement into the shape of the report. Pure: nothing is read and nothing is decided here. */
import { type Outcome, STRATEGIES, type StrategyFacts, type WorkerFinal } from "../../worker/contract.ts";
import { isControl, theoryOf } from "../plan/theory.ts";
import { splitByStrategy } from "./by-strategy.ts";
import { fleetInterval, jain } from "./checks/liveness.ts";
import { drawingOf } from "./drawing.ts";
import type { Evidence } from "./evidence.ts";
import { countAroundFaults, describeFaults, faultTimesOf, hasFaults, measureQuiet, measureRecovery } from "./faults.ts";
import { notesOf } from "./notes.ts";
import { mergeErrors, sumSeen } from "./pool.ts";
import type { Judgement, RunReport } from "./report-data.ts";

export function summarize(evidence: Evidence, judgement: Judgement, startedAt: Date, endedAt: Date): RunReport {
  const { plan, prometheus, ledger, workers } = evidence;
  const facts: StrategyFacts = STRATEGIES[plan.strategy];
  const { run, strategy, guard, mix, ownLock, repeat, expects: _, ...settings } = plan;
  const finals = workers.flatMap(({ final }) => final ?? []);
  const seconds = runningSeconds(evidence);
  const complete = prometheus !== undefined && prometheus.workers.length === plan.workers ? prometheus : undefined;
  const notes = notesOf(evidence);
  const drawing = drawingOf(evidence, judgement);
  const committed = complete?.workers.map((worker) => worker.committed);

  return {
    run,
    strategy,
    ...(mix === undefined ? {} : { mix }),
    ...(ownLock === undefined ? {} : { ownLock: { name: ownLock.name, ...seenOf(finals) } }),
    ...(repeat === undefined ? {} : { repeat }),
    guard,
    summary: mix === undefined ? facts.summary : "several strategies at once, in turn by the index of the worker",
    plan: settings,
    control: isControl(plan),
    expects: theoryOf(plan),
    startedAt: startedAt.toISOString(),
    ...(hasFaults(plan)
      ? {
          faults: describeFaults(evidence),
          faultTimes: faultTimesOf(evidence),
          quietSeconds: measureQuiet(evidence),
          faultWrites: countAroundFaults(evidence),
        }
      : {}),
    ...(mix === undefined ? {} : { parts: splitByStrategy(mix, evidence) }),
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
    errors: mergeErrors(finals.flatMap(({ errors }) => errors)),
    ...judgement,
    problems: evidence.problems,
    ...(evidence.servers === undefined ? {} : { servers: evidence.servers }),
    ...(notes.length === 0 ? {} : { notes }),
    ...(drawing === undefined ? {} : { drawing }),
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** What all workers saw of the user's own lock: sums, and the median of their round trips. */
function seenOf(finals: readonly WorkerFinal[]): Pick<NonNullable<RunReport["ownLock"]>, "seen"> {
  const seen = finals.flatMap(({ ownLock }) => ownLock ?? []);
  if (seen[0] === undefined) return {};
  return { seen: { ...seen[0], ...sumSeen(seen) } };
}

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
