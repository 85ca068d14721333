import { type Fault, STRATEGIES, type StrategyFacts } from "../../../worker/contract.ts";
import { OWN_LEASE } from "../fault-theory.ts";
import type { RunSettings } from "../options.ts";
import type { ExpectedOfRun } from "../run-plan.ts";
import { overtakenMs } from "../worker-faults.ts";
import type { Draft, Scenario } from "./draft.ts";

/**
 * For each strategy with a lease: some operations overrun a short TTL, with and without extension; a holder is stalled
 * just before its write, without a guard and with one; and a holder dies with the TTL that the user chose. For the
 * others, the death of a holder alone.
 */
export const ttl: Scenario = {
  summary: "work that overruns its lock, a holder that is stalled, a holder that dies",
  strategies: ["redis", "seed-mutex", "row-lock"],
  defaults: {},
  unused: ["concurrency", "hold", "pause", "extend", "guard", "keyScope"],
  workersMin: 2,
  breaksLocks: true,
  raisesRows: false,
  drafts: (settings, strategies) =>
    strategies.flatMap((strategy): Draft[] => {
      const { lock, write }: StrategyFacts = STRATEGIES[strategy];
      const { lease, fenced, ttlStepMs = 1, takeoverTtls = 1 } = lock;
      const shortMs = Math.max(ttlStepMs, Math.min(settings.lockTtlMs, TTL_MS_MAX));
      const run = (draft: Partial<Draft>): Draft => ({ strategy, ...COMMON, ...draft });
      const slow = { lockTtlMs: shortMs, fault: overrun(shortMs) };
      const stalled = { lockTtlMs: shortMs, extend: true, fault: stall(overtakenMs(lock, shortMs)) };
      const durationMs = settings.durationMs + settings.lockTtlMs * takeoverTtls;
      const dies = run({ fault: death(settings), durationMs, extend: true });
      // The holder of a plain write also makes operations without its lease, which overrun nothing.
      if (lease === null || write === "plain") return [dies];
      if (strategy === "own")
        return [
          run({ ...slow, extend: true }),
          run({ ...stalled, expects: { data: "unclaimed", exclusion: "unclaimed", because: OWN_LEASE } }),
          // Not every lock has tokens, and every row has a version.
          run({ ...stalled, guard: "version", expects: GUARDED }),
          dies,
        ];
      if (lease === "blind") return [run({ ...slow, extend: false, expects: BLIND }), dies];
      return [
        run({ ...slow, extend: true }),
        run({ ...slow, extend: false, expects: lease === "refreshed" ? UNNOTICED : NOTICED }),
        run({ ...stalled, expects: BROKEN }),
        run({ ...stalled, guard: fenced ? "fence-claim" : "version", expects: GUARDED }),
        dies,
      ];
    }),
};

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** Short enough to be overrun several times in a short run, and longer than a busy machine delays an operation. */
const TTL_MS_MAX = 400;

const COMMON = { concurrency: 1, holdMs: 2, pauseMs: 0, guard: "none" } as const;

const overrun = (ttlMs: number): Fault => ({
  at: "after-read",
  action: "sleep",
  worker: 0,
  forMs: ttlMs * 1.5,
  every: 4,
  afterMs: 0,
});

const stall = (forMs: number): Fault => ({
  at: "before-write",
  action: "stall",
  worker: 0,
  forMs,
  every: 4,
  afterMs: 0,
});

/**
 * A third into the run, so that there is a time before and one after. The run lasts longer by the time in which
 * nobody works, because the others wait for the dead holder's lock to expire.
 */
const death = (settings: RunSettings): Fault => ({
  at: "before-write",
  action: "die",
  worker: 0,
  forMs: 0,
  every: 1,
  afterMs: settings.durationMs / 3,
});

/** The fault comes before the holder checks its lease, so the holder must notice that it has ended. */
const NOTICED: ExpectedOfRun = {
  data: "holds",
  exclusion: "holds",
  because: "the holder checks its lock just before it writes, and does not write if the lock has expired",
};

const UNNOTICED: ExpectedOfRun = {
  data: "violated",
  exclusion: "violated",
  because: "only an extension that fails would tell the holder that its lock has expired, and nothing is extended",
};

const BROKEN: ExpectedOfRun = {
  data: "violated",
  exclusion: "violated",
  because: "no timer fires in a stalled process, so its write comes after the next holder's",
};

const BLIND: ExpectedOfRun = {
  data: "violated",
  exclusion: "violated",
  because: "the holder never learns that the lock has expired, and then deletes the next holder's lock",
};

const GUARDED: ExpectedOfRun = {
  data: "holds",
  exclusion: "unclaimed",
  because: "the row itself shows that another holder wrote in between, so the late write is rejected",
};
