/** Evidence in, verdict out: of one run, and of the report that all runs make. Nothing here reads or writes anything. */

import { ASPECTS, type Aspect, workerIndexes } from "../plan/run-plan.ts";
import { isControlStrategy, labelOf, type Theory, theoryOf } from "../plan/theory.ts";
import { labelsOf, namesAmong } from "../report/describe-run.ts";
import { chain, staleWrites } from "./checks/chain.ts";
import { exclusion } from "./checks/exclusion.ts";
import { fence } from "./checks/fence.ts";
import { committedByWorker, jain, liveness, longestStallMs } from "./checks/liveness.ts";
import { naiveCount, seed } from "./checks/naive.ts";
import { metrics } from "./checks/reconciliation.ts";
import { set } from "./checks/set.ts";
import { overlapOf, vacuity } from "./checks/vacuity.ts";
import { moneyOf, value } from "./checks/value.ts";
import { threadsOf } from "./checks/version-order.ts";
import { accountsOf } from "./checks/writer-histories.ts";
import type { Agreement, CheckResult, Evidence, Judgement, Measures, Verdict } from "./evidence.ts";
import { type AclProbe, EXIT, type Report, type RunReport } from "./report-data.ts";

/** What the checks of each aspect can violate; what is left out here only informs, or says how much the rest is worth. */
const VIOLATE: Record<Aspect, readonly CheckResult["check"][]> = {
  data: ["chain", "value", "set", "metrics"],
  exclusion: ["exclusion", "fence"],
};
/** Without these no verdict can be `holds`, and no violation is known to be the one that theory expects. */
const BOOKS: readonly CheckResult["check"][] = ["set", "metrics"];

/**
 * A violation that was found stays one, whatever else is missing. To hold, an aspect needs its own checks, no worker
 * lost, no problem in the run, enough contention, and three books that agree.
 */
export function judge(evidence: Evidence): Judgement {
  const { checks, measures } = examine(evidence);
  const data = verdictOf("data", evidence, checks);
  const exclusion = verdictOf("exclusion", evidence, checks);
  const theory = theoryOf(evidence.plan);
  const aspects = ASPECTS.map((aspect) => agreementOf(aspect, theory, { data, exclusion }[aspect], evidence, checks));
  const worst = aspects.find(({ is }) => is === "mismatch") ?? aspects.find(({ is }) => is === "unknown");
  return { data, exclusion, agreement: worst?.is ?? "expected", reason: worst?.reason, checks, measures };
}

/** One run, as far as the whole report is concerned. */
export type JudgedRun = Pick<
  RunReport,
  "strategy" | "mix" | "guard" | "plan" | "control" | "expects" | "data" | "exclusion" | "agreement" | "reason"
>;

/** The Redis users alone, without any run. */
export function judgeAcl(acl: readonly AclProbe[], note = "nothing was tried"): Report["verdict"] {
  const allowed = openProbes(acl);
  if (allowed[0] !== undefined) return verdictOfReport("violated", `violated: ${allowed[0]}`, allowed);
  if (acl.length === 0) return verdictOfReport("unknown", `unknown: ${note}`, [note]);
  return verdictOfReport("expected", `as the users' rules say: Redis refused all ${acl.length} forbidden attempts`, []);
}

/**
 * All runs together. A strategy that should hold and is violated decides, whatever else is unknown: the violation that
 * was seen shows that the instrument sees. Without one, every run must be as theory expects and a positive control
 * must be among them: silence of an instrument that was never seen to speak proves nothing.
 * A run that was asked for and not made leaves the report unknown too. A Redis that lets a user do what it must not
 * leaves the locks open to everybody, so it is a violation of its own.
 */
