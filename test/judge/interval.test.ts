/** Intervals of medians: their ends, their confidence, and how often they hold what they promise. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { areApart, intervalOf } from "../../coordinator/judge/interval.ts";

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

test("the ends are the order statistics of the sign test's tables, whatever the order of the values", () => {
  for (const [count, low, confidence] of [
    [4, 1, 0.875],
    [5, 1, 0.9375],
    [6, 1, 0.96875],
    [8, 1, 0.9921875],
    [9, 2, 0.9609375],
    [12, 3, 0.96142578125],
    [20, 6, 0.9586105346679688],
  ] as const) {
    const interval = intervalOf(upTo(count).reverse());
    assert.equal(interval?.low, low, `${count} values`);
    assert.equal(interval?.high, count + 1 - low, `${count} values`);
    assert.ok(Math.abs(interval!.confidence! - confidence) < 1e-12, `${count} values: ${interval?.confidence}`);
  }
});

test("fewer than four values have a median and no interval, and none have neither", () => {
  assert.deepEqual(intervalOf([3, 1, 2]), { median: 2, count: 3 });
  assert.deepEqual(intervalOf([7]), { median: 7, count: 1 });
  assert.equal(intervalOf([]), undefined);
});

test("the interval contains the median as often as it says", () => {
  // Every sample of n signs is equally likely: enumerate on which side of the median each value falls.
  for (const count of [4, 6, 9, 12]) {
    const { low, high, confidence } = intervalOf(upTo(count))!;
    let inside = 0;
    for (let sides = 0; sides < 2 ** count; sides++) {
      const below = upTo(count).filter((bit) => (sides >> (bit - 1)) & 1).length;
      if (below >= low! && below < high!) inside++;
    }
    assert.ok(Math.abs(inside / 2 ** count - confidence!) < 1e-12, `${count} values: ${inside / 2 ** count}`);
  }
});

test("intervals are apart only if they share no value, and without an interval nothing is known", () => {
  const [slow, fast] = [intervalOf([1, 2, 3, 4]), intervalOf([5, 6, 7, 8])];
  assert.equal(areApart(slow, fast), true);
  assert.equal(areApart(fast, slow), true);
  assert.equal(areApart(slow, intervalOf([4, 5, 6, 7])), false);
  assert.equal(areApart(slow, intervalOf([2, 2, 3, 3])), false);
  assert.equal(areApart(slow, intervalOf([9, 9, 9])), undefined);
  assert.equal(areApart(undefined, fast), undefined);
});
