/** Names of runs: the shortest name that distinguishes a run from the others, and its settings in words. Pure. */
import {
  type Fault,
  type Guard,
  type Link,
  type PairRules,
  STRATEGIES,
  type StrategyName,
} from "../../worker/contract.ts";
import { duration, plural, quoted } from "../text/format.ts";
import type { PlanSettings, ServerFaultName } from "./run-plan.ts";
import type { Theory } from "./theory.ts";

/** What the name of a run is made of. */
export interface NamedRun {
  readonly strategy: StrategyName;
  readonly guard: Guard;
  readonly mix?: readonly StrategyName[] | undefined;
  readonly ownLock?: { readonly name: string } | undefined;
  readonly plan: PlanSettings;
  readonly repeat?: number | undefined;
}

/** The strategy; of a lock of the user's own, the name that the user gave it. */
export const nameOfStrategy = ({ strategy, ownLock }: Pick<NamedRun, "ownLock"> & { readonly strategy: string }) =>
  ownLock?.name ?? strategy;

/**
 * The strategy, with its guard or with the other strategies of a mix: `redis`, `redis+version`, `redis next to none`.
 */
export function labelOf(run: Omit<NamedRun, "plan" | "repeat">): string {
  const { strategy, guard, mix = [strategy] } = run;
  const names = run.mix === undefined ? nameOfStrategy(run) : [...new Set(mix)].join(NEXT_TO);
  return isGuarded(guard, mix) ? `${names}+${guard}` : names;
}

/** The same inside a sentence: `"redis"`, `"redis+version"`, `"redis" next to "none"`. */
export function quotedLabelOf(run: Omit<NamedRun, "plan" | "repeat">): string {
  const { guard, mix } = run;
  if (mix === undefined) return quoted(labelOf(run));
  const names = [...new Set(mix)].map(quoted).join(NEXT_TO);
  return isGuarded(guard, mix) ? `${names} with guard ${quoted(guard)}` : names;
}

/**
 * The label of each run and the settings that distinguish it from the others with the same label, for tables: `redis, 8
 * workers, holder dies`. A fault and a repeat are always named.
 */
export const labelsOf = <Run extends NamedRun>(runs: readonly Run[]): ReadonlyMap<Run, string> =>
  nameAll(runs, (run, settings) => [labelOf(run), ...settings].join(", "));

/** The same names inside sentences: `"redis" (8 workers, holder dies)`. */
export const quotedLabelsOf = <Run extends NamedRun>(runs: readonly Run[]): ReadonlyMap<Run, string> =>
  nameAll(runs, (run, settings) => quotedLabelOf(run) + (settings.length > 0 ? ` (${settings.join(", ")})` : ""));

/**
 * Names of some of all runs for a sentence, each once. The strategy alone is the name where all runs of the strategy
 * are among them, apart from those of which nothing is claimed.
 */
