/** What a strategy needs in addition to one MySQL and one Redis, and whether it is available. */
import { MAJORITY_SERVERS_MIN, type Need, STRATEGIES, type StrategyFacts } from "../../worker/contract.ts";
import type { PlannedRun } from "./scenarios/index.ts";

/** What a run may find where it is made. */
export interface AvailableServers {
  /** Independent Redis servers. */
  readonly redisUrls: readonly string[];
  /** Whether the workers are pods that can reach an API server. */
  readonly cluster: boolean;
}

/** Why this run cannot be made here, in words for the report; undefined where it can. */
export function missingFor(plan: PlannedRun, servers: AvailableServers): string | undefined {
  if (
    plan.guard === "fence-claim" &&
    factsOf(plan).some(({ lock, write }) => !lock.fenced && write !== "self-protecting")
  )
    return 'guard "fence-claim" needs a lock that gives fencing tokens';
  for (const need of needsOf(plan)) {
    const missing = MISSING[need](servers);
    if (missing !== undefined) return missing;
  }
  return undefined;
}

export const needsMajority = (plan: PlannedRun): boolean => needsOf(plan).includes("redis-majority");

// --- Internal helpers -----------------------------------------------------------------------------------------------

const MISSING: Record<Need, (servers: AvailableServers) => string | undefined> = {
  cluster: ({ cluster }) => (cluster ? undefined : "needs a cluster"),
  "redis-majority": ({ redisUrls }) =>
    redisUrls.length >= MAJORITY_SERVERS_MIN
      ? undefined
      : `needs ${MAJORITY_SERVERS_MIN} independent Redis servers or more, and REDIS_URLS names ${redisUrls.length} (chart: redis.instances)`,
};

const factsOf = ({ strategy, mix = [strategy] }: PlannedRun): StrategyFacts[] => mix.map((name) => STRATEGIES[name]);

const needsOf = (plan: PlannedRun): Need[] => factsOf(plan).flatMap(({ needs }) => needs ?? []);
