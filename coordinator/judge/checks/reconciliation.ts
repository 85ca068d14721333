import { workerIndexes } from "../../plan/run-plan.ts";
import { count, plural } from "../../text/format.ts";
import type { Evidence, PrometheusWorker, WorkerEvidence } from "../evidence.ts";
import type { CheckResult, ReconciliationRow } from "../report-data.ts";
import { WITNESSES } from "./witnesses.ts";
import { readHistories, type WriterHistories } from "./writer-histories.ts";

/**
 * Prometheus, the workers and the ledger agree, worker by worker, on committed operations and on the sum of raises.
 * Operations of unknown outcome explain a ledger that has more. A worker that reports more commits than the ledger
 * contains received an acknowledgement for a write that is not there: `violated`. Any other disagreement, and a missing
 * count, is `unknown`.
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
  if (!prometheusRead) return result;
  if (prometheus === undefined) return { ...result, gap: `Prometheus has no numbers of ${name}` };
  // The last scrape of a worker that died came before its last operations.
  const behind = final.died === true && prometheus.committed <= final.committed && prometheus.raised <= final.raised;
  if (!behind && (prometheus.committed !== final.committed || prometheus.raised !== final.raised))
    return { ...result, gap: `${name} reports ${describeCount(final)}, Prometheus has ${describeCount(prometheus)}` };
  return result;
}

const describeCount = ({ committed, raised }: { committed: number; raised: number }) =>
  `${count(committed)} committed (raises ${count(raised)})`;

const absentWorkers = ({ plan, workers }: Evidence) =>
  workerIndexes(plan)
    .filter((index) => !workers.some((worker) => worker.index === index))
    .map((index) => `worker-${index} never reported`);

/** Series of this run from a worker that is not in the fleet. */
const unexpectedWorkers = ({ workers, prometheus }: Evidence) =>
  (prometheus?.workers ?? [])
    .filter((scraped) => !workers.some(({ index, uid }) => index === scraped.worker && uid === scraped.uid))
    .map(({ worker, uid }) => `Prometheus has a worker-${worker} (${uid}) that is not in the fleet`);
