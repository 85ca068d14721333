import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { sumMoney, value } from "../../../coordinator/judge/checks/value.ts";
import { INITIAL_SALARY, serial, simulate, type Turn, turns, withRows } from "../../support/histories.ts";
import { lostMoney } from "../../support/oracle.ts";

const turn = (worker: number, raise = 10): Turn => ({ worker, employee: 1, raise, end: "committed", afterUs: 100 });

test("salaries that carry every raise hold", () => {
  const result = value(serial(100));
  assert.deepEqual([result.status, result.count], ["holds", 0]);
  assert.match(result.detail, /^all \d+ granted/);
});

test("a lost update loses its money", () => {
  const { evidence } = simulate([turn(0, 5), turn(1, 17), turn(1, 17), turn(0, 5)]);
  const result = value(evidence);
  assert.equal(result.status, "violated");
  assert.match(result.detail, /^17 of 22 granted salary units were lost/);
  assert.equal(
    result.witnesses[0]!.text,
    `worker-0 wrote version 3 based on the salary ${INITIAL_SALARY} of version 1 and overwrote the salary ${INITIAL_SALARY + 17}`,
  );
});

test("planted: a raise changed by hand in the middle", () => {
  const result = value(
    withRows(serial(100), (rows) => {
      rows[50]!.raise += 1;
    }),
  );
  assert.equal(result.status, "violated");
  assert.match(result.witnesses[0]!.text, /a raise of \d+ do not make/);
});

test("planted: a salary changed behind the workers' backs in the middle, with all versions in order", () => {
  // A foreign write takes 7 after the 50th write, and all workers continue from there.
  const evidence = serial(100);
  const robbed = withRows(evidence, (rows) => {
    for (const row of rows.slice(50)) {
      row.readSalary -= 7;
      row.newSalary -= 7;
    }
  });
  const last = evidence.final[0]!;
  const result = value({ ...robbed, final: [{ ...last, salary: last.salary - 7 }] });
  assert.deepEqual([result.status, result.count], ["violated", 1]);
  assert.match(result.detail, /^7 of [\d,]+ granted salary units were lost/);
  assert.match(result.witnesses[0]!.text, /it was changed outside the ledger/);
});

test("planted: a salary changed after the last write", () => {
  const evidence = serial(100);
  const last = evidence.final[0]!;
  const result = value({ ...evidence, final: [{ ...last, salary: last.salary + 3 }] });
  assert.deepEqual([result.status, result.count], ["violated", 1]);
  assert.match(result.detail, /3 higher than/);
});

test("planted: money moved from one employee to another is found although the total is right", () => {
  const evidence = serial(100, 4, { rows: 2 });
  const [one, two] = evidence.final;
  const moved = [
    { ...one!, salary: one!.salary - 5 },
    { ...two!, salary: two!.salary + 5 },
  ];
  assert.equal(sumMoney({ ...evidence, final: moved }).lost, 0);
  assert.equal(value({ ...evidence, final: moved }).status, "violated");
});

test("planted: a change taken back later leaves the sum right, and is found", () => {
  const robbed = withRows(serial(100), (rows) => {
    for (const row of rows.slice(50, 60)) {
      row.readSalary -= 7;
      row.newSalary -= 7;
    }
  });
  assert.equal(sumMoney(robbed).lost, 0);
  assert.equal(value(robbed).count, 2);
});

test("rows that could not be read are unknown", () => {
  const evidence = { ...serial(100), final: [] };
  assert.equal(value(evidence).status, "unknown");
  assert.equal(sumMoney(evidence).lost, null);
});

test("on random histories the lost money is what the final rows do not descend from", () => {
  let some = 0;
  fc.assert(
    fc.property(turns(), (history) => {
      const { evidence, stale } = simulate(history);
      const { lost } = sumMoney(evidence);
      assert.equal(lost, lostMoney(evidence));
      // Equal raises can hide a single step, but never the sum.
      if (lost !== 0) assert.equal(value(evidence).status, "violated");
      if (stale === 0) assert.equal(value(evidence).status, "holds");
      if (lost !== 0) some++;
    }),
    { numRuns: 300 },
  );
  assert.ok(some > 50, `only ${some} histories lost money`);
});

test("a single change of a salary or a raise is always found", () => {
  const evidence = serial(40);
  fc.assert(
    fc.property(
      fc.nat(39),
      fc.constantFrom("readSalary", "newSalary", "raise" as const),
      fc.integer({ min: 1, max: 50 }),
      (row, column, by) => {
        const changed = withRows(evidence, (rows) => {
          rows[row]![column] += by;
        });
        assert.equal(value(changed).status, "violated");
      },
    ),
  );
});
