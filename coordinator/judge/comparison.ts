/** A report compared with an earlier one: first verdicts, then cost. Pure. */
import { labelsOf } from "../plan/run-names.ts";
import { ASPECTS, type Aspect } from "../plan/run-plan.ts";
import { isPromised } from "../plan/theory.ts";
import { joined, list, percent, quoted } from "../text/format.ts";
import { findRefusals, listDifferences } from "./comparable.ts";
import { areApart, type Interval } from "./interval.ts";
import { medianOf, poolRepeats, settingsOf } from "./repeats.ts";
import { type Agreement, EXIT, type Measure, type Report, type RunReport } from "./report-data.ts";

/** The content of `holdfast compare --json`; docs/ci.md describes its fields. */
export interface Comparison {
  readonly schema: "holdfast/comparison/v1";
  readonly base: Compared;
  readonly new: Compared;
  /** The largest share of its throughput that a run may lose; null if none was given. */
  readonly maxDrop: number | null;
  /** Why the reports cannot be compared; empty if they can. */
  readonly refused: readonly string[];
  /** Differences that may explain others, such as versions of servers. */
  readonly differences: readonly string[];
  /** Verdicts that changed, the worse ones first. */
  readonly verdicts: readonly VerdictChange[];
  readonly costs: readonly CostChange[];
  /** The result in one line. */
  readonly line: string;
  readonly exitCode: number;
}

type Compared = Pick<Report, "report" | "version" | "startedAt" | "scenario" | "where">;

export interface VerdictChange {
  /** Name of the run; `report` for the verdict on the whole report, `acl` for the users of the servers. */
  readonly run: string;
  readonly of: Aspect | "agreement" | "verdict" | "acl";
  readonly base: string;
  readonly new: string;
  /** `different`: theory claims nothing, so neither is better. */
  readonly is: "worse" | "better" | "different";
  /** Why the new verdict is as it is. */
  readonly reasons: readonly string[];
}

export interface CostChange {
  readonly run: string;
  readonly of: Measure;
  readonly base: Interval;
  readonly new: Interval;
  /** new / base - 1 */
  readonly change: number;
  /** Whether the change is more than chance: `unknown` if a side was not repeated often enough to have an interval. */
  readonly isApart: boolean | "unknown";
  /** Whether the throughput fell by more than `maxDrop`, and not by chance as far as intervals can tell. */
  readonly tooSlow: boolean;
}

