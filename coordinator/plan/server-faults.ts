/** Faults of the servers: how a run makes them, and what they break. */
import { STRATEGIES, type StrategyFacts, type StrategyName } from "../../worker/contract.ts";
import type { FaultFacts, FaultPlan } from "./fault-facts.ts";
import { often, once } from "./fault-times.ts";
import { RESTART_FAULTS } from "./restart-faults.ts";
import type { ServerFaultName } from "./run-plan.ts";
import { byLease, ifBlind, ifLeased, ifOutside, isKeptInRedis } from "./worker-faults.ts";

export const SERVER_FAULTS = {
  "lock-deleted": {
    summary: "somebody deletes the key of the lock",
    plan: (times, strategy) => contended(often("lock-deleted", times, 1.1), strategy),
    concerns: isKeptInRedis,
    alike: byLease,
    breaks: ifLeased("the next one gets the lock while the holder is still at work"),
    holds: "the lock is not kept in Redis",
  },
  "redis-data-loss": {
    summary: "Redis loses all its data (FLUSHALL)",
    plan: (times, strategy) => contended(often("redis-data-loss", times, 1.1), strategy),
    concerns: isKeptInRedis,
    alike: byLease,
    breaks: ifLeased("Redis has forgotten who holds the lock, and gives it to the next one"),
    holds: "the lock is not kept in Redis",
  },
  "redis-stall": {
    summary: "Redis answers nobody for 1.5 times the TTL (CLIENT PAUSE)",
    plan: (times) => once("redis-stall", times, times.lockTtlMs * 1.5),
    concerns: isKeptInRedis,
    alike: byLease,
    breaks: ifBlind("the release is carried out late and deletes the lock of the next holder"),
    holds: "the holder knows by its own clock when its lease ends, and nobody gets the lock meanwhile",
  },
  "clock-jump": {
    summary: "the clock of Redis jumps forward by an hour (libfaketime)",
    plan: (times, strategy) => contended(often("clock-jump", times, 1.1), strategy),
    concerns: isKeptInRedis,
    alike: byLease,
    breaks: ifLeased("Redis ends the lock by its own clock while the holder is still at work"),
    holds: "the lock is not kept in Redis",
  },
  "foreign-writer": {
    summary: "somebody writes the row without the lock, and counts its version up",
    plan: (times, strategy) => inDatabase(often("foreign-writer", times), strategy),
    // What get-lock and nested read without a row lock depends on the isolation that the server is set to.
    concerns: (strategy) => STRATEGIES[strategy].write !== "plain",
    alike: ifOutside,
    breaks: (strategy) =>
      STRATEGIES[strategy].write === "guarded"
        ? "a lock keeps out only those who take it, so the holder overwrites what was written meanwhile"
        : undefined,
    holds: "whoever writes without the lock still needs the row lock, or changes the version that a write names",
    savedBy: ["version"],
    sparesExclusion: true,
  },
  "mysql-kill-connections": {
    summary: "MySQL ends all connections of its clients (KILL)",
    plan: (times, strategy) => inDatabase(often("mysql-kill-connections", times, 0.8), strategy),
    concerns: (strategy) => STRATEGIES[strategy].lock.keptIn === "database",
    breaks: () => undefined,
    holds: "a transaction that has not been committed ends with its connection, and so does a lock that belongs to it",
  },
  ...RESTART_FAULTS,
} as const satisfies Record<ServerFaultName, FaultFacts>;

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** A strategy that lets operations overlap needs many short ones: of few long ones most are rejected, or none overlap. */
const inDatabase = <Plan extends FaultPlan>(plan: Plan, strategy: StrategyName): Plan => {
  const { expects, worksInside }: StrategyFacts = STRATEGIES[strategy];
  return worksInside === false || expects.exclusion !== "holds" ? { ...plan, holdMs: 5, pauseMs: 20 } : plan;
};

/** A strategy that takes its lock for a part of its operations needs more of them at once, so that somebody waits for it. */
const contended = <Plan extends FaultPlan>(plan: Plan, strategy: StrategyName): Plan => {
  const { worksInside }: StrategyFacts = STRATEGIES[strategy];
  return worksInside === false ? { ...plan, concurrency: 3 } : plan;
};
