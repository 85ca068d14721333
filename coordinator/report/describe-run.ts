/** What is said about a run in every form of the report: its name, its money, its verdicts. */

import type { Report, RunReport } from "../judge/report-data.ts";
import { labelOf } from "../plan/theory.ts";
import { atMost, count, duration, NO_DATA, oneLine, plural } from "../text/format.ts";
import type { Tone } from "../text/paint.ts";

export type Aspect = "data" | "exclusion";
export const ASPECTS = ["data", "exclusion"] as const satisfies readonly Aspect[];

/** What a run is called by. */
export type Named = Pick<RunReport, "strategy" | "guard" | "mix" | "plan">;

/**
 * The shortest name that tells each run from the others: the strategy, its guard where it has one, and the settings in
 * which runs of the same name differ.
 */
export function labelsOf<Run extends Named>(runs: readonly Run[]): ReadonlyMap<Run, string> {
  const twins = Map.groupBy(runs, labelOf);
  return new Map(
    runs.map((run) => {
      const differing = differingSettings(twins.get(labelOf(run)) ?? []);
      return [run, [labelOf(run), ...told(run, differing, TERSE), ...told(run, ["fault"], TERSE)].join(", ")];
    }),
  );
}

/** `redis (8 workers, hold 2 ms)`: a name that has commas of its own can stand among others. */
export const inProse = (name: string) => name.replace(/^([^,]*), (.*)$/, "$1 ($2)");

/** Names of some of these runs, each once: a strategy's alone where it stands for all of its runs of which there is a claim. */
export function namesAmong<Run extends Named & Pick<RunReport, "expects">>(
  some: readonly Run[],
  all: readonly Run[],
  names: ReadonlyMap<Run, string>,
): string[] {
  const others = all.filter((run) => !some.includes(run) && run.expects.data !== "unclaimed");
  const apart = new Set(others.map(labelOf));
  return [...new Set(some.map((run) => (apart.has(labelOf(run)) ? inProse(names.get(run) ?? "") : labelOf(run))))];
}

/** The settings with which the result must be read, as far as all runs share them: `4 workers`, `hold 2 ms`. */
export function sharedSettings(runs: readonly Named[], keys = Object.keys(SETTINGS)): string[] {
  const differing = new Set(differingSettings(runs));
  return told(
    runs[0],
    keys.filter((key) => !differing.has(key) && runs[0]?.plan[key] !== undefined),
    SETTINGS,
  );
}

/** Instead of the tables. */
export const nothingRan = ({ scenario }: Report) =>
  scenario === "acl" ? "No workers: this scenario asks Redis alone." : "No run was made.";

/** Salary units granted by raises in the ledger, and how many of them are in the salary at the end. */
export function moneyOf(run: RunReport): { granted: number; arrived: number; lost: number } | undefined {
  if (run.grantedMoney === null || run.lostMoney === null) return undefined;
  return { granted: run.grantedMoney, arrived: run.grantedMoney - run.lostMoney, lost: run.lostMoney };
}

