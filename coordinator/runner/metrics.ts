/**
 * The coordinator's own metrics: the verdicts of the report, and the state of a run while it is running. An unknown number
 * has no series. Verdicts are numbers, because Prometheus stores nothing else: 1 holds, 0 violated, -1 unknown.
 */
import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import type { RunReport, Verdict } from "../judge/report-data.ts";
import { nameOfStrategy } from "../plan/run-names.ts";
import { MYSQL_SERIES, REDIS_SERIES, type Server, type ServerSeries } from "./server-series.ts";

/** Phases of a run in order. */
export const RUN_PHASES = ["starting", "warming", "running", "draining", "judging", "finished"] as const;
export type RunPhase = (typeof RUN_PHASES)[number];

export const WORKER_STATES = ["expected", "ready", "running", "done", "lost"] as const;
export type WorkerState = (typeof WORKER_STATES)[number];

/** The sources that the sampler polls: the contested rows with their ledger, and the two servers. */
export const SOURCES = ["row", "redis", "mysql"] as const;
export type Source = (typeof SOURCES)[number];

/** `run` is unique, as in the labels of the workers. */
export interface RunKey {
  readonly run: string;
  readonly strategy: string;
  readonly ownLock?: { readonly name: string } | undefined;
}

const labelsOf = (key: RunKey) => ({ run: key.run, strategy: nameOfStrategy(key) });

/** The contested rows and their ledger at one moment of a run; sums over all employees. */
export interface RowState {
  readonly version: number;
  readonly ledgerRows: number;
  readonly staleWrites: number;
  /** Salary units. Negative where writers read a salary that was then overwritten by a smaller one. */
  readonly moneyLost: number;
}

/** Status fields of a server, by the names that the server gives them. */
export type ServerStatus = ReadonlyMap<string, number>;

export type CoordinatorMetrics = ReturnType<typeof createCoordinatorMetrics>;

