import type { StrategyName } from "../../../worker/contract.ts";
import {
  expectedUnder,
  FAULT_NAMES,
  type FaultName,
  factsOf,
  isConcerned,
  isMadeByDefault,
  savingGuard,
} from "../fault-theory.ts";
import { isControlStrategy } from "../theory.ts";
import { lockOf, overtakenMs } from "../worker-faults.ts";
import { type Draft, draftOf, enoughRows, type Scenario } from "./draft.ts";

const STRATEGIES = ["none", "redis", "row-lock", "version", "redlock"] as const satisfies readonly StrategyName[];

/**
 * For each strategy a run without a fault, and one for each fault that can concern it; for some faults the same again behind
 * the guard that saves the data.
 */
export const faults: Scenario = {
  summary: "each strategy without a fault, and with each fault of a worker, of its network and of the servers",
  strategies: STRATEGIES,
  defaults: { duration: "2500ms", workers: 3, lockTtl: "400ms" },
  unused: ["concurrency", "hold", "pause", "rows", "extend", "guard", "keyScope"],
  workersMin: 3,
  breaksLocks: true,
  raisesRows: true,
  mistake: ({ faults, strategies, locks }) => {
    const all: readonly StrategyName[] = [...chosen(strategies), ...(locks.length > 0 ? ["own" as const] : [])];
    const idle = faults.find((fault) => !all.some((strategy) => isConcerned(strategy, fault)));
    return idle === undefined
      ? undefined
      : `fault "${idle}" cannot change what the strategies ${all.join(", ")} do: choose others with --strategies (docs/theory.md)`;
  },
  drafts: (settings, strategies) =>
    strategies.flatMap((strategy): Draft[] => {
      const plain: Draft = { ...draftOf(strategy), rows: enoughRows(strategy, settings), pauseMs: PAUSE_MS };
      if (isControlStrategy(strategy)) return [plain];
      const lock = lockOf(strategy);
      const lockTtlMs = Math.max(lock.ttlStepMs ?? 1, settings.lockTtlMs);
      // The fault happens twice, and takes longer where a lock is taken over later.
      const laterMs = overtakenMs(lock, lockTtlMs) - overtakenMs({ ...lock, takeoverTtls: 1 }, settings.lockTtlMs);
      const times = { lockTtlMs, durationMs: settings.durationMs + 2 * laterMs };
      const made =
        settings.faults.length > 0
          ? settings.faults.filter((fault) => isConcerned(strategy, fault))
          : FAULT_NAMES.filter((fault) => isMadeByDefault(strategy, fault, strategies));
      const runs = made.flatMap((name) => {
        const draft: Draft = { ...plain, ...times, ...factsOf(name).plan(times, strategy), guard: "none" };
        const expects = expectedUnder(strategy, name, "none");
        const saving = GUARDED.includes(name) ? savingGuard(strategy, name) : undefined;
        return [
          { ...draft, expects },
          ...(saving === undefined
            ? []
            : [{ ...draft, guard: saving, expects: expectedUnder(strategy, name, saving) }]),
        ];
      });
      return [{ ...plain, lockTtlMs }, ...runs];
    }),
};

/** The strategies of the user, or those of the scenario. */
const chosen = (strategies: readonly StrategyName[]) => (strategies.length > 0 ? strategies : STRATEGIES);

/** The faults that are also made behind a guard: those that only another guard survives, and one of the others. */
const GUARDED: readonly FaultName[] = ["partition", "foreign-writer"];

/** As long as a lock that polls waits, so that another worker gets its turn. */
const PAUSE_MS = 20;
