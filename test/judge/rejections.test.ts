/** Rejections over time: counted by the workers, drawn only where they account for all. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { drawingOf } from "../../coordinator/judge/drawing.ts";
import type { Evidence } from "../../coordinator/judge/evidence.ts";
import { judge } from "../../coordinator/judge/run-verdict.ts";
import { REJECTED_PARTS } from "../../worker/contract.ts";
import { createTally } from "../../worker/tally.ts";
import { serial, withFinal } from "../support/histories.ts";

const drawn = (evidence: Evidence) => drawingOf(evidence, judge(evidence))!;
const parts = (...at: readonly (readonly [part: number, count: number])[]) => {
  const all = Array.from({ length: REJECTED_PARTS }, () => 0);
  for (const [part, count] of at) all[part] = count;
  return all;
};
/** 200 operations 1 ms apart in two turns each, so the run takes as long as planned. */
const run = serial(200, 4, { durationMs: 400 });

test("a worker counts a rejection in the part of the planned duration in which it happened", () => {
  const tally = createTally();
  for (const elapsed of [0, 0.5, 0.5, 0.999, 1.7]) tally.operation("rejected", 0, elapsed);
  tally.operation("committed", 5, 0.2);
  assert.deepEqual(tally.result().rejectedParts, parts([0, 1], [30, 2], [59, 2]));
  const others = createTally();
  others.operation("committed", 5, 0.2);
  assert.equal(others.result().rejectedParts, undefined);
});

test("the rejections of all workers are in the bins of the drawing", () => {
  const two = withFinal(run, 0, { rejected: 7, rejectedParts: parts([0, 3], [59, 4]) });
  const { rejected } = drawn(withFinal(two, 2, { rejected: 5, rejectedParts: parts([0, 5]) }));
  assert.equal(rejected?.length, drawn(run).committed[0]!.length);
  assert.deepEqual(
    rejected.flatMap((count, bin) => (count > 0 ? [[bin < 2, count]] : [])),
    [
      [true, 8],
      [false, 4],
    ],
  );
});

test("nothing is drawn where a worker did not say when, or its parts do not add up", () => {
  assert.equal(drawn(run).rejected, undefined);
  assert.equal(drawn(withFinal(run, 0, { rejected: 7 })).rejected, undefined);
  assert.equal(drawn(withFinal(run, 0, { rejected: 7, rejectedParts: parts([3, 6]) })).rejected, undefined);
});
