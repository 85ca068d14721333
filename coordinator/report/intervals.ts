/** Which differences in speed are more than chance, as far as the repeats of the runs show it. */
import { areApart, type Interval, VALUES_MIN } from "../judge/interval.ts";
import { eachRepeat, medianOf } from "../judge/repeats.ts";
import type { RunReport } from "../judge/report-data.ts";
import { atLeast, plural } from "../text/format.ts";

/**
 * Whether one run committed more than the other in more than chance; undefined where runs were not repeated often enough
 * to have intervals.
 */
export const areSpeedsApart = (a: RunReport, b: RunReport): boolean | undefined =>
  areApart(medianOf(a, "throughput"), medianOf(b, "throughput"));

/** Those of the runs whose throughput cannot be told apart from that of the fastest, which is the first. */
export const rivalsOf = (runs: readonly RunReport[]): RunReport[] =>
  runs.slice(1).filter((run) => areSpeedsApart(runs[0]!, run) === false);

/** `229–250`; empty where there is no interval. */
export const intervalText = (interval: Interval | null | undefined, number: (value: number) => string): string =>
  interval?.low === undefined || interval.high === undefined ? "" : `${number(interval.low)}–${number(interval.high)}`;

/** How sure the order of the runs is: a sentence where each was made once or too few times, otherwise none. */
export function describeCertainty(runs: readonly RunReport[]): string[] {
  const fewest = Math.min(...runs.map((run) => eachRepeat(run).length));
  if (fewest >= VALUES_MIN) return [];
  const made = fewest === 1 ? "Each run was made once" : `Each run was made ${fewest} times`;
  return [`${made}, so differences in speed may be chance. --repeat 6 gives intervals.`];
}

/** What the intervals of these runs are; undefined where there are none. */
export function describeIntervals(runs: readonly RunReport[]): string | undefined {
  const all = runs.flatMap((run) => medianOf(run, "throughput") ?? []);
  const confidences = all.flatMap(({ confidence }) => confidence ?? []);
  if (confidences.length === 0) return undefined;
  const repeats = plural(Math.max(...all.map(({ count }) => count)), "repeat");
  const least = Math.min(...confidences);
  const confidence = least >= CONFIDENCE ? "95 %" : atLeast(least);
  return `Medians of ${repeats}. Each median lies in its interval with a confidence of ${confidence}${least >= CONFIDENCE ? "" : `; 6 repeats give 95 %`}.`;
}

const CONFIDENCE = 0.95;
