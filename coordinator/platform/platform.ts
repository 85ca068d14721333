import type { ServerAddresses } from "../clients/addresses.ts";
import type { Report, RunReport } from "../judge/report-data.ts";
import type { Launcher } from "./launcher.ts";

/** Where the coordinator lives, one machine or a cluster: its servers, its launcher, and where its report goes. */
export interface Platform extends AsyncDisposable {
  /** Names this report in rows, keys, metrics and objects. */
  readonly report: string;
  readonly launcher: Launcher;
  readonly servers: ServerAddresses;
  /** Host and port to listen on, and the secret that heartbeats carry. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly token: string;
  /** How long the servers may take until they answer, milliseconds. */
  readonly serversDeadlineMs: number;
  /** What an earlier coordinator of the same report has left behind. */
  readonly earlier: Earlier;
  /** Keeps what is finished, so that a coordinator that takes over need not run it again. */
  saveProgress(runs: readonly RunReport[], current: string | undefined): Promise<void>;
  /** Keeps the report, `final` unless a coordinator that takes over goes on with it. Returns where, for the last line. */
  saveReport(report: Report, final: boolean): Promise<string>;
  /** Leaves the reason why there is no report where people look for it. */
  recordFailure(line: string): void;
  /** Tells the events where people look for it; never fails the run. */
  recordEvent(event: "RunStarted" | "StrategyFinished" | "Verdict", text: string): void;
}

export interface Earlier {
  readonly finished: readonly RunReport[];
  /** Runs that were on when an earlier coordinator ended; they are not run again, since their rows are not accounted for. */
  readonly interrupted: readonly string[];
}