export function judgeReport(
  runs: readonly JudgedRun[],
  skipped: Report["skipped"] = [],
  acl: readonly AclProbe[] = [],
): Report["verdict"] {
  const names = labelsOf(runs);
  const labels = (some: readonly JudgedRun[]) => namesAmong(some, runs, names);
  const reasonOf = (run: JudgedRun) =>
    `${names.get(run)}${run.control ? " (positive control)" : ""}: ${run.reason ?? run.agreement}`;
  const broken = runs.filter(isBroken);
  const allowed = openProbes(acl);
  const doubts = [
    ...skipped
      .filter(({ unavailable }) => !unavailable)
      .map(({ strategy, reason }) => `${strategy} was not run: ${reason}`),
    ...(runs.length === 0 ? ["no run was made"] : controlDoubts(runs)),
    ...runs.filter((run) => run.agreement !== "expected" && !isBroken(run)).map(reasonOf),
  ];
  const reasons = [...broken.map(reasonOf), ...allowed, ...doubts];
  const end = (value: Report["verdict"]["value"], text: string) => verdictOfReport(value, text, reasons);
  if (broken.length > 0) return end("violated", `violated: ${labels(broken).join(", ")} should hold and did not`);
  if (allowed[0] !== undefined) return end("violated", `violated: ${allowed[0]}`);
  if (doubts[0] !== undefined)
    return end("unknown", `unknown: ${doubts[0]}${doubts.length > 1 ? `; and ${doubts.length - 1} more` : ""}`);
  const violated = runs.filter(({ expects }) => expects.data === "violated");
  const kept = labels(runs.filter(({ expects }) => expects.data === "holds"));
  const groups = [`${labels(violated).join(", ")} violated`];
  if (kept.length > 0) groups.push(`${kept.join(", ")} ${kept.length > 1 ? "hold" : "holds"}`);
  return end("expected", `as theory expects: ${groups.join("; ")}`);
}

// --- The report -----------------------------------------------------------------------------------------------------

const verdictOfReport = (
  value: Report["verdict"]["value"],
  text: string,
  reasons: readonly string[],
): Report["verdict"] => ({
  value,
  line: `VERDICT: ${text} (exit ${EXIT[value]})`,
  exitCode: EXIT[value],
  reasons: [...reasons],
});

const openProbes = (acl: readonly AclProbe[]) =>
  acl
    .filter(({ refused }) => !refused)
    .map(({ user, attempt }) => `Redis lets user ${user} run ${attempt}, which must be refused`);

/** An aspect that must not be violated was. */
const isBroken = (run: JudgedRun) =>
  ASPECTS.some((aspect) => isPromised(run.expects, aspect) && run[aspect].value === "violated");

const isPromised = (theory: JudgedRun["expects"], aspect: Aspect) =>
  theory[aspect] === "holds" || theory.unbroken?.includes(aspect) === true;

/** A violation that theory expects shows that the instrument sees; whether it was seen is part of that run's agreement. */
function controlDoubts(runs: readonly JudgedRun[]): string[] {
  if (runs.some(({ control, expects }) => control || expects.data === "violated")) return [];
  const tamed = runs.filter(({ strategy }) => isControlStrategy(strategy));
  if (tamed.length === 0) return ["no positive control ran, so nothing was proved: add none to --strategies"];
  const names = [...new Set(tamed.map(labelOf))].join(", ");
  return [`no positive control ran, since ${names} should hold here: run none with --guard none`];
}

// --- One run --------------------------------------------------------------------------------------------------------

const unread = ({ ledger, final }: Evidence) => ledger.length === 0 && final.length === 0;

function examine(evidence: Evidence): { checks: CheckResult[]; measures: Measures } {
  const threads = threadsOf(evidence.ledger);
  const accounts = accountsOf(evidence);
  const checks = [
    chain(evidence, threads),
    value(evidence, threads),
    set(evidence, accounts),
    exclusion(evidence, threads),
    fence(evidence),
    liveness(evidence, accounts),
    metrics(evidence, accounts),
    seed(evidence),
    vacuity(evidence, threads, accounts),
  ];
  const measures = { naive: naiveCount(evidence), overlap: overlapOf(evidence) };
  if (unread(evidence)) {
    // Compared with an empty ledger that nobody read, every acknowledged operation would look lost.
    const none = { status: "unknown", detail: "no data: the ledger was not read", count: 0, witnesses: [] } as const;
    const nothing = { lostUpdates: null, grantedMoney: null, lostMoney: null, fairness: null, longestStallMs: null };
    return {
      checks: checks.map((result) => (result.check === "seed" ? result : { check: result.check, ...none })),
      measures: { ...measures, ...nothing },
    };
  }
  const money = moneyOf(evidence);
  return {
    checks,
    measures: {
      ...measures,
      lostUpdates: staleWrites(evidence.ledger),
      grantedMoney: money.granted,
      lostMoney: money.lost,
      fairness: jain(committedByWorker(evidence, accounts)),
      longestStallMs: longestStallMs(evidence),
    },
  };
}

