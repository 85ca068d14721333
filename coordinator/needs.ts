/** What a strategy needs beside one MySQL and one Redis, and whether it is here. */
import { type Need, STRATEGIES, type StrategyFacts } from "../worker/contract.ts";
import type { RunPlan } from "./evidence.ts";
import type { ServerAddresses } from "./home.ts";

/** The smallest number of servers that still has a majority when one of them is lost. */
export const MAJORITY_SERVERS = 3;

/** Why this run cannot be made here, in words for the report; undefined where it can. */
export function missingFor(plan: RunPlan, servers: Pick<ServerAddresses, "redisUrls" | "cluster">): string | undefined {
  for (const need of needsOf(plan)) {
    const missing = MISSING[need](servers);
    if (missing !== undefined) return missing;
  }
  return undefined;
}

export const needsMajority = (plan: RunPlan): boolean => needsOf(plan).includes("redis-majority");

// --- Internal helpers -----------------------------------------------------------------------------------------------

const MISSING: Record<Need, (servers: Pick<ServerAddresses, "redisUrls" | "cluster">) => string | undefined> = {
  cluster: ({ cluster }) => (cluster ? undefined : "needs a cluster"),
  "redis-majority": ({ redisUrls }) =>
    redisUrls.length >= MAJORITY_SERVERS
      ? undefined
      : `needs ${MAJORITY_SERVERS} independent Redis servers or more, and REDIS_URLS names ${redisUrls.length} (chart: redis.instances)`,
};

function needsOf({ strategy, mix = [strategy] }: RunPlan): Need[] {
  return mix.flatMap((name) => (STRATEGIES[name] as StrategyFacts).needs ?? []);
}
