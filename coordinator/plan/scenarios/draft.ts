import { STRATEGIES, type StrategyFacts, type StrategyName } from "../../../worker/contract.ts";
import { ASPECTS, type ExpectedOfRun, type RunPlan } from "../run-plan.ts";
import { isControlStrategy } from "../theory.ts";

/** What a scenario says of one of its runs; the rest is the user's. */
export type Draft = Pick<RunPlan, "strategy"> & Settled;

/** Set or left out, and never set to undefined: what is left out is the user's. */
type Settled = {
  readonly [Key in Exclude<keyof RunPlan, "run" | "seed" | "strategy">]?: Exclude<RunPlan[Key], undefined>;
};

export const draftOf = (strategy: StrategyName): Draft => ({ strategy });

/** Nothing can be shown by such a run, for this reason; what the strategy promises in general must not be seen to break. */
export function unproven(strategy: StrategyName, because: string): ExpectedOfRun {
  const { expects }: StrategyFacts = STRATEGIES[strategy];
  const unbroken = ASPECTS.filter((aspect) => expects[aspect] === "holds");
  return { data: "unclaimed", exclusion: "unclaimed", because, unbroken };
}

/** Strategies that hold somewhere, as opposed to controls. */
export const isGuarding = (strategy: StrategyName): boolean => !isControlStrategy(strategy);

export const isKeyed = (strategy: StrategyName): boolean => STRATEGIES[strategy].lock.keyed;

/** Steps up to the largest, and the largest itself. */
export function stepsTo(largest: number, steps: readonly number[]): number[] {
  return [...steps.filter((step) => step < largest), largest];
}
