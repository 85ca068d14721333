/** What the repeats of a run show together. Pure. */
import { labelsOf } from "../plan/run-names.ts";
import { ASPECTS, type Aspect } from "../plan/run-plan.ts";
import { plural } from "../text/format.ts";
import { type Interval, intervalOf } from "./interval.ts";
import { pick, pool } from "./pool.ts";
import {
  type Agreement,
  MEASURES,
  type Measure,
  type Repeated,
  type Report,
  type RunReport,
  type Verdict,
} from "./report-data.ts";

/** A run that stands for all its repeats: counts are sums, times and rates are medians. */
export interface PooledRun extends RunReport {
  readonly repeats: readonly RunReport[];
  readonly repeated: Repeated;
}

/** One run for all repeats of the same settings, in the order of the scenario. Runs without repeats stay as they are. */
export function poolRepeats(runs: readonly RunReport[]): (RunReport | PooledRun)[] {
  if (runs.every(({ repeat }) => repeat === undefined)) return [...runs];
  const groups = [...Map.groupBy(runs, settingsOf).values()]
    .map((group) => group.toSorted((a, b) => (a.repeat ?? 0) - (b.repeat ?? 0)))
    // The seeds of a report count up in the order of the scenario; see plan/repeats.ts.
    .sort((a, b) => a[0]!.plan.seed - b[0]!.plan.seed);
  const pooled = groups.map((repeats) => ({ ...pool(repeats), ...verdictOf(repeats), repeats }));
  const names = labelsOf(pooled);
  return pooled.map((run) => ({ ...run, repeated: summarizeRepeats(run, names.get(run) ?? run.strategy) }));
}

/** For report.json; undefined without repeats. */
export function repeatsOf(runs: readonly RunReport[]): Repeated[] | undefined {
  const pooled = poolRepeats(runs).flatMap((run) => repeatedOf(run) ?? []);
  return pooled.length === 0 ? undefined : pooled;
}

/** The median of a number of a repeated run, with its interval. */
export const medianOf = (run: RunReport, measure: Measure): Interval | undefined =>
  repeatedOf(run)?.medians.find((median) => median.of === measure);

export const repeatedOf = (run: RunReport): Repeated | undefined => (run as Partial<PooledRun>).repeated;

/** The repeats of a run; the run alone if it was made once. */
export const eachRepeat = (run: RunReport): readonly RunReport[] => (run as Partial<PooledRun>).repeats ?? [run];

/** All settings of a run, as text: the same for its repeats, and for the same run of another report. */
export function settingsOf({ strategy, mix, ownLock, guard, plan }: RunReport): string {
  const { seed: _, mysqlServers: __, ...settings } = plan;
  const sorted = Object.entries(settings).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([strategy, mix ?? null, ownLock?.name ?? null, guard, sorted]);
}

/** The report with one run for all repeats of the same settings, as its readable forms show it. */
export const poolReport = (report: Report): Report => ({ ...report, runs: poolRepeats(report.runs) });

/** In place of a run whose repeats are not all as expected, each of its repeats. */
export const listDetailed = (runs: readonly RunReport[]): RunReport[] =>
  runs.flatMap((run) => (run.agreement === "expected" ? [run] : eachRepeat(run)));

/** `3 repeats of each run`; empty where runs were made once. */
export function describeRepeats(runs: readonly RunReport[]): string[] {
  const most = Math.max(0, ...runs.flatMap(eachRepeat).map(({ repeat = 0 }) => repeat));
  return most === 0 ? [] : [`${plural(most, "repeat")} of each run`];
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

function verdictOf(repeats: readonly RunReport[]): Pick<RunReport, Aspect | "agreement" | "reasons"> {
  const some = (is: Agreement) => repeats.some(({ agreement }) => agreement === is);
  return {
    data: mergeVerdicts(repeats, "data"),
    exclusion: mergeVerdicts(repeats, "exclusion"),
    agreement: some("mismatch") ? "mismatch" : some("unknown") ? "unknown" : "expected",
    reasons: inWhichRepeats(repeats, ({ reasons }) => reasons),
  };
}

/** Violated if any is violated, unknown if any is unknown; the reasons name both. */
function mergeVerdicts(repeats: readonly RunReport[], aspect: Aspect): Verdict {
  const verdicts = repeats.map((run) => run[aspect]);
  const reasons = inWhichRepeats(repeats, (run) => {
    const verdict = run[aspect];
    return verdict.value === "holds" ? [] : verdict.reasons;
  });
  const violated = verdicts.filter(({ value }) => value === "violated");
  if (violated.length > 0) {
    const count = violated.reduce((sum, verdict) => sum + (verdict.value === "violated" ? verdict.count : 0), 0);
    return { value: "violated", count, reasons };
  }
  if (verdicts.some(({ value }) => value === "unknown")) return { value: "unknown", reasons };
  const operations = verdicts.reduce((sum, verdict) => sum + (verdict.value === "holds" ? verdict.operations : 0), 0);
  return { value: "holds", operations, rateBelow: 3 / operations };
}

/** Each sentence once, with the repeats that it is about. */
function inWhichRepeats(repeats: readonly RunReport[], of: (run: RunReport) => readonly string[]): string[] {
  const all = repeats.flatMap((run) => of(run).map((text) => ({ text, repeat: run.repeat })));
  return [...Map.groupBy(all, ({ text }) => text)].map(
    ([text, some]) =>
      `in ${some.length > 1 ? "repeats" : "repeat"} ${some.map(({ repeat }) => repeat).join(", ")}: ${text}`,
  );
}

function summarizeRepeats(run: Omit<PooledRun, "repeated">, name: string): Repeated {
  const { repeats } = run;
  return {
    name,
    runs: repeats.map((repeat) => repeat.run),
    ...pick(run, [...ASPECTS, "agreement"]),
    medians: MEASURES.flatMap((measure) => {
      const interval = intervalOf(repeats.flatMap((repeat) => measureOf(repeat, measure) ?? []));
      return interval === undefined ? [] : [{ of: measure, ...interval }];
    }),
  };
}

function measureOf(run: RunReport, measure: Measure): number | null | undefined {
  if (measure === "throughput") return run.throughput;
  const [times, key] = measure.split(".") as [
    "operationSeconds" | "lockWaitSeconds",
    "average" | "p50" | "p95" | "p99",
  ];
  return run[times]?.[key];
}
