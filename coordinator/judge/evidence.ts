/** What was observed of one run, as read from the database, from Prometheus and from the workers. */
import type { WorkerFinal } from "../../worker/contract.ts";
import type { RunPlan } from "../plan/run-plan.ts";
import type { Quantiles } from "./report-data.ts";

export interface EmployeeState {
  readonly id: number;
  readonly version: number;
  readonly salary: number;
  readonly lastOp: number;
}

/** The ledger of one run in the order of `seq`, with one array for each column: a million rows stay below 100 MB. */
export interface Ledger {
  readonly length: number;
  readonly employee: Float64Array;
  readonly op: Float64Array;
  readonly readOp: Float64Array;
  readonly readVersion: Float64Array;
  readonly newVersion: Float64Array;
  readonly readSalary: Float64Array;
  readonly newSalary: Float64Array;
  readonly raise: Float64Array;
  /** 0 if the writer held no token. */
  readonly fence: Float64Array;
  /** By the database's clock, microseconds since 1970. */
  readonly readAtUs: Float64Array;
  readonly writtenAtUs: Float64Array;
}

/** A loop of a worker, as registered in the database. */
export interface Writer {
  readonly id: number;
  readonly worker: number;
  readonly loop: number;
  readonly uid: string;
}

export interface WorkerEvidence {
  readonly index: number;
  readonly uid: string;
  readonly node: string;
  /** The worker's own numbers; absent if it was lost before it was done. */
  readonly final?: WorkerFinal | undefined;
  /** Why the worker failed: `killed by SIGKILL`, `ImagePullBackOff: ...`. */
  readonly lost?: string | undefined;
  /** Last lines of the log of a lost worker, if the launcher has them. */
  readonly log?: string | undefined;
  readonly readyMs?: number | undefined;
}

export interface PrometheusWorker {
  readonly worker: number;
  readonly uid: string;
  readonly committed: number;
  readonly rejected: number;
  readonly unknown: number;
  readonly raised: number;
  readonly naive: number;
}

export interface PrometheusEvidence {
  readonly workers: readonly PrometheusWorker[];
  readonly operation: Quantiles;
  readonly lockWait: Quantiles;
}

export interface Evidence {
  readonly plan: RunPlan;
  readonly initial: readonly EmployeeState[];
  /** Empty if the database could not be read at the end: there is no data, and no row is missing. */
  readonly final: readonly EmployeeState[];
  /**
   * The whole ledger, or an empty one together with an empty `final`: half a ledger would look like lost operations.
   */
  readonly ledger: Ledger;
  readonly writers: readonly Writer[];
  readonly workers: readonly WorkerEvidence[];
  /** Absent if Prometheus did not have the final numbers of all workers; `problems` has the reason. */
  readonly prometheus?: PrometheusEvidence | undefined;
  /** Problems of the run itself, each a sentence: a deadline that passed, a server that was lost. */
  readonly problems: readonly string[];
}
