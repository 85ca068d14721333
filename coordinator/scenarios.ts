/** Which runs a scenario makes. Each is a list of runs in order, made from the user's settings. */
import type { StrategyName } from "../worker/contract.ts";
import type { RunSettings } from "./config.ts";
import type { RunPlan } from "./evidence.ts";

export interface ScenarioFacts {
  readonly summary: string;
  /** Strategies where the user names none. */
  readonly strategies: readonly StrategyName[];
  /** Locks break on purpose: a TTL below the hold time is not a mistake. */
  readonly breaksLocks: boolean;
}

export const SCENARIOS = {
  compare: {
    summary: "each strategy in turn on the same row",
    strategies: ["none", "memory", "redis", "row-lock", "version"],
    breaksLocks: false,
  },
} as const satisfies Record<string, ScenarioFacts>;

export type ScenarioName = keyof typeof SCENARIOS;

/** The runs of a scenario, in order. Their names begin with the report's, so they are unique in a shared database. */
export function plansOf(report: string, settings: RunSettings): RunPlan[] {
  const { workers, concurrency, rows, durationMs, holdMs, pauseMs, lockTtlMs, extend, lockTimeoutMs, guard, seed } =
    settings;
  const strategies = settings.strategies.length > 0 ? settings.strategies : SCENARIOS[settings.scenario].strategies;
  return strategies.map((strategy, position) => ({
    run: `${report}-${position + 1}-${strategy}`,
    strategy,
    guard,
    workers,
    concurrency,
    rows,
    durationMs,
    holdMs,
    pauseMs,
    lockTtlMs,
    extend,
    lockTimeoutMs,
    seed: seed + position,
  }));
}
