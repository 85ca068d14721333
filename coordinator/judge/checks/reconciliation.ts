import { workerIndexes } from "../../plan/run-plan.ts";
import type { Evidence, PrometheusWorker, WorkerEvidence } from "../evidence.ts";
import type { CheckResult, ReconciliationRow } from "../report-data.ts";
import { plural, WITNESSES } from "./witnesses.ts";
import { type Accounts, accountsOf } from "./writer-histories.ts";

/**
 * Prometheus, the workers and the ledger agree, worker by worker, on committed operations and on the sum of raises.
 * Operations of unknown outcome explain a ledger that has more. Who claims more than the ledger has was told that
 * something is committed which is not: violated. All other disagreement, and a book that is missing, is unknown.
 */
export function metrics(evidence: Evidence, accounts = accountsOf(evidence)): CheckResult {
  const findings = booksOf(evidence, accounts).map(compare);
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
        : `Prometheus = workers = ledger, ${plural(total, "operation")} of ${plural(findings.length, "worker")}`,
    count: claims.length,
    witnesses: claims.slice(0, WITNESSES).map((text) => ({ check: "metrics", text, operations: [] })),
  };
}

/** The table of the report. Its ledger column also counts operations of unknown outcome. */
export const reconcile = (evidence: Evidence, accounts = accountsOf(evidence)): ReconciliationRow[] =>
  booksOf(evidence, accounts).map(
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

interface Books {
  readonly worker: WorkerEvidence;
  readonly prometheusRead: boolean;
  readonly prometheus: PrometheusWorker | undefined;
  readonly ledger: { readonly operations: number; readonly recovered: number; readonly raised: number };
}

function booksOf({ workers, prometheus }: Evidence, { writers }: Accounts): Books[] {
  return workers.map((worker) => {
    const ledger = { operations: 0, recovered: 0, raised: 0 };
    for (const account of writers.values()) {
      if (account.worker !== worker.index || account.uid !== worker.uid) continue;
      ledger.operations += account.operations;
      ledger.recovered += account.recovered;
      ledger.raised += account.raised;
    }
    const scraped = prometheus?.workers.find(({ worker: index, uid }) => index === worker.index && uid === worker.uid);
    return { worker, prometheusRead: prometheus !== undefined, prometheus: scraped, ledger };
  });
}

/** What one worker's books say against each other: a claim that the ledger denies, or a gap that proves nothing. */
function compare({ worker, prometheusRead, prometheus, ledger }: Books): {
  claim?: string;
  gap?: string;
  ledger: number;
} {
  const name = `worker-${worker.index}`;
  const has = { committed: ledger.operations - ledger.recovered, raised: ledger.raised };
  const final = worker.final;
  const result = { ledger: ledger.operations };
  if (final !== undefined) {
    const said = `${name} reports ${pages(final)}, the ledger has ${pages(has)}`;
    if (final.committed > has.committed || final.raised > has.raised) return { ...result, claim: said };
    if (final.committed < has.committed || final.raised < has.raised) return { ...result, gap: said };
  } else if (prometheus !== undefined && prometheus.committed > ledger.operations) {
    // A lost worker's last scrape may lie behind the ledger, never before it.
    const claim = `Prometheus has ${pages(prometheus)} of ${name}, the ledger ${pages(has)}`;
    return { ...result, claim };
  }
  if (final === undefined) return { ...result, gap: `${name} gave no final numbers` };
  if (!prometheusRead) return result;
  if (prometheus === undefined) return { ...result, gap: `Prometheus has no numbers of ${name}` };
  // Who died was scraped for the last time before its last operations.
  const behind = final.died === true && prometheus.committed <= final.committed && prometheus.raised <= final.raised;
  if (!behind && (prometheus.committed !== final.committed || prometheus.raised !== final.raised))
    return { ...result, gap: `${name} reports ${pages(final)}, Prometheus has ${pages(prometheus)}` };
  return result;
}

const pages = ({ committed, raised }: { committed: number; raised: number }) =>
  `${committed} committed (raises ${raised})`;

const absentWorkers = ({ plan, workers }: Evidence) =>
  workerIndexes(plan)
    .filter((index) => !workers.some((worker) => worker.index === index))
    .map((index) => `worker-${index} never reported`);

/** Series of this run from a worker that is not in the fleet. */
const unexpectedWorkers = ({ workers, prometheus }: Evidence) =>
  (prometheus?.workers ?? [])
    .filter((scraped) => !workers.some(({ index, uid }) => index === scraped.worker && uid === scraped.uid))
    .map(({ worker, uid }) => `Prometheus has a worker-${worker} (${uid}) that is not in the fleet`);
