import { createHash } from "node:crypto";
import type { Fault, Guard, StrategyName } from "../../../worker/contract.ts";
import { expectedUnder, FAULT_NAMES, type FaultName, factsOf, isConcerned } from "../fault-theory.ts";
import type { RunSettings } from "../options.ts";
import type { RunPlan, ServerFault } from "../run-plan.ts";
import { isControlStrategy } from "../theory.ts";
import { lockOf } from "../worker-faults.ts";
import { type Draft, draftOf, enoughRows, type Scenario } from "./draft.ts";

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
  raisesRows: true,
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
      const rows = enoughRows(strategy, settings);
      const durationMs = Math.round(settings.durationMs / rounds);
      const plain = { ...draftOf(strategy), rows, pauseMs: PAUSE_MS, durationMs };
      if (isControlStrategy(strategy)) return [{ ...plain, guard: "none" }];
      return Array.from({ length: rounds }, (_, round): Draft => {
        const seeded = { ...plain, seed: settings.seed + round };
        const lockTtlMs = Math.max(lockOf(strategy).ttlStepMs ?? 1, settings.lockTtlMs);
        const chosen = chosenFaults(settings);
        const setup = { ...settings, ...seeded, lockTtlMs };
        return { ...seeded, lockTtlMs, ...placeFaults(setup, drawFaults(setup, chosen)) };
      });
    }),
};

/** The faults to draw from: those of the user, or all that are not missing here. */
export const chosenFaults = (
  { faults }: Pick<RunSettings, "faults">,
  missing: Readonly<Partial<Record<FaultName, string>>> = {},
): readonly FaultName[] => (faults.length > 0 ? faults : FAULT_NAMES.filter((name) => missing[name] === undefined));

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
 * Places the faults one after the other in a round, each once, and those of a worker in a worker of its own: two at once
 * may break what survives each of them alone.
 */
export function placeFaults(round: Round, names: readonly FaultName[]): Placed {
  const { durationMs, lockTtlMs, strategy, seed, workers } = round;
  const soak: Fault[] = [];
  const serverFaults: ServerFault[] = [];
  for (const [place, name] of names.entries()) {
    const plan = factsOf(name).plan({ durationMs, lockTtlMs }, strategy);
    const afterMs = (durationMs * (place + 0.5)) / (names.length + 1);
    if ("fault" in plan) soak.push({ ...plan.fault, worker: (seed + place) % workers, afterMs, every: 1, times: 1 });
    else serverFaults.push(...plan.serverFaults.map((one) => ({ ...one, afterMs, everyMs: durationMs, times: 1 })));
  }
  return { soak, serverFaults };
}

interface Placed {
  readonly soak: readonly Fault[];
  readonly serverFaults: readonly ServerFault[];
}

/** A round with its faults drawn again, of these. Other plans stay as they are. */
export const redraw = <Plan extends Round & Pick<RunPlan, "soak" | "serverFaults">>(
  plan: Plan,
  chosen: readonly FaultName[],
): Plan => (plan.soak === undefined ? plan : { ...plan, ...placeFaults(plan, drawFaults(plan, chosen)) });

/** The faults under which theory expects the strategy to keep the data. */
export const survivedBy = (strategy: StrategyName, guard: Guard): FaultName[] =>
  FAULT_NAMES.filter((name) => isConcerned(strategy, name) && expectedUnder(strategy, name, guard).data === "holds");

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** Long enough for three faults of 2.5 TTLs each, and for the operations between them. */
const ROUND_MS = 6_000;
const FAULTS_MAX = 3;
/** As long as a lock that polls waits, so that another worker gets its turn. */
const PAUSE_MS = 20;

const withControl = (strategies: readonly StrategyName[]): readonly StrategyName[] =>
  strategies.some(isControlStrategy) ? strategies : ["none", ...strategies];

const hash = (text: string) => createHash("sha256").update(text).digest().readUInt32BE(0);