/** `maxDrop`: 0.2 allows a run to lose a fifth of its throughput; null allows any loss. */
export function compareReports(base: Report, next: Report, maxDrop: number | null): Comparison {
  const runs = { base: poolRepeats(base.runs), new: poolRepeats(next.runs) };
  const refused = findRefusals(base, next, runs);
  const pairs = refused.length > 0 ? [] : pair(runs);
  const verdicts = refused.length > 0 ? [] : compareVerdicts(base, next, pairs, runs.base);
  const costs = pairs.flatMap((each) => compareCosts(each, maxDrop));
  return {
    schema: "holdfast/comparison/v1",
    base: compared(base),
    new: compared(next),
    maxDrop,
    refused,
    differences: listDifferences(base, next, refused.length > 0 ? { base: [], new: [] } : runs),
    verdicts,
    costs,
    ...conclude({ refused, verdicts, costs, maxDrop, runs: pairs.length }),
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

interface Pair {
  readonly name: string;
  readonly base: RunReport;
  readonly new: RunReport;
}

const compared = ({ report, version, startedAt, scenario, where }: Report): Compared => ({
  report,
  version,
  startedAt,
  scenario,
  where,
});

function pair(runs: { readonly base: readonly RunReport[]; readonly new: readonly RunReport[] }): Pair[] {
  const names = labelsOf(runs.base);
  const after = new Map(runs.new.map((run) => [settingsOf(run), run]));
  return runs.base.flatMap((run) => {
    const found = after.get(settingsOf(run));
    return found === undefined ? [] : [{ name: names.get(run) ?? run.strategy, base: run, new: found }];
  });
}

const RANKS: Readonly<Record<Agreement, number>> = { mismatch: 0, unknown: 1, expected: 2 };
const REPORT_RANKS: Readonly<Record<Report["verdict"]["value"], number>> = { violated: 0, unknown: 1, expected: 2 };

function compareVerdicts(
  base: Report,
  next: Report,
  pairs: readonly Pair[],
  baseRuns: readonly RunReport[],
): VerdictChange[] {
  const names = labelsOf(baseRuns);
  const gone = baseRuns.filter((run) => !pairs.some((each) => each.base === run));
  const changes: VerdictChange[] = [
    ...pairs.flatMap((each) => [
      ...ASPECTS.flatMap((aspect) => compareAspect(each, aspect)),
      ...compareAgreement(each),
    ]),
    // Only a run that the new report skipped is left here; any other makes the reports incomparable.
    ...gone.map(
      (run): VerdictChange => ({
        run: names.get(run) ?? run.strategy,
        of: "agreement",
        base: run.agreement,
        new: "not made",
        is: run.agreement === "expected" ? "worse" : "different",
        reasons: next.skipped.filter(({ strategy }) => strategy === names.get(run)).map(({ reason }) => reason),
      }),
    ),
    ...compareProbes(base, next),
    ...compareWholes(base, next),
  ];
  const order = { worse: 0, better: 1, different: 2 };
  return changes.sort((a, b) => order[a.is] - order[b.is]);
}

/**
 * The ranks follow what theory expected in the base report, so that a newer Holdfast that expects less hides nothing; one
 * that expects more is seen by its agreement.
 */
function compareAspect({ name, base, new: next }: Pair, aspect: Aspect): VerdictChange[] {
  const [before, after] = [base[aspect], next[aspect]];
  if (before.value === after.value) return [];
  const rank = ({ value }: RunReport[Aspect]) => {
    const expected = base.expects[aspect];
    if (expected === "unclaimed") return isPromised(base.expects, aspect) && value === "violated" ? 0 : 2;
    if (value === "unknown") return 1;
    return value === expected ? 2 : 0;
  };
  const reasons = after.value === "holds" ? [] : after.reasons;
  return [
    {
      run: name,
      of: aspect,
      base: before.value,
      new: after.value,
      is: compareRanks(rank(before), rank(after)),
      reasons,
    },
  ];
}

function compareAgreement({ name, base, new: next }: Pair): VerdictChange[] {
  if (base.agreement === next.agreement) return [];
  const is = compareRanks(RANKS[base.agreement], RANKS[next.agreement]);
  return [{ run: name, of: "agreement", base: base.agreement, new: next.agreement, is, reasons: next.reasons }];
}

const compareRanks = (before: number, after: number): VerdictChange["is"] =>
  after < before ? "worse" : after > before ? "better" : "different";

/** Commands that a user must not run, by what became of them. Unanswered probes say nothing. */
function compareProbes(base: Report, next: Report): VerdictChange[] {
  const nameOf = ({ service, user, attempt }: Report["acl"][number]) => `${service ?? "redis"} ${user}: ${attempt}`;
  const before = new Map(base.acl.map((probe) => [nameOf(probe), probe.outcome]));
  const ranks = { allowed: 0, unanswered: 1, refused: 2 };
  return next.acl.flatMap((probe): VerdictChange[] => {
    const outcome = before.get(nameOf(probe));
    if (outcome === undefined || outcome === probe.outcome) return [];
    const is = compareRanks(ranks[outcome], ranks[probe.outcome]);
    return [{ run: nameOf(probe), of: "acl", base: outcome, new: probe.outcome, is, reasons: [probe.answer] }];
  });
}

function compareWholes({ verdict: before }: Report, { verdict: after }: Report): VerdictChange[] {
  if (before.value === after.value) return [];
  const is = compareRanks(REPORT_RANKS[before.value], REPORT_RANKS[after.value]);
  return [{ run: "report", of: "verdict", base: before.value, new: after.value, is, reasons: after.reasons }];
}

const COST_MEASURES = ["throughput", "operationSeconds.p50", "operationSeconds.p99"] as const;

/** A control is not compared: it does without what the others pay for. */
function compareCosts({ name, base, new: next }: Pair, maxDrop: number | null): CostChange[] {
  if (base.control || next.control) return [];
  return COST_MEASURES.flatMap((measure): CostChange[] => {
    const [before, after] = [numberOf(base, measure), numberOf(next, measure)];
    if (before === undefined || after === undefined || before.median === 0) return [];
    const change = after.median / before.median - 1;
    const isApart = areApart(before, after) ?? "unknown";
    const tooSlow = measure === "throughput" && maxDrop !== null && isApart !== false && -change > maxDrop;
    return [{ run: name, of: measure, base: before, new: after, change, isApart, tooSlow }];
  });
}

/** The number of a run, with its interval where the run was repeated. */
function numberOf(run: RunReport, measure: (typeof COST_MEASURES)[number]): Interval | undefined {
  const median = medianOf(run, measure);
  if (median !== undefined) return median;
  const value =
    measure === "throughput"
      ? run.throughput
      : run.operationSeconds?.[measure === "operationSeconds.p50" ? "p50" : "p99"];
  return value === null || value === undefined ? undefined : { median: value, count: 1 };
}

function conclude({
  refused,
  verdicts,
  costs,
  maxDrop,
  runs,
}: Pick<Comparison, "refused" | "verdicts" | "costs" | "maxDrop"> & { readonly runs: number }): Pick<
  Comparison,
  "line" | "exitCode"
> {
  const end = (exitCode: number, text: string) => ({ exitCode, line: `COMPARISON: ${text} (exit ${exitCode})` });
  if (refused.length > 0) return end(EXIT.unknown, `cannot be compared: ${joined(refused)}`);
  const worse = [...new Set(verdicts.filter(({ is }) => is === "worse").map(({ run }) => quoted(run)))];
  if (worse.length > 0) return end(EXIT.violated, `a verdict got worse: ${list(worse)}`);
  const slow = costs.filter(({ tooSlow }) => tooSlow).map(({ run, change }) => `${quoted(run)} by ${percent(-change)}`);
  if (slow.length > 0) return end(EXIT.slower, `slower than allowed (${percent(maxDrop ?? 0)}): ${list(slow)}`);
  const what = runs === 0 ? "no run to compare, and no verdict got worse" : "no verdict got worse";
  if (maxDrop === null) return end(EXIT.expected, `${what}; a loss of speed is not judged without --max-drop`);
  return end(EXIT.expected, `${what}, and no run was shown to be slower by more than ${percent(maxDrop)}`);
}
