/** The scenarios: which runs each makes of the user's settings, and what it needs of them. */
import { leastRowsOf, STRATEGY_NAMES, type StrategyName } from "../../../worker/contract.ts";
import type { RunOptions, RunSettings } from "../options.ts";
import type { RunPlan } from "../run-plan.ts";
import { isControlStrategy, theoryOf } from "../theory.ts";
import { benchmark } from "./benchmark.ts";
import { contention } from "./contention.ts";
import { deadlock } from "./deadlock.ts";
import { type Draft, draftOf } from "./draft.ts";
import { mixed } from "./mixed.ts";
import { spread } from "./spread.ts";
import { ttl } from "./ttl.ts";

export interface ScenarioFacts {
  readonly summary: string;
  /** Strategies where the user names none. */
  readonly strategies: readonly StrategyName[];
  /** Options that have another default here. */
  readonly defaults: Partial<Pick<RunOptions, "workers" | "rows" | "duration">>;
  /** Options that change nothing here, so that whoever gives them means something else. */
  readonly unused: readonly (keyof RunOptions)[];
  readonly leastWorkers: number;
  /** Locks break on purpose: a TTL below the hold time is not a mistake. */
  readonly breaksLocks: boolean;
  /** The runs, in order. */
  drafts(settings: RunSettings, strategies: readonly StrategyName[]): readonly Draft[];
}

const COMPARED = ["none", "memory", "redis", "row-lock", "version"] as const;

export const SCENARIO_NAMES = [
  ...(["compare", "all", "benchmark", "contention", "spread"] as const),
  ...(["ttl", "mixed", "acl", "deadlock"] as const),
] as const;
export type ScenarioName = (typeof SCENARIO_NAMES)[number];

export const SCENARIOS: Record<ScenarioName, ScenarioFacts> = {
  compare: scenario("each strategy in turn on the same row", COMPARED, {
    drafts: (_, strategies) => strategies.map(draftOf),
  }),
  all: scenario("every strategy that can run here, in turn, on as many rows as it needs", STRATEGY_NAMES, {
    drafts: ({ rows }, strategies) =>
      strategies.map((strategy) => ({ strategy, rows: Math.max(rows, leastRowsOf(strategy)) })),
  }),
  benchmark: scenario("each strategy at a fixed rate and as fast as it can: times, percentiles, errors", COMPARED, {
    defaults: { duration: "3s" },
    drafts: benchmark,
  }),
  contention: scenario(
    "more and more workers, up to --workers, and a longer hold: what waiting costs, and what trying costs",
    ["none", "redis", "row-lock", "version"],
    { defaults: { workers: 8, duration: "2s" }, unused: ["pause"], leastWorkers: 2, drafts: contention },
  ),
  spread: scenario(
    "1, 2, 10 and 100 rows, up to --rows, with a key for each row and with one for all",
    ["none", "redis", "row-lock", "version"],
    { defaults: { rows: 100, duration: "2s" }, unused: ["keyScope"], leastWorkers: 2, drafts: spread },
  ),
  ttl: scenario(
    "work that outlives its lock, a holder that stands still, a holder that dies",
    ["redis", "seed-mutex", "row-lock"],
    {
      unused: ["concurrency", "hold", "pause", "extend", "guard", "keyScope"],
      leastWorkers: 2,
      breaksLocks: true,
      drafts: ttl,
    },
  ),
  mixed: scenario("several strategies at once on one row: who protects whom", [], {
    leastWorkers: 2,
    drafts: mixed,
  }),
  acl: scenario("what each Redis user must not do, tried; no workers", [], {
    unused: [
      ...(["strategies", "workers", "concurrency", "duration", "hold", "pause", "rows", "lockTtl", "extend"] as const),
      ...(["lockTimeout", "guard", "keyScope", "seed"] as const),
    ],
    drafts: () => [],
  }),
  deadlock: scenario("two rows locked in opposite order: given up, tried again, carried on by mistake", ["row-pair"], {
    unused: ["strategies", "rows", "guard", "keyScope", "lockTtl", "extend", "lockTimeout"],
    leastWorkers: 2,
    drafts: deadlock,
  }),
};

/** The runs of a scenario, in order. Their names begin with the report's, so they are unique in a shared database. */
export function plansOf(report: string, settings: RunSettings): RunPlan[] {
  const { scenario, strategies, startDeadlineMs, ...common } = settings;
  const facts = SCENARIOS[scenario];
  const drafts = facts.drafts(settings, strategies.length > 0 ? strategies : facts.strategies);
  return withControl(drafts, settings).map((draft, position) => ({
    ...common,
    ...draft,
    run: `${report}-${position + 1}-${draft.mix === undefined ? draft.strategy : "mixed"}`,
    seed: settings.seed + position,
  }));
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** Behind a guard the controls hold as well; then one without it shows that a violation would be seen. */
function withControl(drafts: readonly Draft[], { guard, workers }: RunSettings): readonly Draft[] {
  const theories = drafts.map((draft) => theoryOf({ guard, workers, ...draft }).data);
  const tamed = drafts.some(({ strategy }) => isControlStrategy(strategy)) && !theories.includes("violated");
  return guard === "none" || !tamed ? drafts : [{ ...draftOf("none"), guard: "none" }, ...drafts];
}

function scenario(
  summary: string,
  strategies: readonly StrategyName[],
  facts: Partial<ScenarioFacts> & Pick<ScenarioFacts, "drafts">,
): ScenarioFacts {
  return { summary, strategies, defaults: {}, unused: [], leastWorkers: 1, breaksLocks: false, ...facts };
}
