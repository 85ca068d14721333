import type { ServerAddresses } from "../clients/addresses.ts";
import type { Report, RunReport } from "../judge/report-data.ts";
import type { Launcher } from "./launcher.ts";

/** One machine or a cluster: where the servers are, where workers run, and where reports are saved. */
export interface Platform extends AsyncDisposable {
  /** Name of this report in rows, keys, metrics and objects. */
  readonly report: string;
  readonly launcher: Launcher;
  readonly servers: ServerAddresses;
  /** Where the coordinator listens. */
  readonly listen: { readonly host: string; readonly port: number };
  /** The secret that heartbeats carry. */
  readonly token: string;
  /** How long the servers may take to answer, milliseconds. */
  readonly serversDeadlineMs: number;
  /** The runs of an earlier coordinator of the same report. */
  readonly earlier: Earlier;
  /** Saves the finished runs and the name of the current one for a coordinator that takes over. */
  saveProgress(runs: readonly RunReport[], current: string | undefined): Promise<void>;
  /** Saves the report. `final` is false if a later coordinator continues it. Returns the place, for the last line. */
  saveReport(report: Report, final: boolean): Promise<string>;
  /** Records why there is no report where users look for it. */
  recordFailure(line: string): void;
  /** Records an event where users look for it. Never fails the run. */
  recordEvent(event: "RunStarted" | "StrategyFinished" | "Verdict", text: string): void;
}

export interface Earlier {
  readonly finished: readonly RunReport[];
  /** Runs that were running when an earlier coordinator ended. They are not repeated, since their counts are incomplete. */
  readonly interrupted: readonly string[];
}
