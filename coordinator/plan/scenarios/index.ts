/** The scenarios, and the runs that each makes of the user's settings. */
import type { StrategyName } from "../../../worker/contract.ts";
import type { RunSettings } from "../options.ts";
import { inRepeats } from "../repeats.ts";
import { nameOfStrategy } from "../run-names.ts";
import type { RunPlan } from "../run-plan.ts";
import { isControlStrategy, theoryOf } from "../theory.ts";
import { acl } from "./acl.ts";
import { all } from "./all.ts";
import { benchmark } from "./benchmark.ts";
import { compare } from "./compare.ts";
import { contention } from "./contention.ts";
import { deadlock } from "./deadlock.ts";
import { type Draft, draftOf, type Scenario } from "./draft.ts";
import { faults } from "./faults.ts";
import { mixed } from "./mixed.ts";
import { soak } from "./soak.ts";
import { spread } from "./spread.ts";
import { ttl } from "./ttl.ts";

export type { Scenario } from "./draft.ts";

/** In the order of `--help`. */
export const SCENARIOS = {
  compare,
  all,
  benchmark,
  contention,
  spread,
  ttl,
  mixed,
  acl,
  deadlock,
  faults,
  soak,
} as const satisfies Record<string, Scenario>;

export type ScenarioName = keyof typeof SCENARIOS;
export const SCENARIO_NAMES = Object.keys(SCENARIOS) as [ScenarioName, ...ScenarioName[]];

/** A run that belongs to no report yet. */
export type PlannedRun = Omit<RunPlan, "run">;

/**
 * The runs of a scenario, in the order in which they are made. Each lock of the user's own has the runs of the strategy
 * `own`, which comes last unless the user names one of the locks elsewhere among the strategies.
 */
export function planRuns(settings: RunSettings & { readonly scenario: ScenarioName }): PlannedRun[] {
  const { scenario, strategies, locks, faults: _, startDeadlineMs, repeat, ...common } = settings;
  const facts = SCENARIOS[scenario];
  const chosen: readonly StrategyName[] = strategies.length > 0 ? strategies : facts.strategies;
  const all = locks.length === 0 || chosen.includes("own") ? chosen : [...chosen, "own" as const];
  const drafts = facts
    .drafts(settings, all)
    .flatMap((draft) =>
      draft.strategy === "own" && locks.length > 0 ? locks.map((ownLock) => ({ ...draft, ownLock })) : [draft],
    );
  const runs = withControl(drafts, settings).map((draft, position) => ({
    ...common,
    seed: settings.seed + position,
    ...draft,
  }));
  return inRepeats(runs, repeat, settings.seed);
}

/** Names the runs after their report, so that they are unique in a database that reports share. */
export const nameRuns = (report: string, planned: readonly PlannedRun[]): RunPlan[] =>
  planned.map((plan, position) => ({
    ...plan,
    run: `${report}-${position + 1}-${plan.mix === undefined ? nameOfStrategy(plan) : "mixed"}`,
  }));

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** Behind a guard the controls hold as well; then a run without the guard shows that a violation would be seen. */
function withControl(drafts: readonly Draft[], { guard, workers }: RunSettings): readonly Draft[] {
  const theories = drafts.map((draft) => theoryOf({ guard, workers, ...draft }).data);
  const controlsHeld = drafts.some(({ strategy }) => isControlStrategy(strategy)) && !theories.includes("violated");
  return guard === "none" || !controlsHeld ? drafts : [{ ...draftOf("none"), guard: "none" }, ...drafts];
}
