import type { RunPlan } from "../../coordinator/plan/run-plan.ts";
import { nameRuns, planRuns } from "../../coordinator/plan/scenarios/index.ts";
import { readRunOptions } from "../../coordinator/plan/settings.ts";

/** The named runs of these options. */
export const plansOf = (given: Record<string, unknown>): RunPlan[] =>
  nameRuns("0a1b2c3d", planRuns(readRunOptions(given).settings));

/** The named runs of a scenario with these further options. */
export const plans = (scenario: string, given: Record<string, unknown> = {}): RunPlan[] =>
  plansOf({ scenario, ...given });
