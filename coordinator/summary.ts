/** Evidence and judgement, put into the shape of the report. Pure: nothing is read and nothing is decided here. */
import { type Outcome, STRATEGIES, type StrategyFacts, writerOf } from "../worker/contract.ts";
import type { Evidence, Judgement } from "./evidence.ts";
import type { WorkerProblem } from "./launcher.ts";
import type { RunReport } from "./report/report.ts";
import { isControl, theoryOf } from "./theory.ts";

export function summarize(
  evidence: Evidence,
  judgement: Judgement,
  lost: readonly WorkerProblem[],
  startedAt: Date,
): RunReport {
  const { plan, prometheus, ledger, workers } = evidence;
  const facts: StrategyFacts = STRATEGIES[plan.strategy];
  const expects = theoryOf(plan);
  const { run, strategy, guard, ...rest } = plan;
  const finals = workers.flatMap(({ final }) => final ?? []);
  const times = runningTimes(evidence);
  const complete = prometheus !== undefined && prometheus.workers.length === plan.workers ? prometheus : undefined;
  const committed = complete?.workers.map((worker) => worker.committed);
  const granted = sum(ledger.raise);

  return {
    run,
    strategy,
    guard,
    summary: facts.summary,
    plan: rest,
    control: isControl(plan),
    expects,
    startedAt: startedAt.toISOString(),
    seconds: times.seconds,
    overlap: times.overlap,
    operations: complete === undefined ? null : countsOf(complete.workers),
    reported: countsOf(finals),
    ledgerRows: ledger.length,
    lostUpdates: judgement.measures.lostUpdates,
    grantedMoney: granted,
    lostMoney: judgement.measures.lostMoney,
    naive: complete === undefined ? null : sum(complete.workers.map(({ naive }) => naive)),
    operationSeconds: complete?.operation ?? null,
    lockWaitSeconds: complete?.lockWait ?? null,
    throughput: committed === undefined || times.seconds === 0 ? null : sum(committed) / times.seconds,
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
    reconciliation: reconciliation(evidence, lost),
    problems: [...evidence.problems],
  };
}

/** Jain's fairness index: 1 where all got the same, 1/n where one got everything. Jain, Chiu, Hawe, DEC-TR-301, 1984. */
export function jain(shares: readonly number[]): number | null {
  const squares = sum(shares.map((share) => share * share));
  return squares === 0 ? null : sum(shares) ** 2 / (shares.length * squares);
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

/** From the first start to the last end, by the database's clock, and the share in which all ran. */
function runningTimes({ workers, ledger }: Evidence): { seconds: number; overlap: number | null } {
  const finals = workers.flatMap(({ final }) => (final === undefined || final.endedAtUs === 0 ? [] : [final]));
  if (finals.length === 0) {
    const first = ledger.readAtUs[0];
    const last = ledger.writtenAtUs[ledger.length - 1];
    return { seconds: first === undefined || last === undefined ? 0 : (last - first) / 1e6, overlap: null };
  }
  const starts = finals.map(({ startedAtUs }) => startedAtUs);
  const ends = finals.map(({ endedAtUs }) => endedAtUs);
  const seconds = (Math.max(...ends) - Math.min(...starts)) / 1e6;
  const common = Math.max(0, Math.min(...ends) - Math.max(...starts)) / 1e6;
  return { seconds, overlap: finals.length < workers.length || seconds === 0 ? null : common / seconds };
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

/** Each worker in three books. */
function reconciliation(
  { workers, writers, ledger, prometheus }: Evidence,
  lost: readonly WorkerProblem[],
): RunReport["reconciliation"] {
  const uidOfWriter = new Map(writers.map(({ id, uid }) => [id, uid]));
  const rowsOfUid = new Map<string, number>();
  for (const op of ledger.op) {
    const uid = uidOfWriter.get(writerOf(op)) ?? "";
    rowsOfUid.set(uid, (rowsOfUid.get(uid) ?? 0) + 1);
  }
  return workers.map((worker) => {
    const log = lost.find(({ index }) => index === worker.index)?.log;
    return {
      worker: worker.index,
      uid: worker.uid,
      node: worker.node,
      prometheus: prometheus?.workers.find(({ uid }) => uid === worker.uid)?.committed ?? null,
      reported: worker.final?.committed ?? null,
      ledger: rowsOfUid.get(worker.uid) ?? 0,
      ...(worker.lost === undefined ? {} : { lost: worker.lost, ...(log === undefined ? {} : { log }) }),
    };
  });
}
