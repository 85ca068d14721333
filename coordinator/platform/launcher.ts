import type { WorkerSpec } from "../../worker/contract.ts";

/** Starts a fleet somewhere. The only part of the coordinator that knows where workers run. */
export interface Launcher {
  /** For the report: `local processes`, `Kubernetes namespace demo`. */
  readonly where: string;
  /** URL under which the workers reach the coordinator. */
  readonly coordinatorUrl: string;
  /** How long a worker may hear nothing of the coordinator before it takes it for lost and ends, milliseconds. */
  readonly coordinatorLostMs: number;
  /**
   * host:port of every /metrics that this launcher's workers will ever serve, where that is known before they start,
   * so that Prometheus need not discover them anew for each run; empty where Prometheus discovers by itself.
   */
  targets(): readonly string[];
  /** Starts `spec.workers` workers. Resolves once they are asked for, not once they run. */
  launch(spec: WorkerSpec): Promise<Fleet>;
}

export interface Fleet extends AsyncDisposable {
  /** What there is to say about each worker that has a problem, now; called about once a second. */
  problems(): Promise<readonly WorkerProblem[]>;
  /** Stops what still runs and removes what was started. The end of the report must not depend on it. */
  [Symbol.asyncDispose](): Promise<void>;
}

export interface WorkerProblem {
  readonly index: number;
  /** Identity of the process or pod, where there ever was one. */
  readonly uid?: string | undefined;
  /** `ImagePullBackOff: ...`, `exited with 1: <last line of its log>`. */
  readonly reason: string;
  /** The worker will not come (back). False for what may still heal, such as a pod that waits for a node. */
  readonly fatal: boolean;
  /** Last lines of its log, where there are any. */
  readonly log?: string | undefined;
}
