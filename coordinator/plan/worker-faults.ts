/** Faults of a worker and of its network: how a run makes them, and what they break. */
import { type Fault, type LockFacts, STRATEGIES, type StrategyName } from "../../worker/contract.ts";
import type { FaultFacts } from "./fault-facts.ts";

export const WORKER_FAULTS = {
  stall: {
    summary: "a holder's process stands still just before its write until the next holder has written",
    plan: ({ lockTtlMs, durationMs }, strategy) => ({
      fault: { ...once(durationMs, "before-write", "stall"), forMs: overtakenMs(lockOf(strategy), lockTtlMs) },
    }),
    concerns: () => true,
    breaks: ifLeased("no timer fires in a stalled process, so its write comes after the next holder's"),
    holds: "what keeps the others out ends together with the write",
  },
  partition: {
    summary: "nothing passes between a holder and its servers for 2.5 times the TTL, from just before its write on",
    plan: ({ lockTtlMs, durationMs }) => ({
      fault: { ...once(durationMs, "before-write", "partition"), forMs: lockTtlMs * 2.5 },
    }),
    concerns: isKeptInRedis,
    breaks: ifLeased("the lock ends while the write is on its way, and nobody can take the write back"),
    holds: "a write that arrives late still needs its row lock or its version",
  },
  "partition-redis": {
    summary: "nothing passes between a holder and Redis for 2.5 times the TTL",
    plan: (times, strategy) => {
      const forMs = times.lockTtlMs * 2.5;
      if (lockOf(strategy).lease !== "blind")
        return { fault: { ...once(times.durationMs, "after-read", "partition"), link: "redis", forMs } };
      // A late release breaks the lock only if somebody holds it just then and another one waits, and not after the end.
      const durationMs = Math.max(times.durationMs, forMs * (BLIND_TIMES + 2));
      const fault: Fault = { ...once(durationMs, "after-read", "partition"), link: "redis", forMs, times: BLIND_TIMES };
      return { fault, durationMs, holdMs: Math.round(times.lockTtlMs / 10) };
    },
    concerns: isKeptInRedis,
    alike: byLease,
    breaks: ifBlind("the release arrives late and deletes the lock of the next holder"),
    holds: "the holder knows by its own clock when its lease ends, and a late release names its owner",
  },
  "partition-mysql": {
    summary: "nothing passes between a holder and MySQL for 2.5 times the TTL, from just before its write on",
    plan: ({ lockTtlMs, durationMs }) => ({
      fault: { ...once(durationMs, "before-write", "partition"), link: "mysql", forMs: lockTtlMs * 2.5 },
    }),
    concerns: () => true,
    alike: (strategy) => (isKeptInRedis(strategy) ? byLease(strategy) : undefined),
    breaks: ifBlind("the lock is not extended while the write is on its way"),
    holds: "the lock is extended, or kept by the database, while the write is on its way",
  },
  "slow-network": {
    summary: "what passes between a holder and its servers takes longer than the TTL, from its read on",
    plan: ({ lockTtlMs, durationMs }, strategy) => ({
      fault: {
        ...once(durationMs, "after-read", "slow-network"),
        delayMs: delayMs(lockOf(strategy), lockTtlMs),
        forMs: lockTtlMs * 3,
      },
    }),
    concerns: isKeptInRedis,
    alike: byLease,
    breaks: ifLeased("the lock ends while the write is on its way, and its extension arrives too late"),
    holds: "a write that arrives late still needs its row lock or its version",
  },
  die: {
    summary: "a holder's process ends just before its write, and releases nothing",
    plan: ({ durationMs }) => ({ fault: { ...once(durationMs, "before-write", "die"), every: 1, times: 1 } }),
    concerns: () => true,
    breaks: () => undefined,
    holds: "nobody writes in the place of the dead holder, and the others wait for its lock until the TTL ends at most",
  },
  "lost-acquire": {
    summary: "the request for the lock is carried out, and its answer does not arrive",
    plan: ({ durationMs }, strategy) => ({ fault: lostAnswer(durationMs, "before-acquire", strategy) }),
    concerns: isKeptInRedis,
    breaks: () => undefined,
    holds: "whoever does not know that it holds the lock does not write, and the others wait for the TTL at most",
  },
  "lost-release": {
    summary: "the release is carried out, and its answer does not arrive",
    plan: ({ durationMs }, strategy) => ({ fault: lostAnswer(durationMs, "before-release", strategy) }),
    concerns: isKeptInRedis,
    alike: byLease,
    breaks: () => undefined,
    holds: "a release that is sent again names its owner, or is not sent again",
  },
  "lost-commit": {
    summary: "a COMMIT is carried out, and its answer does not arrive",
    plan: ({ durationMs }) => ({ fault: { ...lostAnswer(durationMs, "before-commit"), link: "mysql" } }),
    concerns: () => true,
    alike: ifOutside,
    breaks: () => undefined,
    holds: "the outcome is unknown to the caller, and the ledger has it by the id of the operation",
  },
} as const satisfies Record<string, FaultFacts>;

