/** The verdict on one run: evidence in, judgement out. Pure. */

import { ASPECTS, type Aspect, workerIndexes } from "../plan/run-plan.ts";
import { isPromised, type Theory, theoryOf } from "../plan/theory.ts";
import { plural } from "../text/format.ts";
import { staleWrites } from "./checks/chain.ts";
import { CHECKS } from "./checks/index.ts";
import { reconcile } from "./checks/reconciliation.ts";
import { overlapOf } from "./checks/vacuity.ts";
import { sumMoney } from "./checks/value.ts";
import { orderVersions } from "./checks/version-order.ts";
import { readHistories } from "./checks/writer-histories.ts";
import type { Evidence } from "./evidence.ts";
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
  const compared = ASPECTS.map((aspect) => compareWithTheory(aspect, theory, verdicts[aspect], evidence, checks));
  const worst = compared.find(({ is }) => is === "mismatch") ?? compared.find(({ is }) => is === "unknown");
  return { ...verdicts, agreement: worst?.is ?? "expected", reasons: worst?.reasons ?? [], checks, ...measures };
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
  return { checks, ...measured, lostUpdates: staleWrites(evidence.ledger), grantedMoney: granted, lostMoney: lost };
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
  const lost = workers.flatMap(({ index, lost: what }) =>
    what === undefined ? [] : { index, what: `was lost: ${what}` },
  );
  const causes = [...problems, ...nameWorkers(lost)];
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
function nameWorkers(lost: readonly { index: number; what: string }[]): string[] {
  return [...Map.groupBy(lost, ({ what }) => what)].flatMap(([what, alike]) =>
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
  if (verdict.value === "violated" && isPromised(theory, aspect))
    return { is: "mismatch", reasons: prefixFirst(`${aspect} should hold, but `, verdict.reasons) };
  if (expected === "unclaimed") {
    // Nothing is claimed about the aspect, but complete evidence is expected of every run.
    const [gap] = findGaps(evidence, checks);
    return gap === undefined ? AS_EXPECTED : { is: "unknown", reasons: [gap] };
  }
  if (verdict.value === "unknown") return { is: "unknown", reasons: verdict.reasons };
  if (verdict.value === "holds") {
    if (expected === "holds") return AS_EXPECTED;
    const reason = `${aspect} should be violated, but ${plural(verdict.operations, "operation")} show no violation`;
    return { is: "mismatch", reasons: [reason] };
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

const AS_EXPECTED = { is: "expected", reasons: [] } as const;

/** The reasons, the first of them as the end of this sentence. */
const prefixFirst = (lead: string, [first = "", ...others]: readonly string[]) => [lead + first, ...others];
