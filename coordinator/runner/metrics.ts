/**
 * The coordinator's own numbers: verdicts as the report has them, and what it sees of a run while it is on.
 * A number that is not known has no series. Verdicts are numbers, because Prometheus holds nothing else:
 * 1 holds, 0 violated, -1 unknown.
 */
import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import type { Verdict } from "../judge/evidence.ts";
import type { RunReport } from "../judge/report-data.ts";
import { MYSQL_SERIES, REDIS_SERIES, type Server, type ServerSeries } from "./server-series.ts";

/** Phases of a run in order. */
export const RUN_PHASES = ["starting", "warming", "running", "draining", "judging", "finished"] as const;
export type RunPhase = (typeof RUN_PHASES)[number];

export const WORKER_STATES = ["expected", "ready", "running", "done", "lost"] as const;
export type WorkerState = (typeof WORKER_STATES)[number];

/** What the sampler polls: the contested rows with their ledger, and the two servers. */
export const SOURCES = ["row", "redis", "mysql"] as const;
export type Source = (typeof SOURCES)[number];

/** `run` is unique, as in the labels of the workers. */
export interface RunKey {
  readonly run: string;
  readonly strategy: string;
}

/** The contested rows and their ledger at one moment of a run; sums over all employees. */
export interface RowState {
  readonly version: number;
  readonly ledgerRows: number;
  readonly staleWrites: number;
  /** Salary units; below 0 where writers built on a salary that was overwritten by a smaller one. */
  readonly moneyLost: number;
}

/** Status fields of a server by the server's own names. */
export type ServerStatus = ReadonlyMap<string, number>;

export type CoordinatorMetrics = ReturnType<typeof createCoordinatorMetrics>;