/** Creates the registry of one report. The report's name is a label of every series. */
export function createCoordinatorMetrics(report: string) {
  const registry = new Registry();
  registry.setDefaultLabels({ report });
  collectDefaultMetrics({ register: registry });
  const runGauge = (name: string, help: string, ...labels: string[]) =>
    new Gauge({ name, help, labelNames: ["run", "strategy", ...labels], registers: [registry] });

  const phases = runGauge("holdfast_phase", "1 for the phase that the run is in, 0 for the others", "phase");
  const workers = runGauge("holdfast_workers", "Workers of the run by state, while there is a fleet", "phase");

  const verdict = runGauge("holdfast_verdict", "Verdict of the run: 1 holds, 0 violated, -1 unknown", "aspect");
  const theory = runGauge(
    "holdfast_expected_verdict",
    "Verdict that theory expects: 1 holds, 0 violated, -1 unclaimed",
    "aspect",
  );
  const agreement = runGauge("holdfast_agreement", "Verdict compared with theory: 1 expected, 0 mismatch, -1 unknown");
  const reconciled = runGauge(
    "holdfast_reconciled_operations",
    "Committed operations by each of the three sources",
    "book",
  );
  const lostUpdates = runGauge("holdfast_lost_updates", "Lost updates of the run, from its whole ledger");
  const throughput = runGauge("holdfast_run_committed_per_second", "Committed operations a second over the whole run");
  const fairness = runGauge("holdfast_run_fairness_ratio", "Jain's index over the workers' committed operations");
  const operation = runGauge("holdfast_run_operation_seconds", "Operation time over the whole run", "quantile");
  const lockWait = runGauge("holdfast_run_lock_wait_seconds", "Wait for the lock over the whole run", "quantile");

  const version = runGauge("holdfast_row_version", "Version of the contested row, summed over all rows");
  const ledgerRows = runGauge("holdfast_ledger_rows", "Ledger rows so far");
  const staleWrites = runGauge("holdfast_stale_writes", "Writes so far that were based on an overwritten value");
  const moneyLost = runGauge("holdfast_money_lost", "Raises overwritten so far, salary units");

  const failures = new Counter({
    name: "holdfast_observer_failures_total",
    help: "Polls of a source that failed or were late",
    labelNames: ["source"],
    registers: [registry],
  });
  for (const source of SOURCES) failures.inc({ source }, 0);
  const finished = new Set<string>();
  const servers = { redis: mirrorStatus(registry, REDIS_SERIES), mysql: mirrorStatus(registry, MYSQL_SERIES) };

  return {
    registry,

    /** Sets the phase of a run. A finished run has no fleet, so the series of its workers end. */
    setPhase(key: RunKey, current: RunPhase) {
      const labels = labelsOf(key);
      for (const phase of RUN_PHASES) phases.set({ ...labels, phase }, phase === current ? 1 : 0);
      if (current !== "finished") return;
      finished.add(key.run);
      for (const phase of WORKER_STATES) workers.remove({ ...labels, phase });
    },

    setWorkers(key: RunKey, counts: Partial<Record<WorkerState, number>>) {
      if (finished.has(key.run)) return;
      for (const phase of WORKER_STATES) setOrRemove(workers, { ...labelsOf(key), phase }, counts[phase]);
    },

    runJudged(runReport: RunReport) {
      const { reconciliation } = runReport;
      const labels = labelsOf(runReport);
      for (const aspect of ["data", "exclusion"] as const) {
        verdict.set({ ...labels, aspect }, VERDICT_VALUE[runReport[aspect].value]);
        theory.set({ ...labels, aspect }, toTheoryValue(runReport.expects[aspect]));
      }
      agreement.set(labels, { expected: 1, mismatch: 0, unknown: -1 }[runReport.agreement]);
      for (const [book, column] of COUNTS) {
        setOrRemove(reconciled, { ...labels, book }, total(reconciliation.map((row) => row[column])));
      }
      setOrRemove(lostUpdates, labels, runReport.lostUpdates);
      setOrRemove(throughput, labels, runReport.throughput);
      setOrRemove(fairness, labels, runReport.fairness);
      for (const [quantile, field] of QUANTILES) {
        setOrRemove(operation, { ...labels, quantile }, runReport.operationSeconds?.[field]);
        setOrRemove(lockWait, { ...labels, quantile }, runReport.lockWaitSeconds?.[field]);
      }
    },

    setRowState(key: RunKey, state: RowState) {
      const labels = labelsOf(key);
      version.set(labels, state.version);
      ledgerRows.set(labels, state.ledgerRows);
      staleWrites.set(labels, state.staleWrites);
      moneyLost.set(labels, state.moneyLost);
    },

    /** Sets the series of a server's fields. The series of a field that the server does not have ends. */
    setServerStatus: (server: Server, status: ServerStatus) => servers[server](status),

    /** Counts a failed poll. The last values of the source may be outdated, so its series end until the next poll. */
    pollFailed(source: Source, key: RunKey) {
      failures.inc({ source });
      if (source !== "row") return servers[source](new Map());
      for (const gauge of [version, ledgerRows, staleWrites, moneyLost]) gauge.remove(labelsOf(key));
    },
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const VERDICT_VALUE: Record<Verdict["value"], number> = { holds: 1, violated: 0, unknown: -1 };
const toTheoryValue = (expected: string) => (expected === "holds" ? 1 : expected === "violated" ? 0 : -1);

/** Values of the label `book`, and the fields of the report that they come from. */
const COUNTS = [
  ["prometheus", "prometheus"],
  ["workers", "reported"],
  ["ledger", "ledger"],
] as const;

const QUANTILES = [
  ["0.5", "p50"],
  ["0.95", "p95"],
  ["0.99", "p99"],
] as const;

/** Returns the sum, or null if a number is missing. */
function total(numbers: readonly (number | null)[]) {
  if (numbers.length === 0 || numbers.includes(null)) return null;
  return numbers.reduce<number>((sum, number) => sum + (number ?? 0), 0);
}

function setOrRemove(gauge: Gauge, labels: Record<string, string>, value: number | null | undefined) {
  if (value === null || value === undefined) gauge.remove(labels);
  else gauge.set(labels, value);
}

/** Returns a function that exports a server's status fields under our names and in base units. */
function mirrorStatus(registry: Registry, series: readonly ServerSeries[]) {
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
      // The server does the counting, so its value replaces ours: remove the series, then increment it once.
      metric.remove(labels);
      if (value !== undefined) metric.inc(labels, value * unit);
    }
  };
}