function verdictOf(aspect: Aspect, evidence: Evidence, checks: readonly CheckResult[]): Verdict {
  const own = checks.filter(({ check }) => VIOLATE[aspect].includes(check));
  const violated = own.filter(({ status }) => status === "violated");
  if (violated[0] !== undefined)
    return { value: "violated", count: violated[0].count, reason: violated.map(({ detail }) => detail).join("; ") };
  const missing = incomplete(evidence, checks);
  const vacuous = checks.filter(({ check, status }) => check === "vacuity" && status !== "holds");
  const unclear = [...own.filter(({ status }) => status === "unknown"), ...vacuous];
  const reasons = missing.length > 0 ? missing : [...new Set(unclear.map(({ detail }) => detail))];
  if (reasons.length > 0) return { value: "unknown", reason: reasons.join("; ") };
  return { value: "holds", operations: evidence.ledger.length, rateBelow: 3 / evidence.ledger.length };
}

/** Why the run does not tell everything. What follows from a lost worker or a problem is left out beside it. */
function incomplete({ plan, workers, problems }: Evidence, checks: readonly CheckResult[]): string[] {
  const lost = workers.flatMap(({ index, lost: what }) =>
    what === undefined ? [] : { index, what: `was lost: ${what}` },
  );
  const causes = [...problems, ...together(lost)];
  if (causes.length > 0) return causes;
  const silent = workerIndexes(plan).flatMap((index) => {
    const found = workers.filter((worker) => worker.index === index);
    if (found.length === 0) return { index, what: "never reported" };
    return found.filter(({ final }) => final === undefined).map(() => ({ index, what: "gave no final numbers" }));
  });
  if (silent.length > 0) return together(silent);
  return checks.filter(({ check, status }) => BOOKS.includes(check) && status !== "holds").map(({ detail }) => detail);
}

/** What happened to many workers alike is said once. */
function together(lost: readonly { index: number; what: string }[]): string[] {
  return [...Map.groupBy(lost, ({ what }) => what)].flatMap(([what, alike]) =>
    alike.length > NAMED_APART
      ? [`worker-${alike[0]!.index} and ${alike.length - 1} more: each ${what}`]
      : alike.map(({ index }) => `worker-${index} ${what}`),
  );
}
const NAMED_APART = 8;

function agreementOf(
  aspect: Aspect,
  theory: Theory,
  verdict: Verdict,
  evidence: Evidence,
  checks: readonly CheckResult[],
): { is: Agreement; reason?: string } {
  const expected = theory[aspect];
  if (verdict.value === "violated" && isPromised(theory, aspect))
    return { is: "mismatch", reason: `${aspect} should hold, but ${verdict.reason}` };
  if (expected === "unclaimed") {
    // Nothing is claimed of what the run shows; that all of it was seen is claimed of every run.
    const [missing] = incomplete(evidence, checks);
    return missing === undefined ? { is: "expected" } : { is: "unknown", reason: missing };
  }
  if (verdict.value === "unknown") return { is: "unknown", reason: verdict.reason };
  if (verdict.value === "holds") {
    if (expected === "holds") return { is: "expected" };
    const reason = `${aspect} should be violated, but ${verdict.operations} operations show no violation`;
    return { is: "mismatch", reason };
  }
  // Theory expects stale writes and overlaps of a control, not lost operations, forged rows or a worker that dies.
  const [missing] = incomplete(evidence, checks);
  if (missing !== undefined) return { is: "unknown", reason: `${aspect} was violated as expected, but ${missing}` };
  const stale = staleWrites(evidence.ledger);
  const breaks = checks.find(({ check }) => check === "chain")?.count ?? 0;
  if (aspect === "data" && !evidence.plan.expects?.halfApplied && (stale === 0 || breaks > stale))
    return { is: "unknown", reason: `data was violated, but not by lost updates alone: ${verdict.reason}` };
  return { is: "expected" };
}
