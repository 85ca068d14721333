/** Descriptions of a run that all forms of the report share: its money, its verdicts, its problems. */

import { LOCK_SERVICE_TITLES } from "../../worker/contract.ts";
import { describeLost } from "../judge/lost-workers.ts";
import type { Quantiles, Report, RunReport } from "../judge/report-data.ts";
import type { Aspect } from "../plan/run-plan.ts";
import { atMost, count, joined, milliseconds, NO_DATA, oneLine, percent, plural } from "../text/format.ts";
import type { Tone } from "../text/paint.ts";

/** Printed in place of the tables. */
export const nothingRan = ({ scenario }: Report) =>
  scenario === "acl" ? "No workers: this scenario only tries what Redis refuses." : "No run was made.";

/** Salary units granted by raises in the ledger, and how many of them are in the salary at the end. */
export function moneyOf(run: RunReport): { granted: number; arrived: number; lost: number } | undefined {
  if (run.grantedMoney === null || run.lostMoney === null) return undefined;
  return { granted: run.grantedMoney, arrived: run.grantedMoney - run.lostMoney, lost: run.lostMoney };
}

/** The money of a run in one sentence, in salary units; its first number is padded to `grantedWidth`. */
export function describeMoney(run: RunReport, grantedWidth = 0): string {
  const money = moneyOf(run);
  if (!money) return NO_DATA;
  if (money.granted === 0) return "nothing was granted";
  const granted = `${count(money.granted).padStart(grantedWidth)} granted`;
  const updates = run.lostUpdates ? `, ${plural(run.lostUpdates, "update")} lost` : "";
  if (money.lost === 0) return `${granted}, all arrived${updates}`;
  const arrived = `${granted}, ${count(money.arrived)} arrived`;
  return money.lost < 0 ? `${arrived}, ${count(-money.lost)} more than granted${updates}` : arrived + updates;
}

/** The verdict on one aspect in one word, and how it should look. */
export function describeVerdict(run: RunReport, aspect: Aspect): { word: string; tone: Tone } {
  const { value } = run[aspect];
  const expected = run.expects[aspect];
  const isBroken = value === "violated" && run.expects.unbroken?.includes(aspect) === true;
  if (expected === "unclaimed" && !isBroken) return { word: "not claimed", tone: "quiet" };
  if (value === "unknown") return { word: "UNKNOWN", tone: "unsure" };
  if (value !== expected) return { word: value.toUpperCase(), tone: "alarm" };
  return value === "holds" ? { word: "HOLDS", tone: "good" } : { word: "VIOLATED", tone: "bad" };
}

/**
 * How strong the evidence of a verdict is: n and the bound on the rate at 95 %, or the number of violations. There is
 * no bound where the strategy claims nothing: a version in the write lets only one of two overlapping operations
 * commit, so overlaps cannot be observed.
 */
export function describeStrength(run: RunReport, aspect: Aspect): string {
  const verdict = run[aspect];
  if (verdict.value === "unknown") return "";
  if (verdict.value === "holds" && run.expects[aspect] === "unclaimed") return "";
  if (verdict.value === "violated") return plural(verdict.count, "time");
  return `n ${count(verdict.operations)}: < ${atMost(verdict.rateBelow)}`;
}

/** Theory knows nothing of a lock of the user's own, unless a fault or a guard decides what becomes of any lock. */
export const isJudgedByClaims = ({ ownLock, expects }: RunReport): boolean =>
  ownLock !== undefined && expects.because === undefined;

export function describeAgreement(run: RunReport): { text: string; tone: Tone } {
  if (run.agreement === "mismatch")
    return { text: isJudgedByClaims(run) ? "NOT AS ITS AUTHOR CLAIMS" : "NOT AS EXPECTED", tone: "alarm" };
  if (run.agreement === "unknown") return { text: "unknown", tone: "unsure" };
  if (isJudgedByClaims(run)) return { text: "as its author claims", tone: "plain" };
  return { text: run.control ? "as expected, control" : "as expected", tone: "plain" };
}

type Row = RunReport["reconciliation"][number];

/**
 * What went wrong in a run, each once: reasons of its verdict that say more than the rest, its problems, its lost
 * workers.
 */
