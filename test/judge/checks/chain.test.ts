import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { chain, staleWrites } from "../../../coordinator/judge/checks/chain.ts";
import { buildLedger } from "../../../coordinator/judge/ledger.ts";
import { op, serial, simulate, type Turn, turns, withRows } from "../../support/histories.ts";
import { lostUpdates } from "../../support/oracle.ts";

const turn = (worker: number, raise = 10): Turn => ({ worker, employee: 1, raise, end: "committed", afterUs: 100 });

test("writes one after the other hold", () => {
  const result = chain(serial(100));
  assert.deepEqual([result.status, result.count, result.witnesses], ["holds", 0, []]);
  assert.match(result.detail, /^100 writes to 1 employee/);
});

test("a write from an old version is a lost update, and the witness names both writers", () => {
  // Both read version 1; worker 1 writes version 2, worker 0 overwrites it with version 3.
  const { evidence } = simulate([turn(0), turn(1, 17), turn(1, 17), turn(0)]);
  const result = chain(evidence);
  assert.deepEqual([result.status, result.count], ["violated", 1]);
  assert.equal(
    result.witnesses[0]!.text,
    "worker-0 wrote version 3 based on version 1: worker-1's raise of 17 was lost",
  );
  assert.deepEqual(result.witnesses[0]!.operations, [op(0, 1), op(1, 1)]);
});

test("one stale write can lose several raises, and is still one", () => {
  const { evidence, stale } = simulate([turn(0), ...[1, 2, 3, 1, 2].flatMap((w) => [turn(w, w), turn(w, w)]), turn(0)]);
  const result = chain(evidence);
  assert.deepEqual([result.count, stale], [1, 1]);
  assert.match(
    result.witnesses[0]!.text,
    /worker-0 wrote version 7 based on version 1: worker-1's raise of 1, worker-2's raise of 2, worker-3's raise of 3 and 2 more were lost/,
  );
});

test("witnesses name loops of one worker, and employees if there are several", () => {
  const one = simulate([turn(0), turn(1), turn(1), turn(0)], { concurrency: 2 });
  assert.match(chain(one.evidence).witnesses[0]!.text, /worker-0 \(loop 0\) wrote version \d+ based on/);
  const several = simulate([turn(0), turn(1), turn(1), turn(0)], { rows: 2 });
  assert.match(chain(several.evidence).witnesses[0]!.text, /^employee 1: /);
});

test("witnesses are the first ones and at most three", () => {
  const conflict = [turn(0), turn(1), turn(1), turn(0)];
  const result = chain(simulate([...conflict, ...conflict, ...conflict, ...conflict, ...conflict]).evidence);
  assert.equal(result.count, 5);
  assert.deepEqual(
    result.witnesses.map(({ text }) => /version \d+/.exec(text)?.[0]),
    ["version 3", "version 5", "version 7"],
  );
});

for (const [what, plant, expected] of [
  ["a missing row", (rows) => rows.splice(50, 1), /nothing between version 51 and it: a write outside the ledger/],
  ["a row twice", (rows) => rows.splice(50, 0, { ...rows[50]! }), /had been written: two writers had one version/],
  [
    "a read version changed by hand",
    (rows) => rows[50]!.readVersion--,
    /based on version 50: worker-1's raise of \d was lost/,
  ],
  ["a read of a version that was not there", (rows) => (rows[50]!.readVersion = 99), /which did not exist yet/],
  [
    "a read of another operation's row",
    (rows) => (rows[50]!.readOp = op(3, 1)),
    /on top of operation \d+, but operation \d+ wrote version 51/,
  ],
  ["a row of an employee that the run has not", (rows) => (rows[50]!.employee = 9), /no such employee/],
  ["a version that is no number", (rows) => (rows[50]!.newVersion = Number.NaN), /wrote version NaN/],
] satisfies [string, (rows: Parameters<Parameters<typeof withRows>[1]>[0]) => unknown, RegExp][])
  test(`planted: ${what}`, () => {
    const result = chain(withRows(serial(100), plant));
    assert.equal(result.status, "violated");
    assert.ok(result.count >= 1);
    assert.match(result.witnesses.map(({ text }) => text).join("\n"), expected);
  });

for (const [what, change, expected] of [
  ["a version raised after the last write", { version: 102 }, /has version 102, but the ledger ends with version 101/],
  ["another last operation", { lastOp: 5 }, /says that operation 5 wrote it last/],
] as const)
  test(`planted: ${what} is a write outside the ledger`, () => {
    const evidence = serial(100);
    const result = chain({ ...evidence, final: [{ ...evidence.final[0]!, ...change }] });
    assert.deepEqual([result.status, result.count], ["violated", 1]);
    assert.match(result.witnesses[0]!.text, expected);
  });

test("a row that is gone is violated, rows that could not be read are unknown", () => {
  const two = serial(100, 4, { rows: 2 });
  const gone = chain({ ...two, final: [two.final[0]!] });
  assert.equal(gone.status, "violated");
  assert.match(gone.witnesses[0]!.text, /^employee 2: the row is gone/);
  assert.equal(chain({ ...two, final: [] }).status, "unknown");
});

test("an employee without writes must be unchanged", () => {
  const evidence = serial(100);
  const idle = { id: 2, version: 1, salary: 1_000, lastOp: 0 };
  const both = { ...evidence, initial: [...evidence.initial, idle] };
  assert.equal(chain({ ...both, final: [...evidence.final, idle] }).status, "holds");
  assert.equal(chain({ ...both, final: [...evidence.final, { ...idle, version: 2 }] }).status, "violated");
});

test("on random histories the count is the number of stale writes, and the pairwise oracle agrees", () => {
  let some = 0;
  fc.assert(
    fc.property(turns(), (history) => {
      const { evidence, stale } = simulate(history);
      const result = chain(evidence);
      assert.equal(result.count, stale);
      assert.equal(staleWrites(evidence.ledger), stale);
      assert.equal(lostUpdates(evidence), stale);
      assert.equal(result.status, stale > 0 ? "violated" : "holds");
      if (stale > 0) some++;
    }),
    { numRuns: 300 },
  );
  assert.ok(some > 50, `only ${some} histories had a stale write`);
});

test("a known number of stale writes, planted anywhere in a serial history, is counted exactly", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 99 }), { maxLength: 20 }), (victims) => {
      // Each victim's predecessor reads, waits, and writes only after the victim: worker 3 is always late.
      const history = Array.from({ length: 100 }, (_, index) =>
        victims.includes(index)
          ? [turn(3), turn(index % 3), turn(index % 3), turn(3)]
          : [turn(index % 3), turn(index % 3)],
      ).flat();
      assert.equal(chain(simulate(history).evidence).count, victims.length);
    }),
    { numRuns: 50 },
  );
});

test("a single change of a version or an operation is always found", () => {
  const evidence = serial(40);
  fc.assert(
    fc.property(
      fc.nat(39),
      fc.constantFrom("readVersion", "newVersion", "readOp", "op", "employee" as const),
      fc.integer({ min: 1, max: 50 }),
      (row, column, by) => {
        const changed = withRows(evidence, (rows) => {
          rows[row]![column] += by;
        });
        assert.equal(chain(changed).status, "violated");
      },
    ),
  );
});

test("no writes on rows as they were hold: that nothing was tried is another check's business", () => {
  const evidence = serial(100);
  const nothing = { ...evidence, ledger: buildLedger([]), final: evidence.initial };
  assert.equal(chain(nothing).status, "holds");
});
