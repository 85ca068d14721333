/**
 * What theory expects of a run as it was made: of the strategies, the fleet's size, the guard and the faults together.
 */
import {
  type Expectation,
  type Guard,
  STRATEGIES,
  type StrategyFacts,
  type StrategyName,
} from "../../worker/contract.ts";
import { quoted } from "../text/format.ts";
import type { Aspect, RunPlan } from "./run-plan.ts";

export interface Theory {
  readonly data: Expectation;
  readonly exclusion: Expectation;
  /** Why, where it does not follow from the strategy alone: a sentence without its full stop. */
  readonly because?: string | undefined;
  /** Not claimed to hold, and yet must not be seen to break. */
  readonly unbroken?: readonly Aspect[] | undefined;
}
export type Setting = Pick<RunPlan, "strategy" | "workers" | "guard" | "mix" | "expects">;

/**
 * A version in the write, or a token claimed before the read, makes any strategy that is guarded optimistic: a stale
 * write is rejected, so the data hold even without a lock. It also means that of two operations that overlap only one
 * is committed, so exclusion cannot be seen to fail where no lock claims it. A token that is checked only on the write
 * changes nothing that theory could promise: a holder with a newer token may have read before an older holder's
 * accepted write.
 */
export function theoryOf({ strategy, workers, guard, mix, expects }: Setting): Theory {
  if (expects !== undefined) {
    const { data, exclusion, because, unbroken } = expects;
    return { data, exclusion, because, ...(unbroken === undefined ? {} : { unbroken }) };
  }
  if (mix !== undefined && new Set(mix).size > 1) return theoryOfMix(mix, guard);
  const facts: StrategyFacts = STRATEGIES[strategy];
  const base = (workers === 1 ? facts.expectsOfOneWorker : undefined) ?? facts.expects;
  if (facts.write !== "guarded" || (guard !== "version" && guard !== "fence-claim")) return base;
  return { data: "holds", exclusion: base.exclusion === "holds" ? "holds" : "unclaimed" };
}

/**
 * Whether this run is a positive control as it was made: `memory` in one worker, or behind a guard, is none; nor is a
 * mix, or a lock that is made to break, although its violation shows as well that a violation is seen.
 */
export const isControl = (setting: Setting): boolean =>
  isControlStrategy(setting.strategy) && setting.mix === undefined && theoryOf(setting).data === "violated";

export const isControlStrategy = (strategy: StrategyName): boolean =>
  (STRATEGIES[strategy] as StrategyFacts).control === true;

/**
 * Whether theory says that the aspect must not be seen to break: claimed to hold, or promised by the strategy in
 * general.
 */
export const isPromised = (theory: Theory, aspect: Aspect): boolean =>
  theory[aspect] === "holds" || theory.unbroken?.includes(aspect) === true;

/** Whether a write of this strategy cannot be stale, whatever others do to the row. */
export function protectsItself(strategy: StrategyName, guard: Guard): boolean {
  const facts: StrategyFacts = STRATEGIES[strategy];
  return facts.write === "self-protecting" || (guard === "version" && facts.write === "guarded");
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** A lock excludes those who take it. What each checks in its own write, it checks against everybody. */
function theoryOfMix(mix: readonly StrategyName[], guard: Guard): Theory {
  const exposed = [...new Set(mix)].filter((strategy) => !protectsItself(strategy, guard));
  if (exposed.length === 0) {
    const because = "each of them checks in its own write what it relies on, so it does not depend on the others";
    return { data: "holds", exclusion: "unclaimed", because };
  }
  const because = `nothing keeps the others out between the read and the write of ${exposed.map(quoted).join(" and of ")}`;
  return { data: "violated", exclusion: "violated", because };
}
