/** Faults that end the process of a server, and put it or a replica back: how a run makes them, and what they break. */
import {
  LOCK_SERVICE_TITLES,
  type LockService,
  STRATEGIES,
  type StrategyFacts,
  type StrategyName,
} from "../../worker/contract.ts";
import type { FaultFacts, Times } from "./fault-facts.ts";
import { HOLDS_PER_TTL } from "./fault-times.ts";
import type { ServerFault, ServerFaultName } from "./run-plan.ts";
import { byLease, byPlace, ifLeased, isKeptInRedis, lockOf } from "./worker-faults.ts";

export const RESTART_FAULTS = {
  "redis-restart": {
    summary: "Redis is killed and comes back empty (SIGKILL, nothing on disk)",
    plan: (times) => whileHeld("redis-restart", times),
    concerns: isKeptInRedis,
    breaks: ifLeased("Redis comes back without the lock while its holder is still at work"),
    holds: "the lock is not kept in Redis",
  },
  "redis-restart-saved": {
    summary: "Redis saves its data, shuts down and starts again (SHUTDOWN SAVE)",
    plan: (times) => savedRestart("redis-restart-saved", times),
    concerns: isKeptInRedis,
    alike: byLease,
    breaks: () => undefined,
    holds: "Redis comes back with the lock and its TTL, and its holder goes on holding it",
  },
  "acl-revoked": {
    summary: "the workers' users of Redis lose their rights for 1.5 times the TTL and get them back (ACL SETUSER)",
    plan: (times) => revoked("acl-revoked", times),
    concerns: isKeptInRedis,
    alike: byLease,
    breaks: () => undefined,
    holds: "whoever is refused does not hold the lock, and a holder knows by its own clock when its lease ends",
  },
  "password-rotated": {
    summary:
      "the workers' users of Redis get other passwords and are cut off, and get the old ones back after 1.5 times the TTL",
    plan: (times) => revoked("password-rotated", times),
    concerns: isKeptInRedis,
    onlyIfNamed: true,
    breaks: () => undefined,
    holds: "whoever cannot log in does not get the lock, and a holder knows by its own clock when its lease ends",
  },
  "mysql-restart": {
    summary: "MySQL shuts down and starts again (SIGTERM)",
    plan: (times) => outage("mysql-restart", times),
    concerns: () => true,
    alike: byPlace,
    breaks: () => undefined,
    holds: "a shutdown ends each transaction that has not been committed, and the locks of its connection with it",
  },
  "mysql-crash": {
    summary: "MySQL is killed and starts again (SIGKILL)",
    plan: (times) => outage("mysql-crash", times),
    concerns: () => true,
    alike: byPlace,
    breaks: () => undefined,
    holds: "MySQL writes a commit to disk before it acknowledges it, and undoes what was not committed",
  },
  "redlock-minority": {
    summary: "one Redis of three is down, and comes back empty after 1.5 times the TTL",
    plan: (times) => whileDown("redlock-minority", times),
    concerns: needsMajority,
    breaks: () => undefined,
    holds: "two of three are a majority, and the server is away for longer than any lock that it has forgotten",
  },
  "redlock-majority": {
    summary: "two Redis of three are down, and come back empty after 1.5 times the TTL",
    plan: (times) => whileDown("redlock-majority", times),
    concerns: needsMajority,
    breaks: () => undefined,
    holds:
      "without a majority nobody gets the lock, and the servers are away for longer than any lock that they have forgotten",
  },
  "redlock-amnesia": {
    summary: "one Redis of three is down while the lock is taken and comes back, and another one is restarted empty",
    plan: (times) => whileHeld("redlock-amnesia", times),
    concerns: needsMajority,
    breaks: () => "two of three servers do not know the lock, and they are a majority for the next one",
    holds: "the lock is not kept by a majority",
  },
  "redis-failover": {
    summary: "Redis is killed, and a replica that lags behind and does not have the lock takes its place",
    plan: (times, strategy) => takenOver("redis-failover", times, strategy),
    concerns: isKeptInRedis,
    alike: byLease,
    breaks: ifLeased("the replica that takes over does not have the lock, and gives it to the next one"),
    holds: "the lock is not kept in Redis",
  },
  "zookeeper-restart": restartOf("zookeeper"),
  "consul-restart": restartOf("consul"),
  "etcd-restart": restartOf("etcd"),
} as const satisfies Partial<Record<ServerFaultName, FaultFacts>>;

// --- Internal helpers -----------------------------------------------------------------------------------------------

function restartOf(service: LockService): FaultFacts {
  return {
    summary: `${LOCK_SERVICE_TITLES[service]} shuts down and starts again with its data (SIGTERM)`,
    plan: (times) => serviceRestart(`${service}-restart`, times),
    concerns: (strategy) => lockOf(strategy).keptIn === service,
    breaks: () => undefined,
    holds: "the server comes back with its sessions and locks, and a holder knows by its own clock when its lease ends",
  };
}

function needsMajority(strategy: StrategyName): boolean {
  const { needs }: StrategyFacts = STRATEGIES[strategy];
  return needs === "redis-majority";
}

/** Longer than a restart of Redis and the return of its clients take: a tenth of a second, on a busy machine a whole one. */
const HOLD_MS = 1_500;

const RESTARTS = 2;
const RESTARTED_DURATION_MS = 5_000;

