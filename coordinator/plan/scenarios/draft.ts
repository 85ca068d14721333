/** What a scenario is, and what its runs have in common. */
import { rowsMin, STRATEGIES, type StrategyFacts, type StrategyName } from "../../../worker/contract.ts";
import type { CommonOptions, RunSettings } from "../options.ts";
import { ASPECTS, type ExpectedOfRun, type RunPlan } from "../run-plan.ts";
import { isControlStrategy } from "../theory.ts";

export interface Scenario {
  /** One line for `--help`. */
  readonly summary: string;
  /** Strategies where the user names none. */
  readonly strategies: readonly StrategyName[];
  /** Options whose default differs from the common one. */
  readonly defaults: Partial<CommonOptions>;
  /** Options that change nothing here; setting one of them is a mistake. */
  readonly unused: readonly (keyof CommonOptions)[];
  readonly workersMin: number;
  /** Locks break on purpose, so a TTL below the hold time is allowed. */
  readonly breaksLocks: boolean;
  /** Gives each strategy the rows it needs, whatever `--rows` says. */
  readonly raisesRows: boolean;
  /** A mistake that only this scenario can see, in one line. */
  readonly mistake?: (settings: RunSettings) => string | undefined;
  /** The runs, in order. */
  drafts(settings: RunSettings, strategies: readonly StrategyName[]): readonly Draft[];
}

/** What a scenario decides about one of its runs; the user's settings fill in the rest. */
export type Draft = Pick<RunPlan, "strategy"> & Settled;

/** Each key is either set or left out, never set to undefined. */
type Settled = {
  readonly [Key in Exclude<keyof RunPlan, "run" | "strategy">]?: Exclude<RunPlan[Key], undefined>;
};

/** The strategies that most scenarios compare by default. */
export const COMPARED = ["none", "memory", "redis", "row-lock", "version"] as const satisfies readonly StrategyName[];

/** The rows of the user's settings, or those that the strategy needs if it needs more. */
export const enoughRows = (strategy: StrategyName, { rows }: Pick<RunSettings, "rows">): number =>
  Math.max(rows, rowsMin(strategy));

export const draftOf = (strategy: StrategyName): Draft => ({ strategy });

/**
 * Expectation of a run that cannot show anything, for the reason `because`. What the strategy promises in general must
 * still not be seen to break.
 */
export function unproven(strategy: StrategyName, because: string): ExpectedOfRun {
  const { expects }: StrategyFacts = STRATEGIES[strategy];
  const unbroken = ASPECTS.filter((aspect) => expects[aspect] === "holds");
  return { data: "unclaimed", exclusion: "unclaimed", because, unbroken };
}

/** Whether a strategy holds somewhere, as opposed to a control. */
export const isGuarding = (strategy: StrategyName): boolean => !isControlStrategy(strategy);

export const isKeyed = (strategy: StrategyName): boolean => STRATEGIES[strategy].lock.keyed;

/** The steps below `largest`, and `largest` itself. */
export function stepsTo(largest: number, steps: readonly number[]): number[] {
  return [...steps.filter((step) => step < largest), largest];
}
