/** Evidence and judgement, put into the shape of the report. Pure: nothing is read and nothing is decided here. */
import { type Outcome, STRATEGIES, type StrategyFacts } from "../../worker/contract.ts";
import { isControl, theoryOf } from "../plan/theory.ts";
import { jain, timed } from "./checks/liveness.ts";
import { reconcile } from "./checks/reconciliation.ts";
import type { Evidence, Judgement } from "./evidence.ts";
import { faultsOf, partsOf, recoveryOf, settingsOf } from "./faults.ts";
import type { RunReport } from "./report-data.ts";

export function summarize(evidence: Evidence, judgement: Judgement, startedAt: Date, endedAt: Date): RunReport {
  const { plan, prometheus, ledger, workers } = evidence;
  const facts: StrategyFacts = STRATEGIES[plan.strategy];
  const { run, strategy, guard, mix } = plan;
  const finals = workers.flatMap(({ final }) => final ?? []);
  const seconds = runningSeconds(evidence);
  const complete = prometheus !== undefined && prometheus.workers.length === plan.workers ? prometheus : undefined;
  const committed = complete?.workers.map((worker) => worker.committed);

  return {
    run,
    strategy,
    ...(mix === undefined ? {} : { mix: [...mix] }),
    guard,
    summary: mix === undefined ? facts.summary : "several strategies at once, in turn by the index of the worker",
    plan: settingsOf(plan),
    control: isControl(plan),
    expects: theoryOf(plan),
    startedAt: startedAt.toISOString(),
    ...(plan.fault === undefined ? {} : { faults: faultsOf(plan.fault, evidence) }),
    ...(mix === undefined ? {} : { parts: partsOf(mix, evidence) }),
    ...(plan.fault?.action === "die" ? { recoverySeconds: recoveryOf(evidence) } : {}),
    seconds,
    wholeSeconds: (endedAt.getTime() - startedAt.getTime()) / 1_000,
    overlap: judgement.measures.overlap,
    operations: complete === undefined ? null : countsOf(complete.workers),
    reported: countsOf(finals),
    ledgerRows: ledger.length,
    lostUpdates: judgement.measures.lostUpdates,
    grantedMoney: judgement.measures.grantedMoney,
    lostMoney: judgement.measures.lostMoney,
    naive: complete === undefined ? null : sum(complete.workers.map(({ naive }) => naive)),
    operationSeconds: complete?.operation ?? null,
    lockWaitSeconds: complete?.lockWait ?? null,
    throughput: committed === undefined || seconds === 0 ? null : sum(committed) / seconds,
    fairness: committed === undefined ? null : jain(committed),
    errors: errorsOf(evidence),
    data: judgement.data,
    exclusion: judgement.exclusion,
    agreement: judgement.agreement,
    ...(judgement.reason === undefined ? {} : { reason: judgement.reason }),
    checks: judgement.checks.map((check) => ({
      ...check,
      witnesses: check.witnesses.map((witness) => ({ ...witness, operations: [...witness.operations] })),
    })),
    reconciliation: reconciliation(evidence),
    problems: [...evidence.problems],
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

/** From the first start to the last end, by the database's clock; from first read to last write where nobody came to an end. */
function runningSeconds({ workers, ledger }: Evidence): number {
  const finals = timed(workers);
  const starts = finals.length > 0 ? finals.map(({ startedAtUs }) => startedAtUs) : [...ledger.readAtUs.subarray(0, 1)];
  const ends = finals.length > 0 ? finals.map(({ endedAtUs }) => endedAtUs) : [...ledger.writtenAtUs.subarray(-1)];
  return starts.length === 0 ? 0 : (Math.max(...ends) - Math.min(...starts)) / 1e6;
}

function errorsOf({ workers }: Evidence): RunReport["errors"] {
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

/** Each worker in three books, with the last lines of those that were lost. */
const reconciliation = (evidence: Evidence): RunReport["reconciliation"] =>
  reconcile(evidence).map(({ lost, ...books }) => {
    const worker = evidence.workers.find(({ index, uid }) => index === books.worker && uid === books.uid);
    const { log, readyMs, final } = worker ?? {};
    return { ...books, ...known({ lost, log, readyMs, residentBytes: final?.residentBytes }) };
  });

/** Without what is undefined. */
const known = <T extends object>(fields: T) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [Key in keyof T]?: Exclude<T[Key], undefined>;
  };
