import { createHash } from "node:crypto";
import type { Fault, Guard, StrategyName } from "../../../worker/contract.ts";
import { expectedUnder, FAULT_NAMES, type FaultName, factsOf, isConcerned } from "../fault-theory.ts";
import type { RunSettings } from "../options.ts";
import type { RunPlan } from "../run-plan.ts";
import { isControlStrategy } from "../theory.ts";
import { lockOf } from "../worker-faults.ts";
import { type Draft, draftOf, type Scenario } from "./draft.ts";

const STRATEGIES = ["redis", "redlock", "row-lock", "version"] as const satisfies readonly StrategyName[];

/**
 * Rounds of random faults, drawn from the seed, of those that the strategy survives: each violation is a finding. A
 * round that is violated is repeated with fewer faults (coordinator/runner/shorten.ts). One round of a control, without
 * faults, shows that a violation would be seen.
 */
export const soak: Scenario = {
  summary: "rounds of random faults that each strategy survives, drawn from the seed; --duration is that of all rounds",
  strategies: STRATEGIES,
  defaults: { duration: "30s", lockTtl: "400ms", lockTimeout: "5s" },
  unused: ["concurrency", "pause", "rows", "extend", "keyScope", "repeat"],
  workersMin: 2,
  breaksLocks: true,
  raisesRows: false,
  mistake: ({ faults, strategies, locks, guard }) => {
    const named: readonly StrategyName[] = strategies.length > 0 ? strategies : STRATEGIES;
    const chosen = locks.length > 0 ? [...named, "own" as const] : named;
    const idle = faults.find((fault) => !chosen.some((strategy) => survivedBy(strategy, guard).includes(fault)));
    return idle === undefined
      ? undefined
      : `fault "${idle}" is none that ${chosen.join(", ")} survive, so soak does not make it: choose others, add a --guard, or see --scenario faults (docs/theory.md)`;
  },
  drafts: (settings, strategies) =>
    withControl(strategies).flatMap((strategy): Draft[] => {
      const rounds = Math.max(1, Math.round(settings.durationMs / ROUND_MS));
      const plain = { ...draftOf(strategy), pauseMs: PAUSE_MS, durationMs: Math.round(settings.durationMs / rounds) };
      if (isControlStrategy(strategy)) return [{ ...plain, guard: "none" }];
      return Array.from({ length: rounds }, (_, round): Draft => {
        const seeded = { ...plain, seed: settings.seed + round };
        const lockTtlMs = Math.max(lockOf(strategy).ttlStepMs ?? 1, settings.lockTtlMs);
        const chosen = chosenFaults(settings);
        const setup = { ...settings, ...seeded, lockTtlMs };
        return { ...seeded, lockTtlMs, soak: placeFaults(setup, drawFaults(setup, chosen)) };
      });
    }),
};

/** The faults of the user, or all. */
export const chosenFaults = ({ faults }: Pick<RunSettings, "faults">): readonly FaultName[] =>
  faults.length > 0 ? faults : FAULT_NAMES;

type Round = Pick<RunPlan, "strategy" | "guard" | "seed" | "workers" | "durationMs" | "lockTtlMs">;

/** The faults of this round, drawn from `chosen` by its seed: one to three of those that the strategy survives. */
export function drawFaults({ strategy, guard, seed, workers }: Round, chosen: readonly FaultName[]): FaultName[] {
  const drawn = survivedBy(strategy, guard)
    .filter((name) => chosen.includes(name))
    .map((name) => ({ name, order: hash(`${seed}/${name}`) }))
    .sort((a, b) => a.order - b.order);
  const count = 1 + (hash(`${seed}`) % Math.min(FAULTS_MAX, workers));
  return drawn.slice(0, count).map(({ name }) => name);
}

/**
 * Places the faults one after the other in a round, each once and in a worker of its own: two at once in one worker may
 * break what survives each of them alone.
 */
export function placeFaults(round: Round, names: readonly FaultName[]): readonly Fault[] {
  const { durationMs, lockTtlMs, strategy, seed, workers } = round;
  return names.flatMap((name, place) => {
    const plan = factsOf(name).plan({ durationMs, lockTtlMs }, strategy);
    if (!("fault" in plan)) return [];
    const afterMs = (durationMs * (place + 0.5)) / (names.length + 1);
    return { ...plan.fault, worker: (seed + place) % workers, afterMs, every: 1, times: 1 };
  });
}

/** The faults of a worker and of its network under which theory expects the strategy to keep the data. */
export const survivedBy = (strategy: StrategyName, guard: Guard): FaultName[] =>
  FAULT_NAMES.filter(
    (name) =>
      isConcerned(strategy, name) &&
      "fault" in factsOf(name).plan({ durationMs: ROUND_MS, lockTtlMs: ROUND_MS }, strategy) &&
      expectedUnder(strategy, name, guard).data === "holds",
  );

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** Long enough for three faults of 2.5 TTLs each, and for the operations between them. */
const ROUND_MS = 6_000;
const FAULTS_MAX = 3;
/** As long as a lock that polls waits, so that another worker gets its turn. */
const PAUSE_MS = 20;

const withControl = (strategies: readonly StrategyName[]): readonly StrategyName[] =>
  strategies.some(isControlStrategy) ? strategies : ["none", ...strategies];

const hash = (text: string) => createHash("sha256").update(text).digest().readUInt32BE(0);
