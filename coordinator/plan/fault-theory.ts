/**
 * What theory expects of a strategy under a fault and behind a guard. A lock protects a write only if losing the lock
 * makes the write impossible. A row lock, a version and a claimed token end together with the write; a lease outside the
 * database ends by the clock of another server.
 */
import { type Guard, STRATEGIES, type StrategyName } from "../../worker/contract.ts";
import type { FaultFacts } from "./fault-facts.ts";
import type { ExpectedOfRun } from "./run-plan.ts";
import { SERVER_FAULTS } from "./server-faults.ts";
import { isControlStrategy } from "./theory.ts";
import { lockOf, WORKER_FAULTS } from "./worker-faults.ts";

export const FAULTS = { ...WORKER_FAULTS, ...SERVER_FAULTS } as const;

export type FaultName = keyof typeof FAULTS;
export const FAULT_NAMES = Object.keys(FAULTS) as [FaultName, ...FaultName[]];
export const factsOf = (fault: FaultName): FaultFacts => FAULTS[fault];

/** Whether the fault can change what the strategy does. A lock that lives in one process is only a control. */
export const isConcerned = (strategy: StrategyName, fault: FaultName): boolean =>
  !isControlStrategy(strategy) && factsOf(fault).concerns(strategy);

/** Whether a report on these strategies that names no faults makes it with the strategy: the first of each kind does. */
export function isMadeByDefault(
  strategy: StrategyName,
  fault: FaultName,
  strategies: readonly StrategyName[],
): boolean {
  if (!isConcerned(strategy, fault)) return false;
  const { alike, onlyIfNamed } = factsOf(fault);
  if (onlyIfNamed) return false;
  const kind = alike?.(strategy);
  if (kind === undefined) return true;
  return strategy === strategies.find((each) => isConcerned(each, fault) && alike?.(each) === kind);
}

/** What theory expects of a run with this fault. Call it only for strategies that the fault concerns. */
export function expectedUnder(strategy: StrategyName, fault: FaultName, guard: Guard): ExpectedOfRun {
  const { exclusion } = STRATEGIES[strategy].expects;
  const { breaks, holds, savedBy = GUARDS_OF_LEASES, sparesExclusion } = factsOf(fault);
  const broken = breaks(strategy);
  if (broken === undefined) return { data: "holds", exclusion, because: holds };
  // Only the author knows whether it is a lease.
  if (strategy === "own" && fault === "stall" && !savedBy.includes(guard))
    return { data: "unclaimed", exclusion: "unclaimed", because: OWN_LEASE };
  if (savedBy.includes(guard) && isGuarded(strategy))
    return { data: "holds", exclusion: "unclaimed", because: GUARDED };
  return { data: "violated", exclusion: sparesExclusion ? exclusion : "violated", because: broken };
}

/** The guard that makes a strategy survive the faults that break its lease; undefined where it needs none. */
export function savingGuard(strategy: StrategyName, fault: FaultName): Guard | undefined {
  if (expectedUnder(strategy, fault, "none").data !== "violated" || !isGuarded(strategy)) return undefined;
  const { savedBy = GUARDS_OF_LEASES } = factsOf(fault);
  return savedBy.find((guard) => guard !== "fence-claim" || lockOf(strategy).fenced);
}

/** Why nothing is claimed of a user's own lock under a stall: only its author knows whether it is a lease. */
export const OWN_LEASE = "if it ends while its holder stands still, the write comes after the next holder's";

// --- Internal helpers -----------------------------------------------------------------------------------------------

const isGuarded = (strategy: StrategyName) => STRATEGIES[strategy].write === "guarded";

const GUARDS_OF_LEASES: readonly Guard[] = ["fence-claim", "version"];
const GUARDED = "the row itself shows that another one wrote in between, so the late write is rejected";
