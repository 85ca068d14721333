/** What was observed of one run. Everything here was read from the database, from Prometheus or from the workers. */
import type { WorkerFinal } from "../../worker/contract.ts";
import type { RunPlan } from "../plan/run-plan.ts";

export interface EmployeeState {
  readonly id: number;
  readonly version: number;
  readonly salary: number;
  readonly lastOp: number;
}

/** The ledger of one run in the order of `seq`, one array a column: a million rows stay below 100 MB. */
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
  /** 0 where the writer held no token. */
  readonly fence: Float64Array;
  /** By the database's clock, microseconds since 1970. */
  readonly readAtUs: Float64Array;
  readonly writtenAtUs: Float64Array;
}

/** A loop of a worker, as it registered in the database. */
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
  /** The worker's own numbers; absent when it was lost before it was done. */
  readonly final?: WorkerFinal | undefined;
  /** Why the worker did not end well: `killed by SIGKILL`, `ImagePullBackOff: ...`. */
  readonly lost?: string | undefined;
  /** Last lines of the log of a lost worker, where the launcher has them. */
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

export interface Quantiles {
  readonly count: number;
  /** Seconds; absent where there was nothing to measure. */
  readonly average?: number;
  readonly p50?: number;
  readonly p95?: number;
  readonly p99?: number;
}

export interface PrometheusEvidence {
  readonly workers: readonly PrometheusWorker[];
  readonly operation: Quantiles;
  readonly lockWait: Quantiles;
}

export interface Evidence {
  readonly plan: RunPlan;
  readonly initial: readonly EmployeeState[];
  /** Empty where the database could not be read at the end: no data, and not a row that is gone. */
  readonly final: readonly EmployeeState[];
  /** All of it, or an empty one together with an empty `final`: half a ledger would look like lost operations. */
  readonly ledger: Ledger;
  readonly writers: readonly Writer[];
  readonly workers: readonly WorkerEvidence[];
  /** Absent when Prometheus did not have the final numbers of all workers; `problems` says why. */
  readonly prometheus?: PrometheusEvidence | undefined;
  /** What went wrong in the run itself, each a sentence: a deadline that passed, a server that was lost. */
  readonly problems: readonly string[];
}

// --- What is made of it ---------------------------------------------------------------------------------------------

/** The operations that show one violation, and a sentence that tells it. */
export interface Witness {
  readonly check: string;
  readonly text: string;
  readonly operations: readonly number[];
}

export interface CheckResult {
  readonly check: "chain" | "value" | "set" | "exclusion" | "fence" | "liveness" | "metrics" | "seed" | "vacuity";
  /** `skipped` where the check does not apply: no fencing tokens, say. */
  readonly status: "holds" | "violated" | "unknown" | "skipped";
  /** One sentence with the numbers. */
  readonly detail: string;
  /** Violations found. */
  readonly count: number;
  /** At most a handful. */
  readonly witnesses: readonly Witness[];
}

export type Verdict =
  | {
      readonly value: "holds" /** Operations that could have shown a violation. */;
      readonly operations: number /** At 95 %: 3/n. */;
      readonly rateBelow: number;
    }
  | { readonly value: "violated"; readonly count: number; readonly reason: string }
  | { readonly value: "unknown"; readonly reason: string };

/** `expected`: as theory says. `mismatch`: theory says otherwise. `unknown`: nothing was shown. */
export type Agreement = "expected" | "mismatch" | "unknown";

/** Numbers that the checks count on their way, null where there is no data. */
export interface Measures {
  /** Writes that were not based on the version before them. */
  readonly lostUpdates: number | null;
  /** Sum of the raises in the ledger, salary units. */
  readonly grantedMoney: number | null;
  /** Initial salary + granted raises - final salary, salary units. */
  readonly lostMoney: number | null;
  readonly naive: number | null;
  /** The part of the planned duration, 0 to 1, in which all workers ran. */
  readonly overlap: number | null;
  /** Jain's index over the workers' operations in the ledger. */
  readonly fairness: number | null;
  readonly longestStallMs: number | null;
}

export interface Judgement {
  readonly data: Verdict;
  readonly exclusion: Verdict;
  readonly agreement: Agreement;
  /** Why `agreement` is not `expected`. */
  readonly reason?: string | undefined;
  readonly checks: readonly CheckResult[];
  readonly measures: Measures;
}
