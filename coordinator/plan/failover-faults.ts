/** The fault that puts a replica in the place of a server: how a run makes it, and what it breaks. */
import type { FaultFacts, Times } from "./fault-facts.ts";
import { HOLDS_PER_TTL } from "./fault-times.ts";
import type { ServerFault, ServerFaultName } from "./run-plan.ts";
import { ifLeased, isKeptInRedis } from "./worker-faults.ts";

export const FAILOVER_FAULTS = {
  "redis-failover": {
    summary: "Redis is killed, and a replica that lags behind and does not have the lock takes its place",
    plan: (times) => takenOver("redis-failover", times),
    concerns: isKeptInRedis,
    breaks: ifLeased("the replica that takes over does not have the lock, and gives it to the next one"),
    holds: "the lock is not kept in Redis",
  },
} as const satisfies Partial<Record<ServerFaultName, FaultFacts>>;

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** Longer than the clients take to return, and short, because the replica lags by a TTL. */
const LOCK_TTL_MS = 1_800;
/** The start of the replica, its lag of one TTL, and the holds before, during and after the failover. */
const TTLS_PER_RUN = 10 / 3;

/**
 * Once. A pause of one and a half holds leaves half of each hold in which nobody waits: the link is cut in it, because a
 * replica with a queue gives the lock to those who waited then. In the other half somebody waits, so that the lock that is
 * lost has a next holder.
 */
function takenOver(name: ServerFaultName, given: Times) {
  const lockTtlMs = Math.max(given.lockTtlMs, LOCK_TTL_MS);
  const durationMs = Math.max(given.durationMs, lockTtlMs * TTLS_PER_RUN);
  const fault: ServerFault = { name, afterMs: durationMs / 60, everyMs: durationMs, times: 1, forMs: 0 };
  const holdMs = lockTtlMs / HOLDS_PER_TTL;
  return { durationMs, lockTtlMs, holdMs, pauseMs: holdMs * 1.5, serverFaults: [fault] };
}
