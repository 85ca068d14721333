import type { WorkerSpec } from "../../worker/contract.ts";

/** Starts fleets of workers. The only part of the coordinator that knows where workers run. */
export interface Launcher {
  /** For the report: `processes on this machine`, `Kubernetes namespace demo`. */
  readonly where: string;
  /** URL of the coordinator, as the workers reach it. */
  readonly coordinatorUrl: string;
  /** How long a worker goes on without an answer from the coordinator before it ends, milliseconds. */
  readonly coordinatorLostMs: number;
  /**
   * Returns host:port of every /metrics that the workers of this launcher will ever serve, so that Prometheus need not
   * discover them anew in each run. Empty where they are not known before the start and Prometheus discovers them itself.
   */
  targets(): readonly string[];
  /** Requests `spec.workers` workers. Resolves when they are requested, before they run. */
  launch(spec: WorkerSpec): Promise<Fleet>;
}

export interface Fleet extends AsyncDisposable {
  /** Returns the current problem of each worker that has one. Called about once a second. */
  problems(): Promise<readonly WorkerProblem[]>;
  /** Stops the workers that are still running and removes what was started. The report must not depend on its success. */
  [Symbol.asyncDispose](): Promise<void>;
}

export interface WorkerProblem {
  readonly index: number;
  /** Identity of the process or pod; undefined if there never was one. */
  readonly uid?: string | undefined;
  /** `ImagePullBackOff: ...`, `exited with 1: <last line of its log>`. */
  readonly reason: string;
  /** Whether the worker will not come or come back. False for what may heal, such as a pod that waits for a node. */
  readonly fatal: boolean;
  /** Last lines of its log, if there are any. */
  readonly log?: string | undefined;
}
