import type { Outcome, WorkerFinal } from "../../../worker/contract.ts";
import { workerIndexes } from "../../plan/run-plan.ts";
import { count, plural } from "../../text/format.ts";
import type { Evidence, PrometheusWorker, WorkerEvidence } from "../evidence.ts";
import type { CheckResult, ReconciliationRow } from "../report-data.ts";
import { timed } from "./liveness.ts";
import { WITNESSES } from "./witnesses.ts";
import { readHistories, type WriterHistories } from "./writer-histories.ts";

/**
 * Prometheus, the workers and the ledger agree, worker by worker, on committed operations and on the sum of raises. On
 * rejected operations and those of unknown outcome, Prometheus, the worker's sums and its list of operations agree.
 * Operations of unknown outcome explain a ledger that has more. A worker that reports more commits than the ledger
 * contains received an acknowledgement for a write that is not there: `violated`. Any other disagreement, a missing
 * count, and times that add up to more than the workers had, are `unknown`.
 */
export function reconciliation(evidence: Evidence, histories = readHistories(evidence)): CheckResult {
  const findings = countByWorker(evidence, histories).map(compare);
  const claims = findings.flatMap(({ claim }) => claim ?? []);
  const gaps = [
    ...(evidence.prometheus === undefined ? ["Prometheus has no final numbers"] : []),
    ...absentWorkers(evidence),
    ...findings.flatMap(({ gap }) => gap ?? []),
    ...unexpectedWorkers(evidence),
  ];
  if (gaps.length === 0) gaps.push(...findImpossibleTimes(evidence));
  const total = findings.reduce((sum, { ledger }) => sum + ledger, 0);
  return {
    check: "metrics",
    status: claims.length > 0 ? "violated" : gaps.length > 0 ? "unknown" : "holds",
    detail:
      claims.length + gaps.length > 0
        ? [...claims, ...gaps].slice(0, WITNESSES).join("; ")
        : `three independent counts agree: ${plural(total, "operation")} of ${plural(findings.length, "worker")}`,
    count: claims.length,
    witnesses: claims.slice(0, WITNESSES).map((text) => ({ check: "metrics", text, operations: [] })),
  };
}

/** The table of the report. Its ledger column also counts operations of unknown outcome. */
export const reconcile = (evidence: Evidence, histories = readHistories(evidence)): ReconciliationRow[] =>
  countByWorker(evidence, histories).map(
    ({ worker: { index, uid, node, final, lost, log, readyMs }, prometheus, ledger }) => ({
      worker: index,
      uid,
      node,
      prometheus: prometheus?.committed ?? null,
      reported: final?.committed ?? null,
      ledger: ledger.operations,
      ...(final?.died ? { died: true as const } : {}),
      ...(lost === undefined ? {} : { lost }),
      ...(lost === undefined || log === undefined ? {} : { log }),
      ...(readyMs === undefined ? {} : { readyMs }),
      ...(final === undefined ? {} : { residentBytes: final.residentBytes }),
    }),
  );

// --- Internal helpers -----------------------------------------------------------------------------------------------

interface Counts {
  readonly worker: WorkerEvidence;
  readonly prometheusRead: boolean;
  readonly prometheus: PrometheusWorker | undefined;
  readonly ledger: { readonly operations: number; readonly recovered: number; readonly raised: number };
}

function countByWorker({ workers, prometheus }: Evidence, { writers }: WriterHistories): Counts[] {
  return workers.map((worker) => {
    const ledger = { operations: 0, recovered: 0, raised: 0 };
    for (const history of writers.values()) {
      if (history.worker !== worker.index || history.uid !== worker.uid) continue;
      ledger.operations += history.operations;
      ledger.recovered += history.recovered;
      ledger.raised += history.raised;
    }
    const scraped = prometheus?.workers.find(({ worker: index, uid }) => index === worker.index && uid === worker.uid);
    return { worker, prometheusRead: prometheus !== undefined, prometheus: scraped, ledger };
  });
}

