/** The verdict on one run: evidence in, judgement out. Pure. */

import { ASPECTS, type Aspect, workerIndexes } from "../plan/run-plan.ts";
import { isPromised, keepsOverrunLock, noticesOverrun, type Theory, theoryOf } from "../plan/theory.ts";
import { outOf, plural } from "../text/format.ts";
import { staleWrites } from "./checks/chain.ts";
import { CHECKS } from "./checks/index.ts";
import { reconcile } from "./checks/reconciliation.ts";
import { overlapOf } from "./checks/vacuity.ts";
import { sumMoney } from "./checks/value.ts";
import { orderVersions } from "./checks/version-order.ts";
import { countResolved, readHistories } from "./checks/writer-histories.ts";
import type { Evidence } from "./evidence.ts";
import { hasFaults } from "./faults.ts";
import { describeLost } from "./lost-workers.ts";
import { explanationsOf } from "./notes.ts";
import type { Agreement, CheckResult, Judgement, Verdict } from "./report-data.ts";

/**
 * A violation that was found stays one, whatever else is missing. To hold, an aspect needs its own checks, no lost
 * worker, no problem in the run, enough contention, and three independent counts that agree.
 */
export function judge(evidence: Evidence): Judgement {
  const { checks, ...measures } = examine(evidence);
  const verdicts = {
    data: concludeAspect("data", evidence, checks),
    exclusion: concludeAspect("exclusion", evidence, checks),
  };
  const theory = theoryOf(evidence.plan);
  const compared = [
    ...ASPECTS.map((aspect) => compareWithTheory(aspect, theory, verdicts[aspect], evidence, checks)),
    findLostLocks(evidence),
  ];
  const worst = compared.find(({ is }) => is === "mismatch") ?? compared.find(({ is }) => is === "unknown");
  const reasons = worst === undefined || worst.is === "expected" ? [] : [...worst.reasons, ...explanationsOf(evidence)];
  return { ...verdicts, agreement: worst?.is ?? "expected", reasons, checks, ...measures };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const isUnread = ({ ledger, final }: Evidence) => ledger.length === 0 && final.length === 0;

type Examined = Omit<Judgement, Aspect | "agreement" | "reasons">;

function examine(evidence: Evidence): Examined {
  const order = orderVersions(evidence.ledger);
  const histories = readHistories(evidence);
  const input = { evidence, order, histories };
  const checks = Object.values(CHECKS).map((check) => check.examine(input));
  const measured = { overlap: overlapOf(evidence), reconciliation: reconcile(evidence, histories) };
  if (isUnread(evidence)) {
    // Compared with an empty ledger that nobody read, every acknowledged operation would look lost.
    const none = { status: "unknown", detail: "no data: the ledger was not read", count: 0, witnesses: [] } as const;
    return {
      checks: checks.map((result) => (result.check === "naive" ? result : { check: result.check, ...none })),
      ...measured,
      lostUpdates: null,
      grantedMoney: null,
      lostMoney: null,
    };
  }
  const { granted, lost } = sumMoney(evidence);
  const resolved = countResolved(histories);
  return {
    checks,
    ...measured,
    lostUpdates: staleWrites(evidence.ledger),
    grantedMoney: granted,
    lostMoney: lost,
    ...(resolved.applied + resolved.notApplied === 0 ? {} : { resolved }),
  };
}

function concludeAspect(aspect: Aspect, evidence: Evidence, checks: readonly CheckResult[]): Verdict {
  const own = checks.filter(({ check }) => CHECKS[check].violates === aspect);
  const violated = own.filter(({ status }) => status === "violated");
  if (violated[0] !== undefined)
    return { value: "violated", count: violated[0].count, reasons: violated.map(({ detail }) => detail) };
  const missing = findGaps(evidence, checks);
  const vacuous = checks.filter(({ check, status }) => check === "vacuity" && status !== "holds");
  const unclear = [...own.filter(({ status }) => status === "unknown"), ...vacuous];
  const reasons = missing.length > 0 ? missing : [...new Set(unclear.map(({ detail }) => detail))];
  if (reasons.length > 0) return { value: "unknown", reasons };
  return { value: "holds", operations: evidence.ledger.length, rateBelow: 3 / evidence.ledger.length };
}

/**
 * Why the evidence of the run is incomplete. Causes stand alone: what follows from a lost worker or a problem is left
 * out.
 */
function findGaps({ plan, workers, problems }: Evidence, checks: readonly CheckResult[]): string[] {
  const lost = describeLost(workers, plan.workers, ({ index }) => `worker-${index}`);
  const causes = [...problems, ...lost.map(({ text }) => text)];
  if (causes.length > 0) return causes;
  const silent = workerIndexes(plan).flatMap((index) => {
    const found = workers.filter((worker) => worker.index === index);
    if (found.length === 0) return { index, what: "never reported" };
    return found.filter(({ final }) => final === undefined).map(() => ({ index, what: "gave no final numbers" }));
  });
  if (silent.length > 0) return nameWorkers(silent);
  return checks
    .filter(({ check, status }) => CHECKS[check].completeness && status !== "holds")
    .map(({ detail }) => detail);
}

/** Names the workers one by one, or summed up where the same happened to many. */
function nameWorkers(silent: readonly { index: number; what: string }[]): string[] {
  return [...Map.groupBy(silent, ({ what }) => what)].flatMap(([what, alike]) =>
    alike.length > NAMED_MAX
      ? [`worker-${alike[0]!.index} and ${alike.length - 1} more: each ${what}`]
      : alike.map(({ index }) => `worker-${index} ${what}`),
  );
}
const NAMED_MAX = 8;

function compareWithTheory(
  aspect: Aspect,
  theory: Theory,
  verdict: Verdict,
  evidence: Evidence,
  checks: readonly CheckResult[],
): { is: Agreement; reasons: readonly string[] } {
  const expected = theory[aspect];
  if (verdict.value === "violated" && isPromised(theory, aspect)) {
    const reasons = prefixFirst(`${aspect} should hold, but `, verdict.reasons);
    const late = explainLateWrites(aspect, evidence, checks);
    return late === undefined ? { is: "mismatch", reasons } : { is: "unknown", reasons: [...reasons, late] };
  }
  if (expected === "unclaimed") {
    // Nothing is claimed about the aspect, but complete evidence is expected of every run.
    const [gap] = findGaps(evidence, checks);
    return gap === undefined ? AS_EXPECTED : { is: "unknown", reasons: [gap] };
  }
  if (verdict.value === "unknown") return { is: "unknown", reasons: verdict.reasons };
  if (verdict.value === "holds") {
    if (expected === "holds") return AS_EXPECTED;
    const reason = `${aspect} should be violated, but ${plural(verdict.operations, "operation")} show no violation`;
    // A fault hits an operation at one moment, and may miss those that it would break.
    return !hasFaults(evidence.plan)
      ? { is: "mismatch", reasons: [reason] }
      : { is: "unknown", reasons: [`${reason}: the fault was too weak; raise --duration or --workers`] };
  }
  // Theory expects stale writes and overlaps of a control, not lost operations, forged rows or a worker that dies.
  const [gap] = findGaps(evidence, checks);
  if (gap !== undefined) return { is: "unknown", reasons: [`${aspect} was violated as expected, but ${gap}`] };
  const stale = staleWrites(evidence.ledger);
  const breaks = checks.find(({ check }) => check === "chain")?.count ?? 0;
  if (aspect === "data" && !evidence.plan.expects?.halfApplied && (stale === 0 || breaks > stale))
    return {
      is: "unknown",
      reasons: prefixFirst("data was violated, but not by lost updates alone: ", verdict.reasons),
    };
  return AS_EXPECTED;
}

/**
 * A correct holder that is not extended looks at its lock and then writes. If the write takes longer than what is left of
 * the TTL, for example on a slow disk, the next holder comes too early. A holder that does not look writes late after
 * every overrun, so fewer late writes than half of the overruns do not tell the two apart.
 */
function explainLateWrites(aspect: Aspect, evidence: Evidence, checks: readonly CheckResult[]): string | undefined {
  if (!noticesOverrun(evidence.plan)) return undefined;
  const violated = checks.filter(({ check, status }) => status === "violated" && CHECKS[check].violates === aspect);
  const stale = staleWrites(evidence.ledger);
  // A late write explains stale writes and overlaps, and nothing else.
  const explained = aspect === "data" ? ["chain", "value"] : ["exclusion", "fence"];
  if (violated.some(({ check, count }) => !explained.includes(check) || (check === "chain" && count > stale)))
    return undefined;
  const late = aspect === "data" ? stale : Math.max(...violated.map(({ count }) => count));
  const overruns = evidence.workers.reduce((sum, { final }) => sum + (final?.faulted ?? 0), 0);
  if (late * 2 >= overruns) return undefined;
  return `fewer than half of the ${plural(overruns, "overrun")} of the TTL led to it, so it may be due to a write that took longer than the rest of the TTL`;
}

/**
 * Locks that were lost although they are extended. If that happened to most holders that overran their TTL, nothing was
 * extended; if it happened to a few, their process may have been stalled.
 */
function findLostLocks({ plan, workers }: Evidence): { is: Agreement; reasons: readonly string[] } {
  if (!keepsOverrunLock(plan)) return AS_EXPECTED;
  // A worker without the fault that loses a lock was stalled, which says nothing about the extension.
  const faulted = workers.flatMap(({ final }) => (final?.faulted ? [final] : []));
  const errors = faulted.flatMap(({ errors }) => errors).filter((error) => error.class === "LockLost");
  const overruns = faulted.reduce((sum, { faulted = 0 }) => sum + faulted, 0);
  const lost = Math.min(
    overruns,
    errors.reduce((sum, { count }) => sum + count, 0),
  );
  if (lost === 0) return AS_EXPECTED;
  const reason = `a holder that overruns its TTL should keep its lock, because the lock is extended, but ${outOf(lost, overruns, "such holder")} lost it: ${errors[0]!.example}`;
  return { is: lost * 2 >= overruns ? "mismatch" : "unknown", reasons: [reason] };
}

const AS_EXPECTED = { is: "expected", reasons: [] } as const;

/** The reasons, the first of them as the end of this sentence. */
const prefixFirst = (lead: string, [first = "", ...others]: readonly string[]) => [lead + first, ...others];
