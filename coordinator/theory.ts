/** What theory expects of a run as it was made: of the strategy, the fleet's size and the guard together. */
import { STRATEGIES, type StrategyFacts, type StrategyName } from "../worker/contract.ts";
import type { RunPlan } from "./evidence.ts";

export type Theory = StrategyFacts["expects"];
export type Setting = Pick<RunPlan, "strategy" | "workers" | "guard">;

/**
 * A version in the write, or a token claimed before the read, makes any strategy optimistic: a stale write is rejected,
 * so the data hold even without a lock. It also means that of two operations that overlap only one is committed, so
 * exclusion cannot be seen to fail where no lock claims it. A token that is checked only on the write changes nothing
 * that theory could promise: a holder with a newer token may have read before an older holder's accepted write.
 */
export function theoryOf({ strategy, workers, guard }: Setting): Theory {
  const facts: StrategyFacts = STRATEGIES[strategy];
  const base = (workers === 1 ? facts.expectsOfOneWorker : undefined) ?? facts.expects;
  if (guard !== "version" && guard !== "fence-claim") return base;
  return { data: "holds", exclusion: base.exclusion === "holds" ? "holds" : "unclaimed" };
}

/** Whether this run is a positive control as it was made: `memory` in one worker, or behind a guard, is none. */
export const isControl = (setting: Setting): boolean =>
  isControlStrategy(setting.strategy) && theoryOf(setting).data === "violated";

export const isControlStrategy = (strategy: StrategyName): boolean =>
  (STRATEGIES[strategy] as StrategyFacts).control === true;

/** `redis`, or `redis+version` behind a guard. */
export const labelOf = ({ strategy, guard }: Pick<Setting, "strategy" | "guard">): string =>
  guard === "none" ? strategy : `${strategy}+${guard}`;