/** Compares the counts of one worker: a claim that the ledger contradicts, or a gap that proves nothing. */
function compare({ worker, prometheusRead, prometheus, ledger }: Counts): {
  claim?: string;
  gap?: string;
  ledger: number;
} {
  const name = `worker-${worker.index}`;
  const has = { committed: ledger.operations - ledger.recovered, raised: ledger.raised };
  const final = worker.final;
  const result = { ledger: ledger.operations };
  if (final !== undefined) {
    const difference = `${name} reports ${describeCount(final)}, the ledger has ${describeCount(has)}`;
    if (final.committed > has.committed || final.raised > has.raised) return { ...result, claim: difference };
    if (final.committed < has.committed || final.raised < has.raised) return { ...result, gap: difference };
  } else if (prometheus !== undefined && prometheus.committed > ledger.operations) {
    // The last scrape of a lost worker may be behind the ledger, never ahead of it.
    const claim = `Prometheus has ${describeCount(prometheus)} of ${name}, the ledger ${describeCount(has)}`;
    return { ...result, claim };
  }
  if (final === undefined) return { ...result, gap: `${name} gave no final numbers` };
  const listed = sumOfWriters(final);
  if (listed.attempted !== final.committed + final.rejected + final.unknown || listed.unknown !== final.unknown)
    return {
      ...result,
      gap: `${name} reports ${describeOutcomes(final)}, but lists ${count(listed.attempted)} operations, ${count(listed.unknown)} of them unknown`,
    };
  const explained = sumOfErrors(final);
  // The operation in which a worker died is unknown without an error.
  if (final.died !== true && (explained.rejected !== final.rejected || explained.unknown !== final.unknown))
    return {
      ...result,
      gap: `${name} reports ${describeOutcomes(final)}, but errors of ${count(explained.rejected)} rejected and ${count(explained.unknown)} unknown operations`,
    };
  if (!prometheusRead) return result;
  if (prometheus === undefined) return { ...result, gap: `Prometheus has no numbers of ${name}` };
  // The last scrape of a worker that died came before its last operations.
  const died = final.died === true;
  const agrees = (key: "committed" | "raised" | "rejected" | "unknown") =>
    prometheus[key] === final[key] || (died && prometheus[key] < final[key]);
  if (!agrees("committed") || !agrees("raised"))
    return { ...result, gap: `${name} reports ${describeCount(final)}, Prometheus has ${describeCount(prometheus)}` };
  if (!agrees("rejected") || !agrees("unknown"))
    return {
      ...result,
      gap: `${name} reports ${describeOutcomes(final)}, Prometheus has ${describeOutcomes(prometheus)}`,
    };
  return result;
}

/** By the worker's list of what became of each operation. */
const sumOfWriters = ({ writers }: WorkerFinal) => ({
  attempted: writers.reduce((sum, { attempted }) => sum + attempted, 0),
  unknown: writers.reduce((sum, { unknown }) => sum + unknown.length, 0),
});

/** Each operation that failed has one error. */
const sumOfErrors = ({ errors }: WorkerFinal) => {
  const sum = (wanted: Outcome) =>
    errors.reduce((total, { outcome, count }) => total + (outcome === wanted ? count : 0), 0);
  return { rejected: sum("rejected"), unknown: sum("unknown") };
};

/**
 * The operations of a loop follow each other, so in Prometheus their times cannot add up to more than its loops ran; and
 * each has a time and an outcome. The wait for a lock is a part of its operation, unless the operation was retried.
 */
function findImpossibleTimes({ plan, workers, prometheus }: Evidence): string[] {
  if (prometheus === undefined) return [];
  const { count: measured, average = 0 } = prometheus.operation;
  const ended = prometheus.workers.reduce(
    (sum, { committed, rejected, unknown }) => sum + committed + rejected + unknown,
    0,
  );
  if (measured !== ended)
    return [`Prometheus has the times of ${plural(measured, "operation")}, but the outcomes of ${count(ended)}`];
  const finals = timed(workers);
  if (finals.length < plan.workers) return [];
  const loopSeconds = finals.reduce((sum, { startedAtUs, endedAtUs }) => sum + (endedAtUs - startedAtUs) / 1e6, 0);
  const most = loopSeconds * plan.concurrency;
  const sum = measured * average;
  const waited = prometheus.lockWait.count * (prometheus.lockWait.average ?? 0);
  const repeats = finals.some(({ died, errors }) => died || errors.some(({ outcome }) => outcome === "retried"));
  if (!repeats && waited > sum * (1 + TIMES_MARGIN))
    return [
      `the waits for locks in Prometheus add up to ${waited.toFixed(1)} s, but the operations to ${sum.toFixed(1)} s`,
    ];
  if (sum <= most * (1 + TIMES_MARGIN) + TIMES_MARGIN_SECONDS * plan.workers * plan.concurrency) return [];
  return [
    `the times of operations in Prometheus add up to ${sum.toFixed(1)} s, but all loops together ran for ${most.toFixed(1)} s`,
  ];
}
/** For clocks of two machines, and for the time between the worker's own clock and the database's. */
const TIMES_MARGIN = 0.05;
const TIMES_MARGIN_SECONDS = 0.1;

const describeCount = ({ committed, raised }: { committed: number; raised: number }) =>
  `${count(committed)} committed (raises ${count(raised)})`;

const describeOutcomes = ({ committed, rejected, unknown }: Record<Outcome, number>) =>
  `${count(committed)} committed, ${count(rejected)} rejected and ${count(unknown)} unknown`;

const absentWorkers = ({ plan, workers }: Evidence) =>
  workerIndexes(plan)
    .filter((index) => !workers.some((worker) => worker.index === index))
    .map((index) => `worker-${index} never reported`);

/** Series of this run from a worker that is not in the fleet. */
const unexpectedWorkers = ({ workers, prometheus }: Evidence) =>
  (prometheus?.workers ?? [])
    .filter((scraped) => !workers.some(({ index, uid }) => index === scraped.worker && uid === scraped.uid))
    .map(({ worker, uid }) => `Prometheus has a worker-${worker} (${uid}) that is not in the fleet`);
