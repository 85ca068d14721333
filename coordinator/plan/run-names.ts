/** Names of runs: the shortest name that distinguishes a run from the others, and its settings in words. Pure. */
import { type Fault, type Guard, type PairRules, STRATEGIES, type StrategyName } from "../../worker/contract.ts";
import { duration, plural } from "../text/format.ts";
import type { PlanSettings } from "./run-plan.ts";
import type { Theory } from "./theory.ts";

/** What the name of a run is made of. */
export interface NamedRun {
  readonly strategy: StrategyName;
  readonly guard: Guard;
  readonly mix?: readonly StrategyName[] | undefined;
  readonly plan: PlanSettings;
}

/** `redis`, `redis+version` behind a guard, `redis beside none` where the workers use several. */
export function labelOf({ strategy, guard, mix = [strategy] }: Omit<NamedRun, "plan">): string {
  const names = [...new Set(mix)].join(" beside ");
  const guarded = mix.some((one) => STRATEGIES[one].write === "guarded");
  return guard === "none" || !guarded ? names : `${names}+${guard}`;
}

/** The strategy, its guard where it has one, the settings in which runs of the same strategy differ, and the fault. */
export function labelsOf<Run extends NamedRun>(runs: readonly Run[]): ReadonlyMap<Run, string> {
  const twins = Map.groupBy(runs, labelOf);
  return new Map(
    runs.map((run) => {
      const differing = differingSettings(twins.get(labelOf(run)) ?? []);
      const words = [...differing.map((setting) => TERSE[setting](run.plan)), describeFault(run.plan)];
      return [run, [labelOf(run), ...words.filter((text) => text !== "")].join(", ")];
    }),
  );
}

/** `redis (8 workers, hold 2 ms)`: a name that has commas of its own, for a sentence or a list of names. */
export const inProse = (name: string) => name.replace(/^([^,]*), (.*)$/, "$1 ($2)");

/**
 * Names of some of all runs, each once. The strategy alone is the name where all runs of the strategy are among them,
 * apart from those of which nothing is claimed.
 */
export function namesAmong<Run extends NamedRun & { readonly expects: Pick<Theory, "data"> }>(
  some: readonly Run[],
  all: readonly Run[],
  names: ReadonlyMap<Run, string>,
): string[] {
  const others = all.filter((run) => !some.includes(run) && run.expects.data !== "unclaimed");
  const apart = new Set(others.map(labelOf));
  return [...new Set(some.map((run) => (apart.has(labelOf(run)) ? inProse(names.get(run) ?? "") : labelOf(run))))];
}

/** Settings that all runs share: `4 workers`, `hold 2 ms`. A setting that the runs do not have is left out. */
export function sharedSettings(runs: readonly NamedRun[], settings: readonly Setting[] = SETTINGS): string[] {
  const [first] = runs;
  if (first === undefined) return [];
  const differing = new Set(differingSettings(runs));
  return settings
    .filter((setting) => !differing.has(setting) && settingOf(first.plan, setting) !== undefined)
    .map((setting) => WORDS[setting](first.plan))
    .filter((text) => text !== "");
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** The settings of a plan that change what a run shows. The seed of the random numbers is not one of them. */
export type Setting = Exclude<keyof PlanSettings, "seed" | "fault" | "pair"> | keyof PairRules;

const DEADLOCKS: Record<PairRules["onDeadlock"], string> = {
  "give-up": "given up",
  retry: "tried again",
  "carry-on": "carried on",
};

const WORDS: Record<Setting, (plan: PlanSettings) => string> = {
  workers: ({ workers }) => plural(workers, "worker"),
  concurrency: ({ concurrency }) => `${plural(concurrency, "loop")} in each`,
  rows: ({ rows }) => plural(rows, "row"),
  keyScope: ({ keyScope }) => (keyScope === "global" ? "one key for all" : ""),
  durationMs: ({ durationMs }) => `${duration(durationMs)} each`,
  holdMs: ({ holdMs }) => `hold ${duration(holdMs)}`,
  pauseMs: ({ pauseMs }) => `pause ${duration(pauseMs)}`,
  intervalMs: ({ intervalMs }) => (intervalMs === undefined ? "as fast as it can" : `every ${duration(intervalMs)}`),
  lockTtlMs: ({ lockTtlMs }) => `TTL ${duration(lockTtlMs)}`,
  extend: ({ extend }) => (extend ? "extended" : "not extended"),
  lockTimeoutMs: ({ lockTimeoutMs }) => `lock timeout ${duration(lockTimeoutMs)}`,
  order: ({ pair }) => (pair === undefined ? "" : `${pair.order} order`),
  onDeadlock: ({ pair }) => (pair === undefined ? "" : `deadlock ${DEADLOCKS[pair.onDeadlock]}`),
};
const SETTINGS = Object.keys(WORDS) as Setting[];

/** For the name of a run, which leaves out the usual value. */
const TERSE: typeof WORDS = { ...WORDS, extend: ({ extend }) => (extend ? "" : "not extended") };

const FAULTS: Record<Fault["action"], string> = {
  sleep: "outlives its TTL",
  stall: "holder stands still",
  die: "holder dies",
};

const describeFault = ({ fault }: PlanSettings) => (fault === undefined ? "" : FAULTS[fault.action]);

const settingOf = (plan: PlanSettings, setting: Setting) =>
  setting === "order" || setting === "onDeadlock" ? plan.pair?.[setting] : plan[setting];

/** The duration of a run says little about how runs differ, so it counts only where nothing else differs. */
function differingSettings(runs: readonly NamedRun[]): Setting[] {
  const differing = SETTINGS.filter((setting) => new Set(runs.map(({ plan }) => settingOf(plan, setting))).size > 1);
  const telling = differing.filter((setting) => setting !== "durationMs");
  return telling.length > 0 ? telling : differing;
}