/** The money of a run in one sentence, in salary units; its first number is padded to `grantedWidth`. */
export function moneySentence(run: RunReport, grantedWidth = 0): string {
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
export function verdictOf(run: RunReport, aspect: Aspect): { word: string; tone: Tone } {
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
export function strengthOf(run: RunReport, aspect: Aspect): string {
  const verdict = run[aspect];
  if (verdict.value === "unknown") return "";
  if (verdict.value === "holds" && run.expects[aspect] === "unclaimed") return "";
  if (verdict.value === "violated") return plural(verdict.count, "time");
  return `n ${count(verdict.operations)}: < ${atMost(verdict.rateBelow)}`;
}

export function agreementOf(run: RunReport): { text: string; tone: Tone } {
  if (run.agreement === "mismatch") return { text: "NOT AS EXPECTED", tone: "alarm" };
  if (run.agreement === "unknown") return { text: "unknown", tone: "unsure" };
  return { text: run.control ? "as expected, control" : "as expected", tone: "plain" };
}

/** What kept a run from being simply as expected, each once: its lost workers, its problems, and what its verdict adds. */
export function troublesOf(run: RunReport): { text: string; log?: string | undefined }[] {
  const lost = run.reconciliation.filter((row) => row.lost !== undefined);
  const said = new Set([...run.problems, ...lost.map((row) => `worker-${row.worker} was lost: ${row.lost}`)]);
  const reason = run.agreement === "expected" ? undefined : run.reason;
  return [
    ...(reason === undefined || consistsOf(reason, said) ? [] : [{ text: reason }]),
    ...[...new Set(run.problems)].map((text) => ({ text })),
    ...lost.map(({ worker, node, lost, log }) => ({
      text: `worker-${worker}${node === "" ? "" : ` on ${node}`} was lost: ${lost}`,
      log,
    })),
  ];
}

/** Whether a reason is these parts and nothing else. A part may itself have the `; ` in it that stands between parts. */
function consistsOf(reason: string, parts: ReadonlySet<string>): boolean {
  const longestFirst = [...parts].sort((a, b) => b.length - a.length);
  return longestFirst.reduce((rest, part) => rest.replaceAll(part, ""), reason).replace(/[; ]/g, "") === "";
}

/**
 * The checks that found a violation, with operations that show it. Where a violation was expected, the stale writes and
 * the meetings inside say it all, by two examples each; where it was not, everything that was found is shown. The naive
 * count stands in the table, and an aspect that the strategy does not claim is not a finding.
 */
export function witnessesOf(run: RunReport): { check: string; detail: string; witnesses: string[] }[] {
  const expected = run.agreement === "expected";
  return run.checks
    .filter(({ check, status }) => status === "violated" && check !== "seed")
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

type Told = Record<string, (value: unknown) => string>;

/** The settings of a plan that change what a run shows. The seed of the random numbers is not one of them. */
const SETTINGS: Told = {
  workers: (value) => plural(Number(value), "worker"),
  concurrency: (value) => `${plural(Number(value), "loop")} in each`,
  rows: (value) => plural(Number(value), "row"),
  keyScope: (value) => (value === "global" ? "one key for all" : ""),
  durationMs: (value) => `${duration(Number(value))} each`,
  holdMs: (value) => `hold ${duration(Number(value))}`,
  pauseMs: (value) => `pause ${duration(Number(value))}`,
  intervalMs: (value) => (value === undefined ? "as fast as it can" : `every ${duration(Number(value))}`),
  lockTtlMs: (value) => `TTL ${duration(Number(value))}`,
  extend: (value) => (value ? "extended" : "not extended"),
  lockTimeoutMs: (value) => `lock timeout ${duration(Number(value))}`,
  order: (value) => `${value} order`,
  onDeadlock: (value) => `deadlock ${DEADLOCKS[String(value)] ?? value}`,
};

const DEADLOCKS: Record<string, string> = {
  "give-up": "given up",
  retry: "tried again",
  "carry-on": "carried on",
};

/** In the name of a run, what is as usual is not said. A fault always is. */
const TERSE: Told = {
  ...SETTINGS,
  extend: (value) => (value ? "" : "not extended"),
  fault: (value) => (value === undefined ? "" : String(value)),
};

const told = (run: Named | undefined, keys: readonly string[], words: Told) =>
  keys.map((key) => words[key]?.(run?.plan[key]) ?? `${key} ${run?.plan[key]}`).filter((text) => text !== "");

/** How long a run lasts says nothing about what differs, unless nothing else does. */
function differingSettings(runs: readonly Named[]): string[] {
  const differing = Object.keys(SETTINGS).filter((key) => new Set(runs.map((run) => run.plan[key])).size > 1);
  const telling = differing.filter((key) => key !== "durationMs");
  return telling.length > 0 ? telling : differing;
}
