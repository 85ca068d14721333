import { type Fault, type LockFacts, STRATEGIES, type StrategyName } from "../../../worker/contract.ts";
import type { RunSettings } from "../options.ts";
import type { ExpectedOfRun } from "../run-plan.ts";
import type { Draft } from "./draft.ts";

/** Short enough to be outlived several times in a short run, and longer than a busy machine holds up an operation. */
const SHORT_TTL_MS = 400;

/**
 * For each strategy with a lease: some operations outlive a short TTL, with and without extension; a holder stands still
 * just before its write, without a guard and with one; and a holder dies with the TTL that the user chose. For the
 * others, the death of a holder alone.
 */
export function ttl(settings: RunSettings, strategies: readonly StrategyName[]): Draft[] {
  const common = { concurrency: 1, holdMs: 2, pauseMs: 0, guard: "none" as const };
  return strategies.flatMap((strategy): Draft[] => {
    const { lease, fenced, ttlStepMs = 1 }: LockFacts = STRATEGIES[strategy].lock;
    const short = Math.max(ttlStepMs, Math.min(settings.lockTtlMs, SHORT_TTL_MS));
    const run = (draft: Partial<Draft>): Draft => ({ strategy, ...common, ...draft });
    const slow = { lockTtlMs: short, fault: slowWork(short) };
    const stall = { lockTtlMs: short, extend: true, fault: standingStill(short) };
    const dies = run({ fault: death(settings), durationMs: lifeOf(settings), extend: true });
    if (lease === null) return [dies];
    if (lease === "blind") return [run({ ...slow, extend: false, expects: BLIND }), dies];
    return [
      run({ ...slow, extend: true }),
      run({ ...slow, extend: false, expects: NOTICED }),
      run({ ...stall, expects: BROKEN }),
      run({ ...stall, guard: fenced ? "fence-claim" : "version", expects: GUARDED }),
      dies,
    ];
  });
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const slowWork = (ttlMs: number): Fault => ({
  ...{ at: "after-read", action: "sleep", worker: 0, forMs: ttlMs * 1.5, every: 4, afterMs: 0 },
});

const standingStill = (ttlMs: number): Fault => ({
  ...{ at: "before-write", action: "stall", worker: 0, forMs: ttlMs * 2.5, every: 4, afterMs: 0 },
});

/** Early, so that there is a time before and one after. */
const death = (settings: RunSettings): Fault => ({
  ...{ at: "before-write", action: "die", worker: 0, forMs: 0, every: 1, afterMs: settings.durationMs / 3 },
});

/** As long as other runs, and the TTL on top: nobody works while a dead holder is waited for. */
const lifeOf = ({ durationMs, lockTtlMs }: RunSettings) => durationMs + lockTtlMs;

const NOTICED: ExpectedOfRun = {
  data: "unclaimed",
  exclusion: "unclaimed",
  because: "its holder looks just before it writes, and between the look and the write the lock may still end",
};

const BROKEN: ExpectedOfRun = {
  data: "violated",
  exclusion: "violated",
  because: "no timer fires in a process that stands still, so its write comes after the next holder's",
};

const BLIND: ExpectedOfRun = {
  data: "violated",
  exclusion: "violated",
  because: "its holder never learns that the lock has ended, and then deletes the next one's",
};

const GUARDED: ExpectedOfRun = {
  data: "holds",
  exclusion: "unclaimed",
  because: "the row itself shows that another holder came in between, so the late write is refused",
};
