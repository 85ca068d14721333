import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { exclusion } from "../../../coordinator/judge/checks/exclusion.ts";
import { buildLedger } from "../../../coordinator/judge/ledger.ts";
import type { RunPlan } from "../../../coordinator/plan/run-plan.ts";
import { op, serial, simulate, type Turn, turns, withRows } from "../../support/histories.ts";
import { overlaps } from "../../support/oracle.ts";

const turn = (worker: number, afterUs = 1_000): Turn => ({ worker, employee: 1, raise: 10, end: "committed", afterUs });

test("sections one after the other hold", () => {
  const result = exclusion(serial(100));
  assert.deepEqual([result.status, result.count], ["holds", 0]);
});

test("a read between another's read and write is an overlap, with its length", () => {
  const result = exclusion(simulate([turn(0), turn(1), turn(0, 2_500), turn(1)]).evidence);
  assert.deepEqual([result.status, result.count], ["violated", 1]);
  assert.equal(
    result.witnesses[0]!.text,
    "worker-0 (version 2) and worker-1 (version 3) were both in the critical section for 2.500 ms",
  );
  assert.deepEqual(result.witnesses[0]!.operations, [op(0, 1), op(1, 1)]);
});

test("sections that only touch do not overlap", () => {
  const result = exclusion(simulate([turn(0), turn(0), turn(1, 0), turn(1)]).evidence);
  assert.equal(result.status, "holds");
});

test("a section inside another one is found", () => {
  const result = exclusion(simulate([turn(0), turn(1), turn(1), turn(0)]).evidence);
  assert.deepEqual([result.status, result.count], ["violated", 1]);
});

test("one that stayed inside while three others came and went makes three overlaps", () => {
  const others = [1, 2, 3].flatMap((worker) => [turn(worker), turn(worker)]);
  assert.equal(exclusion(simulate([turn(0), ...others, turn(0)]).evidence).count, 3);
});

test("sections on different employees never overlap", () => {
  const other: Turn = { ...turn(1), employee: 2 };
  assert.equal(exclusion(simulate([turn(0), other, turn(0), other]).evidence).status, "holds");
});

test("one key for all employees keeps sections on different ones apart as well", () => {
  const other: Turn = { ...turn(1), employee: 2 };
  const judged = (plan: Partial<RunPlan>) =>
    exclusion(simulate([turn(0), other, turn(0), other], plan).evidence).status;
  assert.equal(judged({ strategy: "redis", keyScope: "global" }), "violated");
  assert.equal(judged({ strategy: "redis", keyScope: "row" }), "holds");
  // A strategy without a key locks each row separately, whatever the scope.
  assert.equal(judged({ strategy: "row-lock", keyScope: "global" }), "holds");
  assert.equal(judged({ strategy: "redis", mix: ["redis", "row-lock"], keyScope: "global" }), "holds");
});

test("the data can be right and exclusion broken all the same", () => {
  // The second worker reads before the first has written; a guard in the write would have kept the data.
  const early = withRows(serial(100), (rows) => {
    rows[50]!.readAtUs -= 1_500;
  });
  assert.deepEqual([exclusion(early).status, exclusion(early).count], ["violated", 1]);
});

test("a database clock that went back proves nothing", () => {
  const stepped = withRows(serial(100), (rows) => {
    for (const row of rows.slice(50)) {
      row.readAtUs -= 50_000;
      row.writtenAtUs -= 50_000;
    }
  });
  const result = exclusion(stepped);
  assert.equal(result.status, "unknown");
  assert.match(result.detail, /clock went back at operation \d+/);
  const within = withRows(serial(100), (rows) => {
    rows[50]!.readAtUs = rows[50]!.writtenAtUs + 1;
  });
  assert.equal(exclusion(within).status, "unknown");
  const nonsense = withRows(serial(100), (rows) => {
    rows[50]!.readAtUs = Number.NaN;
  });
  assert.equal(exclusion(nonsense).status, "unknown");
});

test("an empty ledger is no data", () => {
  assert.equal(exclusion({ ...serial(100), ledger: buildLedger([]) }).status, "unknown");
});

test("on random histories the sweep counts what the join over all pairs counts", () => {
  let some = 0;
  fc.assert(
    fc.property(turns(80), (history) => {
      const { evidence } = simulate(history);
      if (evidence.ledger.length === 0) return;
      const expected = overlaps(evidence);
      const result = exclusion(evidence);
      assert.equal(result.count, expected);
      assert.equal(result.status, expected > 0 ? "violated" : "holds");
      if (expected > 0) some++;
    }),
    { numRuns: 300 },
  );
  assert.ok(some > 50, `only ${some} histories overlapped`);
});