export function listTroubles(run: RunReport): { text: string; log?: string | undefined }[] {
  const lostBy = (nameOf: (row: Row) => string) => describeLost(run.reconciliation, run.plan.workers, nameOf);
  const listed = new Set([...run.problems, ...lostBy(({ worker }) => `worker-${worker}`).map(({ text }) => text)]);
  const others = run.reasons.filter((reason) => !listed.has(reason));
  return [
    ...(others.length === 0 ? [] : [{ text: joined(others) }]),
    ...[...new Set(run.problems)].map((text) => ({ text })),
    ...lostBy(({ worker, node }) => `worker-${worker}${node === "" ? "" : ` on ${node}`}`).map(({ text, first }) => ({
      text,
      log: first.log,
    })),
  ];
}

/** The title above the notes of all runs. */
export const NOTES_TITLE = "What happened during the runs";

/**
 * The notes of all runs, without those that are already among the reasons of their run. Each has the name of its run, or
 * `all runs` if all of them have it.
 */
export function listNotes(runs: readonly RunReport[], labels: ReadonlyMap<RunReport, string>) {
  const all = runs.flatMap((run) =>
    (run.notes ?? []).filter((note) => !run.reasons.includes(note)).map((note) => ({ run, text: oneLine(note) })),
  );
  return [...Map.groupBy(all, ({ text }) => text).values()].flatMap((alike) => {
    const common = runs.length > 1 && alike.length === runs.length;
    return (common ? alike.slice(0, 1) : alike).map(({ run, text }) => ({
      name: common ? "all runs" : (labels.get(run) ?? run.strategy),
      text,
    }));
  });
}

/**
 * The checks that found a violation, with operations that show it. Where a violation was expected, two examples of
 * stale writes and of overlaps are enough; where it was not, everything that was found is shown. The naive count is in
 * the table, and a violation of an aspect that the strategy does not claim is not a finding.
 */
export function listWitnesses(run: RunReport): { check: string; detail: string; witnesses: string[] }[] {
  const expected = run.agreement === "expected";
  return run.checks
    .filter(({ check, status }) => status === "violated" && check !== "naive")
    .filter(({ check }) => check !== "exclusion" || run.expects.exclusion !== "unclaimed")
    .filter(({ check }) => !expected || check === "chain" || check === "exclusion")
    .map(({ check, detail, witnesses }) => ({
      check,
      detail: oneLine(detail),
      witnesses: witnesses.slice(0, expected ? 2 : undefined).map(({ text }) => oneLine(text)),
    }));
}

/** What a `holds` means, printed below the verdicts. */
export const STRENGTH_NOTE =
  "None of n operations showed a violation: the rate is below 3/n at 95 % confidence, which is not a proof.";

/** Whether the three independent counts agree for each worker. */
export const countsAgree = (run: RunReport) => run.reconciliation.length > 0 && run.reconciliation.every(rowAgrees);

/** The title above the counts of all runs. */
export const countsTitle = (runs: readonly RunReport[]) =>
  runs.every(countsAgree)
    ? "Three independent counts agree: Prometheus, workers, ledger"
    : "Three independent counts do not all agree";

/** Prometheus may be behind for a worker that the run's fault ended: its last scrape came before. */
export const rowAgrees = (row: RunReport["reconciliation"][number]) =>
  row.lost === undefined &&
  row.reported === row.ledger &&
  (row.prometheus === row.ledger || (row.died === true && row.prometheus !== null && row.prometheus <= row.ledger));

/** The user of a probe, with the server if that is not Redis. */
export const userOf = ({ service, user }: Report["acl"][number]): string =>
  service === undefined ? user : `${user} (${LOCK_SERVICE_TITLES[service]})`;

export const refusedProbes = (report: Report) => report.acl.filter(({ outcome }) => outcome === "refused").length;

/** Rejected operations as a share of all; undefined where there were none, or no numbers. */
export function rejectedShare({ operations }: RunReport): number | undefined {
  if (operations === null) return undefined;
  const all = operations.committed + operations.rejected + operations.unknown;
  return all === 0 ? undefined : operations.rejected / all;
}

export function rejectedText(run: RunReport): string {
  const share = rejectedShare(run);
  return share === undefined ? NO_DATA : percent(share);
}

/** In ms. A dash where nothing was measured (a strategy without a lock waits for none), which is not missing data. */
export const quantileText = (quantiles: Quantiles | null, key: Exclude<keyof Quantiles, "count" | "buckets">) =>
  quantiles?.count === 0 ? "–" : milliseconds(quantiles?.[key]);
