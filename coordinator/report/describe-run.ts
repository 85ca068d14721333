/** What is said about a run in every form of the report: its name, its money, its verdicts. */

import type { Quantiles, Report, RunReport } from "../judge/report-data.ts";
import type { Aspect } from "../plan/run-plan.ts";
import { atMost, count, joined, milliseconds, NO_DATA, oneLine, plural } from "../text/format.ts";
import type { Tone } from "../text/paint.ts";

/** Instead of the tables. */
export const nothingRan = ({ scenario }: Report) =>
  scenario === "acl" ? "No workers: this scenario asks Redis alone." : "No run was made.";

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
  return money.lost < 0 ? `${arrived}, ${count(-money.lost)} from nowhere${updates}` : arrived + updates;
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
 * How much a verdict rests on: n and the bound on the rate at 95 %, or how often it was violated. There is no bound on
 * what a strategy does not claim: a version in the write lets only one of two that meet commit, so none are seen.
 */
export function describeStrength(run: RunReport, aspect: Aspect): string {
  const verdict = run[aspect];
  if (verdict.value === "unknown") return "";
  if (verdict.value === "holds" && run.expects[aspect] === "unclaimed") return "";
  if (verdict.value === "violated") return plural(verdict.count, "time");
  return `n ${count(verdict.operations)}: < ${atMost(verdict.rateBelow)}`;
}

export function describeAgreement(run: RunReport): { text: string; tone: Tone } {
  if (run.agreement === "mismatch") return { text: "NOT AS EXPECTED", tone: "alarm" };
  if (run.agreement === "unknown") return { text: "unknown", tone: "unsure" };
  return { text: run.control ? "as expected, control" : "as expected", tone: "plain" };
}

/** What kept a run from being simply as expected, each once: its lost workers, its problems, and what its verdict adds. */
export function troublesOf(run: RunReport): { text: string; log?: string | undefined }[] {
  const lost = run.reconciliation.filter((row) => row.lost !== undefined);
  const said = new Set([...run.problems, ...lost.map((row) => `worker-${row.worker} was lost: ${row.lost}`)]);
  const unsaid = run.reasons.filter((reason) => !said.has(reason));
  return [
    ...(unsaid.length === 0 ? [] : [{ text: joined(unsaid) }]),
    ...[...new Set(run.problems)].map((text) => ({ text })),
    ...lost.map(({ worker, node, lost, log }) => ({
      text: `worker-${worker}${node === "" ? "" : ` on ${node}`} was lost: ${lost}`,
      log,
    })),
  ];
}

/**
 * The checks that found a violation, with operations that show it. Where a violation was expected, the stale writes and
 * the meetings inside say it all, by two examples each; where it was not, everything that was found is shown. The naive
 * count stands in the table, and an aspect that the strategy does not claim is not a finding.
 */
export function witnessesOf(run: RunReport): { check: string; detail: string; witnesses: string[] }[] {
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

/** What a `holds` is worth, for the foot of the verdicts. */
export const STRENGTH_NOTE =
  "n operations could have shown a violation and none did: a rate below 3/n at 95 % confidence, which is not a proof.";

/** Whether all three books hold the same number for each worker. */
export const booksAgree = (run: RunReport) => run.reconciliation.length > 0 && run.reconciliation.every(rowAgrees);

/** The title above the books of all runs. */
export const booksTitle = (runs: readonly RunReport[]) =>
  `Prometheus = workers = ledger${runs.every(booksAgree) ? "" : ", but not everywhere"}`;

/** Of a worker that died on purpose, Prometheus has what it scraped before. */
export const rowAgrees = (row: RunReport["reconciliation"][number]) =>
  row.lost === undefined &&
  row.reported === row.ledger &&
  (row.prometheus === row.ledger || (row.died === true && row.prometheus !== null && row.prometheus <= row.ledger));

export const refusedProbes = (report: Report) => report.acl.filter((probe) => probe.refused).length;

/** Rejected operations as a share of all; undefined where there were none, or no numbers. */
export function rejectedShare({ operations }: RunReport): number | undefined {
  if (operations === null) return undefined;
  const all = operations.committed + operations.rejected + operations.unknown;
  return all === 0 ? undefined : operations.rejected / all;
}

/** In ms. A dash where nothing was measured (a strategy without a lock waits for none), which is not missing data. */
export const quantileText = (quantiles: Quantiles | null, key: Exclude<keyof Quantiles, "count">) =>
  quantiles?.count === 0 ? "–" : milliseconds(quantiles?.[key]);
