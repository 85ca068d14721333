/** The verdict on the whole report, which decides the exit status. Pure. */

import { labelOf, labelsOf, namesAmong } from "../plan/run-names.ts";
import { ASPECTS } from "../plan/run-plan.ts";
import { isControlStrategy, isPromised } from "../plan/theory.ts";
import { joined } from "../text/format.ts";
import { type AclProbe, EXIT, type Report, type RunReport } from "./report-data.ts";

/** The part of a run that the verdict on the whole report depends on. */
export type JudgedRun = Pick<
  RunReport,
  "strategy" | "mix" | "guard" | "plan" | "control" | "expects" | "data" | "exclusion" | "agreement" | "reasons"
>;

/** The Redis users alone, without any run. */
export function judgeAcl(acl: readonly AclProbe[], note = "nothing was tried"): Report["verdict"] {
  const allowed = openProbes(acl);
  if (allowed[0] !== undefined) return conclude("violated", `violated: ${allowed[0]}`, allowed);
  if (acl.length === 0) return conclude("unknown", `unknown: ${note}`, [note]);
  return conclude("expected", `as the users' rules say: Redis refused all ${acl.length} forbidden attempts`, []);
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
  const describeRun = (run: JudgedRun) =>
    `${names.get(run)}${run.control ? " (positive control)" : ""}: ${joined(run.reasons) || run.agreement}`;
  const broken = runs.filter(isBroken);
  const allowed = openProbes(acl);
  const doubts = [
    ...skipped
      .filter(({ unavailable }) => !unavailable)
      .map(({ strategy, reason }) => `${strategy} was not run: ${reason}`),
    ...(runs.length === 0 ? ["no run was made"] : controlDoubts(runs)),
    ...runs.filter((run) => run.agreement !== "expected" && !isBroken(run)).map(describeRun),
  ];
  const reasons = [...broken.map(describeRun), ...allowed, ...doubts];
  const end = (value: Report["verdict"]["value"], text: string) => conclude(value, text, reasons);
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

// --- Internal helpers -----------------------------------------------------------------------------------------------

const conclude = (value: Report["verdict"]["value"], text: string, reasons: readonly string[]): Report["verdict"] => ({
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

/** A violation that theory expects shows that the instrument sees; whether it was seen is part of that run's agreement. */
function controlDoubts(runs: readonly JudgedRun[]): string[] {
  if (runs.some(({ control, expects }) => control || expects.data === "violated")) return [];
  const controlsHeld = runs.filter(({ strategy }) => isControlStrategy(strategy));
  if (controlsHeld.length === 0) return ["no positive control ran, so nothing was proved: add none to --strategies"];
  const names = [...new Set(controlsHeld.map(labelOf))].join(", ");
  return [`no positive control ran, since ${names} should hold here: run none with --guard none`];
}
