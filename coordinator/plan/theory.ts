/**
 * What theory expects of a run as it was made: of the strategies, the fleet's size, the guard and the faults together.
 */
import {
  type Expectation,
  type Guard,
  STRATEGIES,
  type StrategyFacts,
  type StrategyName,
} from "../../worker/contract.ts";
import { quoted } from "../text/format.ts";
import { type Aspect, type ExpectedOfRun, REFUSING_FAULT_NAMES, type RunPlan } from "./run-plan.ts";

export interface Theory {
  readonly data: Expectation;
  readonly exclusion: Expectation;
  /** Why, where it does not follow from the strategy alone: a sentence without its full stop. */
  readonly because?: string | undefined;
  /** Not claimed to hold, and yet must not be seen to break. */
  readonly unbroken?: readonly Aspect[] | undefined;
}
export type Setting = Pick<RunPlan, "strategy" | "workers" | "guard" | "mix" | "expects" | "mysqlServers">;

export function theoryOf(setting: Setting): Theory {
  const theory = theoryOnOneServer(setting);
  const { mysqlServers = 1 } = setting;
  return mysqlServers > 1 ? acrossServers(theory, setting, mysqlServers) : theory;
}

/**
 * Whether this run is a positive control as it was made: `memory` in one worker, or behind a guard, is none; nor is a
 * mix, or a lock that is made to break, although its violation shows as well that a violation is seen.
 */
export const isControl = (setting: Setting): boolean =>
  isControlStrategy(setting.strategy) && setting.mix === undefined && theoryOf(setting).data === "violated";

export const isControlStrategy = (strategy: StrategyName): boolean =>
  (STRATEGIES[strategy] as StrategyFacts).control === true;

/**
 * Whether theory says that the aspect must not be seen to break: claimed to hold, or promised by the strategy in
 * general.
 */
export const isPromised = (theory: Theory, aspect: Aspect): boolean =>
  theory[aspect] === "holds" || theory.unbroken?.includes(aspect) === true;

/** Whether a write of this strategy cannot be stale, whatever others do to the row. */
export function protectsItself(strategy: StrategyName, guard: Guard): boolean {
  const facts: StrategyFacts = STRATEGIES[strategy];
  return facts.write === "self-protecting" || (guard === "version" && facts.write === "guarded");
}

/**
 * Classes of errors that the operations of a correct strategy can have, under this guard and next to these others. All
 * others show that it does not do what it claims, or that the run did not go as it should.
 */
export function expectedErrors(
  strategy: StrategyName,
  { guard, mix, mysqlServers = 1, serverFaults = [] }: Pick<RunPlan, "guard" | "mix" | "mysqlServers" | "serverFaults">,
): Set<string> {
  const facts: StrategyFacts = STRATEGIES[strategy];
  const { keptIn, lease } = facts.lock;
  return new Set([
    ...UNANSWERED,
    "lock-wait-timeout",
    ...(facts.errors ?? []),
    ...(keptIn === null || keptIn === "database" ? [] : ["LockTimeout", "LockAborted", "LockUnreachable"]),
    ...(lease === "watched" || lease === "refreshed" ? ["LockLost"] : []),
    ...(serverFaults.some(({ name }) => REFUSING_FAULT_NAMES.includes(name)) ? ["LockDenied"] : []),
    ...(facts.write === "guarded" && guard === "version" ? ["conflict"] : []),
    ...(facts.write === "guarded" && guard.startsWith("fence") ? ["fenced"] : []),
    // The database ends a transaction for another one. Behind a lock that excludes the others there is no other one,
    // unless several servers write and one of them is behind.
    ...(facts.expects.exclusion === "holds" && mix === undefined && mysqlServers === 1
      ? []
      : ["deadlock", "snapshot-changed"]),
  ]);
}

/** Whether theory says that a holder that overruns its TTL keeps its lock, because the lock is extended meanwhile. */
export const keepsOverrunLock = (plan: RunPlan): boolean =>
  plan.extend && overruns(plan) && ["watched", "refreshed"].includes(leaseOf(plan) ?? "");