/** Repeatedly, each time while somebody holds the lock for longer than the restart takes. */
function whileHeld(name: ServerFaultName, { lockTtlMs, durationMs }: Times) {
  const times = {
    lockTtlMs: Math.max(lockTtlMs, HOLD_MS * HOLDS_PER_TTL),
    durationMs: Math.max(durationMs, RESTARTED_DURATION_MS),
  };
  const fault: ServerFault = {
    name,
    afterMs: times.durationMs / 6,
    everyMs: times.durationMs / 3,
    times: RESTARTS,
    forMs: 0,
  };
  const holdMs = times.lockTtlMs / HOLDS_PER_TTL;
  return { ...times, holdMs, pauseMs: holdMs / 10, serverFaults: [fault] };
}

/** A server may take a twentieth of the TTL to answer, which must be enough on a busy machine. */
const VOTED_TTL_MS = 1_000;

/** Once, for a third of the run. The operations are short, so that there are enough of them before and after it. */
function whileDown(name: ServerFaultName, given: Times) {
  const lockTtlMs = Math.max(given.lockTtlMs, VOTED_TTL_MS);
  const forMs = lockTtlMs * 1.5;
  const durationMs = Math.max(given.durationMs, forMs * 3);
  const fault: ServerFault = { name, afterMs: durationMs / 4, everyMs: durationMs, times: 1, forMs };
  return { durationMs, lockTtlMs, holdMs: 20, pauseMs: 20, serverFaults: [fault] };
}

/** As whileHeld, but with many rows and a longer run, because there must be operations enough to judge. */
const SAVED = { lockTtlMs: 3_000, durationMs: 6_000, rows: 12, concurrency: 6 } as const;

function savedRestart(name: ServerFaultName, given: Times) {
  const { rows, concurrency } = SAVED;
  const lockTtlMs = Math.max(given.lockTtlMs, SAVED.lockTtlMs);
  const durationMs = Math.max(given.durationMs, SAVED.durationMs);
  const fault: ServerFault = { name, afterMs: durationMs / 8, everyMs: durationMs / 2, times: RESTARTS, forMs: 0 };
  const holdMs = lockTtlMs / HOLDS_PER_TTL;
  return { durationMs, lockTtlMs, rows, concurrency, holdMs, pauseMs: holdMs / 20, serverFaults: [fault] };
}

/** Those who waited are in the queue of Redis and cannot leave it, so each of them may be given the lock for a TTL. */
function revoked(name: ServerFaultName, { lockTtlMs, durationMs: given }: Times) {
  const forMs = lockTtlMs * 1.5;
  const durationMs = Math.max(given, lockTtlMs * 12);
  const fault: ServerFault = { name, afterMs: durationMs / 6, everyMs: durationMs, times: 1, forMs };
  return { durationMs, lockTtlMs, holdMs: 15, pauseMs: 20, serverFaults: [fault] };
}

/** MySQL is away for a part of a second, on a busy machine for several. There are enough rows for each strategy. */
const OUTAGE = { durationMs: 4_500, rows: 4, concurrency: 2 } as const;

/** Once, early. The operations are short and spread over several rows, so that even the part before it has enough. */
function outage(name: ServerFaultName, { lockTtlMs, durationMs: given }: Times) {
  const { rows, concurrency } = OUTAGE;
  const durationMs = Math.max(given, OUTAGE.durationMs);
  const fault: ServerFault = { name, afterMs: durationMs / 6, everyMs: durationMs, times: 1, forMs: 0 };
  return { durationMs, lockTtlMs, rows, concurrency, holdMs: 10, pauseMs: 20, serverFaults: [fault] };
}

/** Longer than the clients take to return, and short, because the replica lags by a TTL. */
const LOCK_TTL_MS = 1_800;
/** The start of the replica, its lag of one TTL, and the holds before, during and after the failover. */
const TTLS_PER_RUN = 10 / 3;

/**
 * Twice, each time for a few TTLs. A pause of one and a half holds leaves half of each hold in which nobody waits: the
 * link is cut in it, because a replica with a queue gives the lock to those who waited then. In the other half somebody
 * waits, so that the lock that is lost has a next holder.
 */
function takenOver(name: ServerFaultName, given: Times, strategy: StrategyName) {
  const lockTtlMs = Math.max(given.lockTtlMs, LOCK_TTL_MS);
  const durationMs = Math.max(given.durationMs, lockTtlMs * TTLS_PER_RUN);
  const fault: ServerFault = { name, afterMs: durationMs / 60, everyMs: durationMs / 2, times: 2, forMs: 0 };
  const holdMs = lockTtlMs / HOLDS_PER_TTL;
  const { worksInside }: StrategyFacts = STRATEGIES[strategy];
  // One that takes its lock for every other operation.
  if (worksInside === false)
    return { durationMs, lockTtlMs, concurrency: 2, holdMs, pauseMs: holdMs * 2.5, serverFaults: [fault] };
  return { durationMs, lockTtlMs, holdMs, pauseMs: holdMs * 1.5, serverFaults: [fault] };
}

/** Locks are held over the restart of a server in Java. Many rows, so that there are enough operations to judge. */
const SERVICE = { lockTtlMs: 5_000, durationMs: 8_000, rows: 12, concurrency: 8 } as const;

/** Once, early: the server takes seconds to start on a busy machine. */
function serviceRestart(name: ServerFaultName, given: Times) {
  const { rows, concurrency } = SERVICE;
  const lockTtlMs = Math.max(given.lockTtlMs, SERVICE.lockTtlMs);
  const durationMs = Math.max(given.durationMs, SERVICE.durationMs);
  const fault: ServerFault = { name, afterMs: durationMs / 4, everyMs: durationMs, times: 1, forMs: 0 };
  const holdMs = lockTtlMs / HOLDS_PER_TTL;
  return { durationMs, lockTtlMs, rows, concurrency, holdMs, pauseMs: holdMs / 20, serverFaults: [fault] };
}
