/** What a strategy needs in addition to one MySQL and one Redis, and whether it is available. */
import {
  type Fault,
  LOCK_SERVICES,
  type LockService,
  MAJORITY_SERVERS_MIN,
  type Need,
  STRATEGIES,
  type StrategyFacts,
} from "../../worker/contract.ts";
import type { ServerFaultName } from "./run-plan.ts";
import type { PlannedRun } from "./scenarios/index.ts";

/** What a run may find where it is made. */
export interface AvailableServers {
  /** Independent Redis servers. */
  readonly redisUrls: readonly string[];
  /** Why a lock service is not there. */
  readonly missingServices: Readonly<Partial<Record<LockService, string>>>;
  /** Why a fault of the servers is not made there. */
  readonly missingFaults: Readonly<Partial<Record<ServerFaultName, string>>>;
  /** Whether the workers are pods that can reach an API server. */
  readonly cluster: boolean;
}

/** Why this run cannot be made here, in words for the report; undefined where it can. */
export function missingFor(plan: PlannedRun, servers: AvailableServers): string | undefined {
  const { strategy, mix = [strategy], ownLock } = plan;
  if (mix.includes("own") && ownLock === undefined) return "needs --lock";
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

/** Why the faults of this run cannot be made here; undefined where they can. */
export function missingFaultsFor(
  { fault, soak = [], serverFaults = [], ownLock }: PlannedRun,
  servers: AvailableServers,
) {
  const ofWorkers = [...(fault === undefined ? [] : [fault]), ...soak];
  if (ownLock?.socket !== undefined && ofWorkers.some(({ action }) => action === "stall" || action === "die"))
    return "the stall or death of a worker does not reach the program of a lock that listens on a socket";
  if (ofWorkers.some((each) => each.link !== "mysql" && isNetworkFault(each)) && servers.redisUrls.some(isCluster))
    return "faults of the network are not made between a worker and the nodes of a Redis Cluster";
  return serverFaults.map(({ name }) => servers.missingFaults[name]).find((reason) => reason !== undefined);
}

/** Whether it keeps its lock on all servers of REDIS_URLS, not only on that of REDIS_URL. */
export const usesAllRedis = ({ strategy, mix = [strategy] }: PlannedRun): boolean =>
  mix.some((name) => name === "redlock" || name === "redlock-npm");

export const needsMajority = (plan: PlannedRun): boolean => needsOf(plan).includes("redis-majority");

/** The lock services that some of these runs need. */
export const servicesFor = (plans: readonly PlannedRun[]): LockService[] =>
  LOCK_SERVICES.filter((service) => plans.some((plan) => needsOf(plan).includes(service)));

// --- Internal helpers -----------------------------------------------------------------------------------------------

const missingService =
  (service: LockService) =>
  ({ missingServices }: AvailableServers) =>
    missingServices[service];

const MISSING: Record<Need, (servers: AvailableServers) => string | undefined> = {
  cluster: ({ cluster }) => (cluster ? undefined : "needs a cluster"),
  "redis-majority": ({ redisUrls }) =>
    redisUrls.length >= MAJORITY_SERVERS_MIN
      ? undefined
      : `needs ${MAJORITY_SERVERS_MIN} independent Redis servers or more, and REDIS_URLS names ${redisUrls.length} (chart: redis.instances)`,
  zookeeper: missingService("zookeeper"),
  consul: missingService("consul"),
  etcd: missingService("etcd"),
};

const isCluster = (url: string) => /^rediss?\+cluster:/.test(url);

const isNetworkFault = ({ action }: Fault) =>
  action === "partition" || action === "slow-network" || action === "lost-answer";

const factsOf = ({ strategy, mix = [strategy] }: PlannedRun): StrategyFacts[] => mix.map((name) => STRATEGIES[name]);

const needsOf = (plan: PlannedRun): Need[] => factsOf(plan).flatMap(({ needs }) => needs ?? []);