export function namesAmong<Run extends NamedRun & { readonly expects: Pick<Theory, "data"> }>(
  some: readonly Run[],
  all: readonly Run[],
): string[] {
  const names = quotedLabelsOf(all);
  const others = all.filter((run) => !some.includes(run) && run.expects.data !== "unclaimed");
  const apart = new Set(others.map(labelOf));
  return [...new Set(some.map((run) => (apart.has(labelOf(run)) ? (names.get(run) ?? "") : quotedLabelOf(run))))];
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

const NEXT_TO = " next to ";

const isGuarded = (guard: Guard, mix: readonly StrategyName[]) =>
  guard !== "none" && mix.some((strategy) => STRATEGIES[strategy].write === "guarded");

function nameAll<Run extends NamedRun>(
  runs: readonly Run[],
  name: (run: Run, settings: readonly string[]) => string,
): ReadonlyMap<Run, string> {
  // A fault of the servers decides the times of its run, so they say nothing next to its name.
  const kindOf = (run: Run) => `${labelOf(run)} ${describeFault({ serverFaults: run.plan.serverFaults })}`;
  const twins = Map.groupBy(runs, kindOf);
  return new Map(
    runs.map((run) => {
      const differing = differingSettings(twins.get(kindOf(run)) ?? []);
      const settings = [
        ...differing.map((setting) => TERSE[setting](run.plan)),
        // Rounds of a soak may have the same faults at other times.
        run.plan.soak === undefined ? "" : `seed ${run.plan.seed}`,
        describeFault(run.plan),
        run.repeat === undefined ? "" : `repeat ${run.repeat}`,
      ];
      return [
        run,
        name(
          run,
          settings.filter((text) => text !== ""),
        ),
      ];
    }),
  );
}

/** The settings of a plan that change what a run shows. The seed of the random numbers is not one of them. */
export type Setting =
  | Exclude<keyof PlanSettings, "seed" | "fault" | "soak" | "serverFaults" | "pair" | "mysqlServers">
  | keyof PairRules;

const DEADLOCKS: Record<PairRules["onDeadlock"], string> = {
  "give-up": "gives up on deadlocks",
  retry: "retries deadlocks",
  "carry-on": "ignores deadlocks",
};

const WORDS: Record<Setting, (plan: PlanSettings) => string> = {
  workers: ({ workers }) => plural(workers, "worker"),
  concurrency: ({ concurrency }) => `${plural(concurrency, "loop")} per worker`,
  rows: ({ rows }) => plural(rows, "row"),
  keyScope: ({ keyScope }) => (keyScope === "global" ? "one key for all" : ""),
  durationMs: ({ durationMs }) => `${duration(durationMs)} per run`,
  holdMs: ({ holdMs }) => `hold ${duration(holdMs)}`,
  pauseMs: ({ pauseMs }) => `pause ${duration(pauseMs)}`,
  intervalMs: ({ intervalMs }) => (intervalMs === undefined ? "as fast as it can" : `every ${duration(intervalMs)}`),
  lockTtlMs: ({ lockTtlMs }) => `TTL ${duration(lockTtlMs)}`,
  extend: ({ extend }) => (extend ? "extended" : "not extended"),
  lockTimeoutMs: ({ lockTimeoutMs }) => `lock timeout ${duration(lockTimeoutMs)}`,
  order: ({ pair }) => (pair === undefined ? "" : `${pair.order} order`),
  onDeadlock: ({ pair }) => (pair === undefined ? "" : DEADLOCKS[pair.onDeadlock]),
};
const SETTINGS = Object.keys(WORDS) as Setting[];

/** For the name of a run, which leaves out the usual value. */
const TERSE: typeof WORDS = { ...WORDS, extend: ({ extend }) => (extend ? "" : "not extended") };

const FAULTS: Record<Fault["action"], string> = {
  sleep: "holder overruns its TTL",
  stall: "holder is stalled",
  die: "holder dies",
  partition: "partition",
  "slow-network": "slow network",
  "lost-answer": "lost answer",
};

const PLACES: Record<Fault["at"], string> = {
  "before-acquire": "acquire",
  "after-read": "read",
  "before-write": "write",
  "before-commit": "COMMIT",
  "before-release": "release",
};

const SERVER_FAULTS: Record<ServerFaultName, string> = {
  "lock-deleted": "lock deleted",
  "redis-data-loss": "Redis loses its data",
  "redis-stall": "Redis is stalled",
  "foreign-writer": "foreign writer",
  "mysql-kill-connections": "connections killed",
  "redis-restart": "Redis restarts empty",
  "mysql-restart": "MySQL restarts",
  "mysql-crash": "MySQL crashes",
  "redlock-minority": "one Redis of three is down",
  "redlock-majority": "two Redis of three are down",
  "redlock-amnesia": "two Redis of three forget",
  "redis-restart-saved": "Redis restarts with its data",
  "acl-revoked": "rights revoked",
  "password-rotated": "password rotated",
  "redis-failover": "Redis fails over",
  "clock-jump": "Redis's clock jumps",
  "zookeeper-restart": "ZooKeeper restarts",
  "consul-restart": "Consul restarts",
  "etcd-restart": "etcd restarts",
};

/** The faults of a run in a few words; empty in a run without any. */
export function describeFault({
  fault,
  soak = [],
  serverFaults = [],
}: Pick<PlanSettings, "fault" | "soak" | "serverFaults">): string {
  const ofWorkers = [...(fault === undefined ? [] : [fault]), ...soak].map(describeOne);
  return [...ofWorkers, ...serverFaults.map(({ name }) => SERVER_FAULTS[name])].join(", ");
}

function describeOne({ action, at, link }: Fault): string {
  if (action === "lost-answer") return `lost answer to ${PLACES[at]}`;
  return action === "partition" && link !== undefined ? `partition from ${SERVERS[link]}` : FAULTS[action];
}
const SERVERS = { redis: "Redis", mysql: "MySQL" } as const satisfies Record<Link, string>;

const settingOf = (plan: PlanSettings, setting: Setting) =>
  setting === "order" || setting === "onDeadlock" ? plan.pair?.[setting] : plan[setting];

/** The duration of a run says little about how runs differ, so it counts only where nothing else differs. */
function differingSettings(runs: readonly NamedRun[]): Setting[] {
  const differing = SETTINGS.filter((setting) => new Set(runs.map(({ plan }) => settingOf(plan, setting))).size > 1);
  const telling = differing.filter((setting) => setting !== "durationMs");
  return telling.length > 0 ? telling : differing;
}