/** One registry for one report, whose name is a label of every series. */
export function createCoordinatorMetrics(report: string) {
  const registry = new Registry();
  registry.setDefaultLabels({ report });
  collectDefaultMetrics({ register: registry });
  const ofRun = (name: string, help: string, ...labels: string[]) =>
    new Gauge({ name, help, labelNames: ["run", "strategy", ...labels], registers: [registry] });

  const phases = ofRun("holdfast_phase", "1 for the phase that the run is in, 0 for the others", "phase");
  const workers = ofRun("holdfast_workers", "Workers of the run by state, while there is a fleet", "phase");

  const verdict = ofRun("holdfast_verdict", "Verdict of the run: 1 holds, 0 violated, -1 unknown", "aspect");
  const theory = ofRun("holdfast_expected_verdict", "What theory says: 1 holds, 0 violated, -1 unclaimed", "aspect");
  const agreement = ofRun("holdfast_agreement", "Verdict against theory: 1 expected, 0 mismatch, -1 unknown");
  const books = ofRun("holdfast_reconciled_operations", "Committed operations in each of the three books", "book");
  const lostUpdates = ofRun("holdfast_lost_updates", "Lost updates of the run, from its whole ledger");
  const throughput = ofRun("holdfast_run_committed_per_second", "Committed operations a second over the whole run");
  const fairness = ofRun("holdfast_run_fairness_ratio", "Jain's index over the workers' committed operations");
  const operation = ofRun("holdfast_run_operation_seconds", "Operation time over the whole run", "quantile");
  const lockWait = ofRun("holdfast_run_lock_wait_seconds", "Wait for the lock over the whole run", "quantile");

  const version = ofRun("holdfast_row_version", "Version of the contested row, summed over all rows");
  const ledgerRows = ofRun("holdfast_ledger_rows", "Ledger rows so far");
  const staleWrites = ofRun("holdfast_stale_writes", "Writes so far that were based on an overwritten read");
  const moneyLost = ofRun("holdfast_money_lost", "Raises overwritten so far, salary units");

  const failures = new Counter({
    name: "holdfast_observer_failures_total",
    help: "Polls of a source that failed or were late",
    labelNames: ["source"],
    registers: [registry],
  });
  for (const source of SOURCES) failures.inc({ source }, 0);
  const finished = new Set<string>();
  const servers = { redis: mirror(registry, REDIS_SERIES), mysql: mirror(registry, MYSQL_SERIES) };

  return {
    registry,

    /** A finished run has no fleet any more, so its workers' series end. */
    setPhase({ run, strategy }: RunKey, current: RunPhase) {
      for (const phase of RUN_PHASES) phases.set({ run, strategy, phase }, phase === current ? 1 : 0);
      if (current !== "finished") return;
      finished.add(run);
      for (const phase of WORKER_STATES) workers.remove({ run, strategy, phase });
    },

    setWorkers({ run, strategy }: RunKey, counts: Partial<Record<WorkerState, number>>) {
      if (finished.has(run)) return;
      for (const phase of WORKER_STATES) assign(workers, { run, strategy, phase }, counts[phase]);
    },

    runJudged(runReport: RunReport) {
      const { run, strategy, reconciliation } = runReport;
      const labels = { run, strategy };
      for (const aspect of ["data", "exclusion"] as const) {
        verdict.set({ ...labels, aspect }, VERDICT_VALUE[runReport[aspect].value]);
        theory.set({ ...labels, aspect }, theoryValue(runReport.expects[aspect]));
      }
      agreement.set(labels, { expected: 1, mismatch: 0, unknown: -1 }[runReport.agreement]);
      for (const [book, column] of BOOKS) {
        assign(books, { ...labels, book }, total(reconciliation.map((row) => row[column])));
      }
      assign(lostUpdates, labels, runReport.lostUpdates);
      assign(throughput, labels, runReport.throughput);
      assign(fairness, labels, runReport.fairness);
      for (const [quantile, field] of QUANTILES) {
        assign(operation, { ...labels, quantile }, runReport.operationSeconds?.[field]);
        assign(lockWait, { ...labels, quantile }, runReport.lockWaitSeconds?.[field]);
      }
    },

    setRowState({ run, strategy }: RunKey, state: RowState) {
      version.set({ run, strategy }, state.version);
      ledgerRows.set({ run, strategy }, state.ledgerRows);
      staleWrites.set({ run, strategy }, state.staleWrites);
      moneyLost.set({ run, strategy }, state.moneyLost);
    },

    /** A field that the server does not have ends its series. */
    setServerStatus: (server: Server, status: ServerStatus) => servers[server](status),

    /** What was last seen of the source is not what it is now, so its series end until the next poll. */
    pollFailed(source: Source, { run, strategy }: RunKey) {
      failures.inc({ source });
      if (source !== "row") return servers[source](new Map());
      for (const gauge of [version, ledgerRows, staleWrites, moneyLost]) gauge.remove({ run, strategy });
    },
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const VERDICT_VALUE: Record<Verdict["value"], number> = { holds: 1, violated: 0, unknown: -1 };
const theoryValue = (expected: string) => (expected === "holds" ? 1 : expected === "violated" ? 0 : -1);

const BOOKS = [
  ["prometheus", "prometheus"],
  ["workers", "reported"],
  ["ledger", "ledger"],
] as const;

const QUANTILES = [
  ["0.5", "p50"],
  ["0.95", "p95"],
  ["0.99", "p99"],
] as const;

/** A book with a page missing has no total. */
function total(numbers: readonly (number | null)[]) {
  if (numbers.length === 0 || numbers.includes(null)) return null;
  return numbers.reduce<number>((sum, number) => sum + (number ?? 0), 0);
}

function assign(gauge: Gauge, labels: Record<string, string>, value: number | null | undefined) {
  if (value === null || value === undefined) gauge.remove(labels);
  else gauge.set(labels, value);
}

/** Shows a server's status fields under our names and in base units. */
function mirror(registry: Registry, series: readonly ServerSeries[]) {
  const metrics = series.map(({ name, help, kind, labels = {}, field, unit = 1 }) => {
    const known = registry.getSingleMetric(name);
    const config = { name, help, labelNames: Object.keys(labels), registers: [registry] };
    const metric = known ?? (kind === "counter" ? new Counter(config) : new Gauge(config));
    metric.remove(labels);
    return { metric: metric as Counter | Gauge, labels, field, unit };
  });
  return (status: ServerStatus) => {
    for (const { metric, labels, field, unit } of metrics) {
      const value = status.get(field);
      // The server counts, so a counter is set anew from what it says: remove, then one increment.
      metric.remove(labels);
      if (value !== undefined) metric.inc(labels, value * unit);
    }
  };
}