export const lockOf = (strategy: StrategyName): LockFacts => STRATEGIES[strategy].lock;

export function isKeptInRedis(strategy: StrategyName): boolean {
  return lockOf(strategy).keptIn === "redis";
}

/** Strategies that are alike where only the database is concerned. Only its author knows where a user's own lock is kept. */
export function ifOutside(strategy: StrategyName): string | undefined {
  const { keptIn } = lockOf(strategy);
  return keptIn === null || keptIn === "database" || keptIn === "elsewhere" ? undefined : "outside the database";
}

/** Strategies that are alike where connections and transactions end with the database. */
export function byPlace(strategy: StrategyName): string | undefined {
  const { lock, write } = STRATEGIES[strategy];
  return lock.keptIn === "database" ? `${write} in the database` : ifOutside(strategy);
}

/** Strategies that are alike where the lock ends, or is kept, on all servers. */
export function byLease(strategy: StrategyName): string | undefined {
  const { keptIn, lease } = lockOf(strategy);
  return keptIn === "elsewhere" ? undefined : `${lease} in ${keptIn}`;
}

/** Why a lease outside the database breaks, whatever its kind. */
export function ifLeased(why: string): FaultFacts["breaks"] {
  return (strategy) => (lockOf(strategy).lease === null ? undefined : why);
}

/** Why a lease that nobody watches breaks. */
export function ifBlind(why: string): FaultFacts["breaks"] {
  return (strategy) => (lockOf(strategy).lease === "blind" ? why : undefined);
}

/** How long a holder must stand still until another one has the lock and has written, milliseconds. */
export const overtakenMs = ({ takeoverTtls = 1 }: LockFacts, lockTtlMs: number): number =>
  lockTtlMs * takeoverTtls + lockTtlMs * 1.5;

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** Happens to one worker, from a quarter of the run on, twice at most: so there is a time before, and one after. */
const once = (durationMs: number, at: Fault["at"], action: Fault["action"]): Fault => ({
  at,
  action,
  worker: 0,
  afterMs: durationMs / 4,
  every: 2,
  times: 2,
  forMs: 0,
});

/** How often a fault happens that breaks a blind lease only now and then. */
const BLIND_TIMES = 3;

/** Varies by half of itself, and the shortest delay must still be longer than the time until another one has the lock. */
const delayMs = ({ takeoverTtls = 1 }: LockFacts, lockTtlMs: number) => lockTtlMs * (takeoverTtls * 2 + 0.5);

const lostAnswer = (durationMs: number, at: Fault["at"], strategy?: StrategyName): Fault => ({
  ...once(durationMs, at, "lost-answer"),
  times: 4,
  link: strategy !== undefined && isKeptInRedis(strategy) ? "redis" : "mysql",
});
