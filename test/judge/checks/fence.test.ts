import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fence } from "../../../coordinator/judge/checks/fence.ts";
import { serial, withRows } from "../../support/histories.ts";
import { tokensRegress } from "../../support/oracle.ts";

const withTokens = (tokens: readonly number[], employees = 1) =>
  withRows(serial(tokens.length, 4, { rows: employees }), (rows) => {
    for (const [index, row] of rows.entries()) row.fence = tokens[index]!;
  });

test("tokens that increase hold, with gaps too", () => {
  assert.deepEqual([fence(withTokens([1, 2, 5, 9])).status, fence(withTokens([1, 2, 5, 9])).count], ["holds", 0]);
});

test("without tokens there is nothing to check", () => {
  assert.equal(fence(serial(100)).status, "skipped");
});

test("planted: an older token after a newer one, and a token used twice", () => {
  const late = fence(withTokens([1, 2, 4, 3, 5]));
  assert.deepEqual([late.status, late.count], ["violated", 1]);
  assert.equal(
    late.witnesses[0]!.text,
    "worker-3 wrote version 5 with token 3 after worker-2 had written with token 4",
  );
  assert.deepEqual([fence(withTokens([1, 2, 2, 3])).status, fence(withTokens([1, 2, 2, 3])).count], ["violated", 1]);
});

test("a counter that began anew is counted until it has caught up", () => {
  assert.equal(fence(withTokens([7, 8, 1, 2, 3, 9])).count, 3);
});

test("each employee has its own order, and rows without a token are passed over", () => {
  assert.equal(fence(withTokens([5, 1, 6, 2], 2)).status, "holds");
  assert.equal(fence(withTokens([1, 0, 2, 0])).status, "holds");
  assert.equal(fence(withTokens([2, 0, 1, 0])).status, "violated");
});

test("on random tokens the pairwise oracle agrees", () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(30), { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 1, max: 2 }),
      (tokens, rows) => {
        const evidence = withTokens(tokens, Math.min(rows, tokens.length));
        assert.equal(fence(evidence).status === "violated", tokensRegress(evidence));
      },
    ),
    { numRuns: 300 },
  );
});