/** Whether theory says that a holder that overruns its TTL notices that before its write, because nothing is extended. */
export const noticesOverrun = (plan: RunPlan): boolean => !plan.extend && overruns(plan) && leaseOf(plan) === "watched";

/** What is expected of a run with a lock of the user's own whose author does not claim exclusion. */
export function withoutExclusion({ strategy, guard }: Pick<RunPlan, "strategy" | "guard">): ExpectedOfRun {
  const guarded = guard === "fence-claim" || protectsItself(strategy, guard);
  const because = "its author does not claim that it excludes others";
  return { data: guarded ? "holds" : "unclaimed", exclusion: "unclaimed", because };
}

/** Classes of errors where the database did not answer: a statement may have been carried out after its writer gave up. */
export const UNANSWERED: readonly string[] = ["connection", "statement-timeout", "commit-unanswered"];

// --- Internal helpers -----------------------------------------------------------------------------------------------

const overruns = ({ mix, fault, lockTtlMs }: RunPlan) =>
  mix === undefined && fault?.action === "sleep" && fault.forMs > lockTtlMs;

const leaseOf = ({ strategy }: RunPlan) => STRATEGIES[strategy].lock.lease;

/**
 * A version in the write, or a token claimed before the read, makes any strategy that is guarded optimistic: a stale
 * write is rejected, so the data hold even without a lock. It also means that of two operations that overlap only one
 * is committed, so exclusion cannot be seen to fail where no lock claims it. A token that is checked only on the write
 * changes nothing that theory could promise: a holder with a newer token may have read before an older holder's
 * accepted write.
 */
function theoryOnOneServer({ strategy, workers, guard, mix, expects }: Setting): Theory {
  if (expects !== undefined) {
    const { data, exclusion, because, unbroken } = expects;
    return { data, exclusion, because, ...(unbroken === undefined ? {} : { unbroken }) };
  }
  if (mix !== undefined && new Set(mix).size > 1) return theoryOfMix(mix, guard);
  const facts: StrategyFacts = STRATEGIES[strategy];
  const base = (workers === 1 ? facts.expectsOfOneWorker : undefined) ?? facts.expects;
  if (facts.write !== "guarded" || (guard !== "version" && guard !== "fence-claim")) return base;
  return { data: "holds", exclusion: base.exclusion === "holds" ? "holds" : "unclaimed" };
}

/**
 * Galera, with workers on several servers. A row lock is taken on one server only. What keeps the data is that the cluster
 * rejects, at the COMMIT, a transaction that wrote a row which another server changed meanwhile. So a strategy that writes
 * what it read under a row lock or a version holds, with rejected operations. GET_LOCK also locks on one server only, and
 * whether the write is rejected depends on the isolation of the server (innodb_snapshot_isolation). A lock outside the
 * database holds because each read of a worker waits for what was committed before it (wsrep_sync_wait).
 * Exclusion cannot be judged: operations on two servers are dated by two clocks.
 */
function acrossServers(theory: Theory, { strategy, mix = [strategy] }: Setting, servers: number): Theory {
  const { data, because, unbroken = [] } = theory;
  const named = mix.includes("get-lock");
  const reasons = [
    ...(because === undefined ? [] : [because]),
    ...(named ? ["GET_LOCK locks only within one server"] : []),
    `its workers write to ${servers} servers, each with its own clock and row locks`,
  ];
  const promised = unbroken.filter((aspect) => aspect === "data" && !named);
  return {
    data: named && data === "holds" ? "unclaimed" : data,
    exclusion: "unclaimed",
    because: reasons.join("; "),
    ...(promised.length > 0 ? { unbroken: promised } : {}),
  };
}

/** A lock excludes those who take it. What each checks in its own write, it checks against everybody. */
function theoryOfMix(mix: readonly StrategyName[], guard: Guard): Theory {
  const exposed = [...new Set(mix)].filter((strategy) => !protectsItself(strategy, guard));
  if (exposed.length === 0) {
    const because = "each of them checks in its own write what it relies on, so it does not depend on the others";
    return { data: "holds", exclusion: "unclaimed", because };
  }
  const because = `nothing keeps the others out between the read and the write of ${exposed.map(quoted).join(" and of ")}`;
  return { data: "violated", exclusion: "violated", because };
}
