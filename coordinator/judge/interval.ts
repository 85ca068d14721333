/** The median of some measurements, and an interval for it. Pure. */
import { binomialDistribution, median } from "simple-statistics";
import * as z from "zod";

/** The confidence that an interval has where there are enough values. */
const CONFIDENCE = 0.95;

/** With fewer values, even the smallest and the largest of them enclose the median with a confidence of 75 % at most. */
export const VALUES_MIN = 4;

export const Interval = z.strictObject({
  median: z.number().describe("Median of the repeats"),
  count: z.int().describe("Repeats that have this number"),
  low: z.number().optional().describe("Lower end of the interval; absent with fewer than 4 repeats"),
  high: z.number().optional().describe("Upper end of the interval; absent with fewer than 4 repeats"),
  confidence: z
    .number()
    .optional()
    .describe(
      "Confidence of the interval, 0 to 1: 0.95 or a little more; less with 4 or 5 repeats; absent with fewer than 4",
    ),
});
export type Interval = Readonly<z.infer<typeof Interval>>;

/**
 * The median with its interval between two order statistics: it lies between the i-th smallest and the i-th largest of n
 * values unless fewer than i of them are on one side of it, which is binomial with probability 1/2. It assumes nothing of
 * the distribution (David and Nagaraja, Order Statistics, 7.1). The largest i with at least 95 % is taken; four or five
 * values have no such i, and the interval is their range. Undefined where there are no values.
 */
export function intervalOf(values: readonly number[]): Interval | undefined {
  if (values.length === 0) return undefined;
  const middle = { median: median([...values]), count: values.length };
  if (values.length < VALUES_MIN) return middle;
  const sorted = values.toSorted((a, b) => a - b);
  const tails = tailsOf(values.length);
  const rank = Math.max(1, tails.findLastIndex((tail) => 1 - 2 * tail >= CONFIDENCE) + 1);
  return { ...middle, low: sorted[rank - 1]!, high: sorted.at(-rank)!, confidence: 1 - 2 * tails[rank - 1]! };
}

/** Whether two intervals have no value in common; undefined where one of the two numbers has no interval. */
export function areApart(a: Interval | undefined, b: Interval | undefined): boolean | undefined {
  if (a?.low === undefined || a.high === undefined || b?.low === undefined || b.high === undefined) return undefined;
  return a.low > b.high || b.low > a.high;
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** For i = 0, 1, ... below half of `count`: the probability that at most i of `count` values are below the median. */
function tailsOf(count: number): number[] {
  let sum = 0;
  return (binomialDistribution(count, 0.5) ?? []).slice(0, Math.floor(count / 2)).map((probability) => {
    sum += probability;
    return sum;
  });
}
