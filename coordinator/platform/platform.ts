import type { ServerAddresses } from "../clients/addresses.ts";
import type { ServerError } from "../errors.ts";
import type { RecordedRun } from "../judge/history.ts";
import type { Report, RunReport } from "../judge/report-data.ts";
import type { ServerFault } from "../plan/run-plan.ts";
import type { Launcher } from "./launcher.ts";
import type { ListenAddress } from "./listen-address.ts";

/** One machine or a cluster: where the servers are, where workers run, and where reports are saved. */
export interface Platform extends AsyncDisposable {
  /** Name of this report in rows, keys, metrics and objects. */
  readonly report: string;
  readonly launcher: Launcher;
  readonly servers: ServerAddresses;
  /** Where the coordinator listens. */
  readonly listen: ListenAddress;
  /** The secret that heartbeats carry. */
  readonly token: string;
  /** How long the servers may take to answer, milliseconds. */
  readonly serversDeadlineMs: number;
  /** Makes faults of its servers; absent where it makes none. `servers.missingFaults` has those that it does not make. */
  readonly makeFault?: MakeFault | undefined;
  /** The runs of an earlier coordinator of the same report. */
  readonly earlier: Earlier;
  /** Saves the finished runs and the name of the current one for a coordinator that takes over. */
  saveProgress(runs: readonly RunReport[], current: string | undefined): Promise<void>;
  /** Saves the evidence of a finished run; absent without --history. Throws ServerError if it cannot be written. */
  readonly saveHistory?: ((recorded: RecordedRun) => Promise<void>) | undefined;
  /** Saves the report. `final` is false if a later coordinator continues it. Returns the place, for the last line. */
  saveReport(report: Report, final: boolean): Promise<string>;
  /** Returns a better error for a server that did not answer, if the platform knows what keeps the answer away. */
  readonly explainSilence?: (error: ServerError) => Promise<ServerError | undefined>;
  /** Records why there is no report where users look for it. */
  recordFailure(line: string): void;
  /** Records an event where users look for it. Never fails the run. */
  recordEvent(event: "RunStarted" | "StrategyFinished" | "Verdict", text: string): void;
}

/**
 * How long a server of a release may take to end and come back, milliseconds, and the most by which faults delay the end
 * of a run. Redis needs less than a second and MySQL several, on a busy node many.
 */
export const SERVER_BACK_WITHIN_MS = 60_000;
/** How much longer than planned a run goes on at most that has committed too few operations for a verdict, milliseconds. */
export const EXTENSION_MS_MAX = 30_000;

/** Makes a fault of a server once. Resolves when it is over and the server is as before. Rejects when it could not be made. */
export type MakeFault = (fault: ServerFault, during: FaultedRun) => Promise<void>;

export interface FaultedRun {
  readonly run: string;
  /** The how manieth time of the run it is, from 1 on. */
  readonly time: number;
  /** Aborted when the run is over, so that nothing that the fault waits for will happen. */
  readonly over: AbortSignal;
}

export interface Earlier {
  readonly finished: readonly RunReport[];
  /** Runs that were running when an earlier coordinator ended. They are not repeated, since their counts are incomplete. */
  readonly interrupted: readonly string[];
}
