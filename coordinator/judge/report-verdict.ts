/** The verdict on the whole report, which decides the exit status. Pure. */

import { LOCK_SERVICE_TITLES } from "../../worker/contract.ts";
import { namesAmong, quotedLabelsOf } from "../plan/run-names.ts";
import { ASPECTS } from "../plan/run-plan.ts";
import { isControlStrategy, isPromised } from "../plan/theory.ts";
import { joined, list, quoted } from "../text/format.ts";
import { repeatsOf } from "./repeats.ts";
import { type AclProbe, EXIT, type Report, type ReportFacts, type RunReport } from "./report-data.ts";

/** The report of these runs, with the verdict on all of them. Without any run, planned or made, it is on the Redis users. */
export function concludeReport({ skipped, ...facts }: ReportFacts, runs: RunReport[]): Report {
  const repeats = repeatsOf(runs);
  const nothingPlanned = runs.length === 0 && skipped.length === 0;
  return {
    schema: "holdfast/report/v2",
    ...facts,
    runs,
    ...(repeats === undefined ? {} : { repeats }),
    skipped,
    verdict: nothingPlanned ? judgeAcl(facts.acl, facts.aclNote) : judgeReport(runs, skipped, facts.acl),
  };
}

/** The part of a run that the verdict on the whole report depends on. */
export type JudgedRun = Pick<
  RunReport,
  | "strategy"
  | "mix"
  | "ownLock"
  | "guard"
  | "plan"
  | "control"
  | "expects"
  | "data"
  | "exclusion"
  | "agreement"
  | "reasons"
>;

/** The verdict on the Redis users alone, without any run. `note` says why nothing was tried. */
export function judgeAcl(acl: readonly AclProbe[], note = "nothing was tried"): Report["verdict"] {
  const allowed = describeAllowed(acl);
  if (allowed[0] !== undefined) return conclude("violated", `violated: ${allowed[0]}`, allowed);
  if (acl.length === 0) return conclude("unknown", `unknown: ${note}`, [note]);
  const unanswered = describeUnanswered(acl);
  if (unanswered[0] !== undefined) {
    const others = unanswered.length > 1 ? `; and ${unanswered.length - 1} more` : "";
    return conclude("unknown", `unknown: ${unanswered[0]}${others}`, unanswered);
  }
  return conclude(
    "expected",
    `as the ACL requires: ${describeServers(acl)} refused all ${acl.length} forbidden attempts`,
    [],
  );
}

/**
 * The verdict on all runs together. A strategy that should hold and is violated decides, whatever else is unknown: the
 * violation that was observed shows that the instrument detects violations. Without one, every run must be as theory
 * expects and a positive control must be among them: if an instrument has never detected a violation, its silence
 * proves nothing. A run that was requested and not made also leaves the report unknown. A Redis that lets a user do
 * what it must not do leaves the locks open to everybody, so that is a violation as well. A probe that was not answered
 * leaves only that part of the report unknown.
 */
export function judgeReport(
  runs: readonly JudgedRun[],
  skipped: Report["skipped"] = [],
  acl: readonly AclProbe[] = [],
): Report["verdict"] {
  const names = quotedLabelsOf(runs);
  const describeRun = (run: JudgedRun) =>
    `${names.get(run)}${run.control ? " (positive control)" : ""}: ${joined(run.reasons) || run.agreement}`;
  const broken = runs.filter(isBroken);
  const allowed = describeAllowed(acl);
  const doubts = [
    ...skipped
      .filter(({ unavailable }) => !unavailable)
      .map(({ strategy, reason }) => `${quoted(strategy)} was not run: ${reason}`),
    ...(runs.length === 0 ? ["no run was made"] : findControlDoubts(runs)),
    ...runs.filter((run) => run.agreement !== "expected" && !isBroken(run)).map(describeRun),
  ];
  const reasons = [...broken.map(describeRun), ...allowed, ...doubts];
  if (broken.length > 0)
    return conclude("violated", `violated: ${namesAmong(broken, runs).join(", ")} should hold and did not`, reasons);
  if (allowed[0] !== undefined) return conclude("violated", `violated: ${allowed[0]}`, reasons);
  if (doubts[0] !== undefined) {
    const others = doubts.length > 1 ? `; and ${doubts.length - 1} more` : "";
    return conclude("unknown", `unknown: ${doubts[0]}${others}`, reasons);
  }
  return conclude("expected", `as theory expects: ${describeExpected(runs)}`, reasons);
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const conclude = (value: Report["verdict"]["value"], text: string, reasons: readonly string[]): Report["verdict"] => ({
  value,
  line: `VERDICT: ${text} (exit ${EXIT[value]})`,
  exitCode: EXIT[value],
  reasons: [...reasons],
});

const serverOf = (service: AclProbe["service"]) => (service === undefined ? "Redis" : LOCK_SERVICE_TITLES[service]);

/** The servers that were asked, in words. */
export const describeServers = (acl: readonly AclProbe[]): string =>
  list([...new Set(acl.map(({ service }) => serverOf(service)))]);

const describeAllowed = (acl: readonly AclProbe[]) =>
  acl
    .filter(({ outcome }) => outcome === "allowed")
    .map(
      ({ service, user, attempt }) =>
        `${serverOf(service)} lets user ${quoted(user)} run ${attempt}, which must be refused`,
    );

const describeUnanswered = (acl: readonly AclProbe[]) =>
  acl
    .filter(({ outcome }) => outcome === "unanswered")
    .map(({ user, attempt, answer }) => `it is unknown whether user ${quoted(user)} may run ${attempt}: ${answer}`);

function describeExpected(runs: readonly JudgedRun[]): string {
  const expected = (data: "violated" | "holds") =>
    namesAmong(
      runs.filter(({ expects }) => expects.data === data),
      runs,
    );
  const held = expected("holds");
  return [
    `${expected("violated").join(", ")} violated`,
    ...(held.length > 0 ? [`${held.join(", ")} ${held.length > 1 ? "hold" : "holds"}`] : []),
  ].join("; ");
}

/** Whether an aspect that must not be violated was. */
const isBroken = (run: JudgedRun) =>
  ASPECTS.some((aspect) => isPromised(run.expects, aspect) && run[aspect].value === "violated");

/**
 * Why the report has not shown that it detects violations; empty where some run is expected to be violated. Whether
 * that run was violated is part of its agreement.
 */
function findControlDoubts(runs: readonly JudgedRun[]): string[] {
  if (runs.some(({ control, expects }) => control || expects.data === "violated")) return [];
  const held = runs.filter(({ strategy }) => isControlStrategy(strategy));
  if (held.length === 0)
    return ['no positive control ran, so this report proves nothing: add "none" or "memory" to --strategies'];
  const strategies = [...new Set(held.map(({ strategy }) => quoted(strategy)))];
  const are = `${list(strategies)} ${strategies.length > 1 ? "are" : "is"} expected to hold`;
  const why = held.every(({ guard }) => guard !== "none") ? `behind this guard even ${are}` : `${are} here`;
  return [`no positive control ran: ${why}; also run "none" with --guard none`];
}
