/** What the scenario `faults` knows of a fault. */
import type { Fault, Guard, StrategyName } from "../../worker/contract.ts";
import type { ServerFault } from "./run-plan.ts";

export interface FaultFacts {
  /** One line for the docs. */
  readonly summary: string;
  /** What the plan of a run with it has. */
  plan(times: Times, strategy: StrategyName): FaultPlan;
  /** Whether it can change what the strategy does. */
  concerns(strategy: StrategyName): boolean;
  /**
   * The kind of the strategy under this fault: the outcome is the same for all of a kind, for the same reason, so a report
   * that names no faults makes it with the first of them only. Undefined: there is no other like it.
   */
  alike?(strategy: StrategyName): string | undefined;
  /** A report that names no faults does not make it, because another one shows the same. */
  readonly onlyIfNamed?: true;
  /** Why the strategy cannot keep the data under it without a guard; undefined where it can. */
  breaks(strategy: StrategyName): string | undefined;
  /** Why the others hold. */
  readonly holds: string;
  /** The guards that keep the data all the same; if left out, the version and a claimed token. */
  readonly savedBy?: readonly Guard[];
  /** The lock itself does what it should, so that its holders still exclude each other. */
  readonly sparesExclusion?: true;
}

/** Milliseconds: how long a run takes, and the TTL of its locks. */
export interface Times {
  readonly durationMs: number;
  readonly lockTtlMs: number;
}

/**
 * A fault of one worker or its network, or faults of servers with the hold and the pause that the run then has, and with
 * its times, rows and loops where the fault needs more of them.
 */
export type FaultPlan =
  | { readonly fault: Fault; readonly holdMs?: number; readonly durationMs?: number }
  | (Partial<Times> & {
      readonly serverFaults: readonly ServerFault[];
      readonly holdMs: number;
      readonly pauseMs: number;
      readonly rows?: number;
      readonly concurrency?: number;
    });
