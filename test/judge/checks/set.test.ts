import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { set } from "../../../coordinator/judge/checks/set.ts";
import { judge } from "../../../coordinator/judge/run-verdict.ts";
import {
  bits,
  op,
  serial,
  simulate,
  turns,
  withFinal,
  withLost,
  withRows,
  writerOfWorker,
} from "../../support/histories.ts";
import { setDifferences } from "../../support/oracle.ts";

const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, index) => first + index);
const writer = (index: number, attempted: number, acknowledged: number[], unknown: number[] = []) => ({
  writers: [{ writer: writerOfWorker(index), attempted, acknowledged: bits(acknowledged), unknown }],
});

test("counts that agree hold", () => {
  const result = set(serial(100));
  assert.equal(result.status, "holds");
  assert.equal(result.detail, "the ledger has all 100 acknowledged operations and no others");
});

test("unknown outcomes are resolved by the ledger, by sequence or by whole id", () => {
  const evidence = withFinal(serial(100), 1, writer(1, 27, range(1, 23), [24, 25, 26, 27]));
  const result = set(evidence);
  assert.equal(result.status, "holds");
  assert.match(result.detail, /all 98 acknowledged .* it has 2 of 4 operations of unknown outcome/);
  assert.deepEqual(judge(evidence).resolved, { applied: 2, notApplied: 2 });
  assert.equal(judge(serial(100)).resolved, undefined);
  assert.equal(
    set(
      withFinal(
        evidence,
        1,
        writer(
          1,
          27,
          range(1, 23),
          range(24, 27).map((n) => op(1, n)),
        ),
      ),
    ).status,
    "holds",
  );
});

test("planted: an acknowledged operation that the ledger has lost", () => {
  const result = set(
    withRows(serial(100), (rows) => {
      rows.splice(50, 1);
    }),
  );
  assert.deepEqual([result.status, result.count], ["violated", 1]);
  assert.equal(
    result.witnesses[0]!.text,
    `operation ${op(2, 13)} of worker-2 was acknowledged, but it is not in the ledger`,
  );
});

test("planted: a worker that acknowledges one operation too many", () => {
  const result = set(withFinal(serial(100), 0, writer(0, 26, range(1, 26))));
  assert.deepEqual([result.status, result.count], ["violated", 1]);
});

test("planted: an operation beyond what the worker attempted", () => {
  const result = set(withFinal(serial(100), 0, writer(0, 24, range(1, 24))));
  assert.deepEqual([result.status, result.count], ["violated", 1]);
  assert.match(result.witnesses[0]!.text, /is in the ledger, but no writer attempted it/);
});

test("planted: a row of a writer that never registered", () => {
  const result = set(
    withRows(serial(100), (rows) => {
      rows[50]!.op = op(77, 1);
    }),
  );
  // The forged row, and the operation whose place it took.
  assert.deepEqual([result.status, result.count], ["violated", 2]);
  assert.match(result.witnesses[1]!.text, /of unregistered writer 88 is in the ledger/);
});

test("planted: a writer that a worker claims but never registered", () => {
  const evidence = serial(100);
  const result = set({ ...evidence, writers: evidence.writers.slice(1) });
  assert.deepEqual([result.status, result.count], ["violated", 25 + 25]);
});

test("planted: a rejected operation that was applied", () => {
  const result = set(withFinal(serial(100), 0, writer(0, 25, range(1, 24))));
  assert.deepEqual([result.status, result.count], ["violated", 1]);
  assert.match(result.witnesses[0]!.text, /was reported as rejected, but it is in the ledger/);
});

test("planted: an operation applied twice to one employee; twice to two employees is none", () => {
  const twice = withRows(serial(100), (rows) => {
    rows.push({ ...rows[10]! });
  });
  const result = set(twice);
  assert.deepEqual([result.status, result.count], ["violated", 1]);
  assert.match(result.witnesses[0]!.text, /was applied twice/);
  const transfer = withRows(serial(100), (rows) => {
    rows.push({ ...rows[10]!, employee: 2 });
  });
  assert.equal(set(transfer).status, "holds");
});

test("a worker without final numbers leaves the rest unknown, and its rows allowed", () => {
  const result = set(withLost(serial(100), 2, "killed by SIGKILL"));
  assert.deepEqual([result.status, result.count], ["unknown", 0]);
  assert.match(result.detail, /worker-2 did not report/);
});

test("a violation remains one if a worker has no final counts", () => {
  const evidence = withFinal(withLost(serial(100), 2, "killed"), 0, writer(0, 26, range(1, 26)));
  assert.equal(set(evidence).status, "violated");
});

test("a writer of an earlier process with the same index cannot be checked", () => {
  const evidence = serial(100);
  const writers = [...evidence.writers, { id: 99, worker: 1, loop: 0, uid: "earlier" }];
  assert.equal(set({ ...evidence, writers }).status, "unknown");
});

test("a writer whose worker is done and does not name it attempted nothing", () => {
  const evidence = serial(100);
  const idle = { ...evidence, writers: [...evidence.writers, { id: 99, worker: 1, loop: 1, uid: "uid-1" }] };
  assert.equal(set(idle).status, "holds");
  const forged = withRows(idle, (rows) => {
    rows.push({ ...rows[0]!, op: 99 * 2 ** 28 + 1 });
  });
  assert.equal(set(forged).status, "violated");
});

test("a worker that never came is missed", () => {
  const evidence = serial(100);
  assert.equal(set({ ...evidence, plan: { ...evidence.plan, workers: 5 } }).status, "unknown");
});

test("on random histories, damaged at random, the string sets agree", () => {
  let some = 0;
  fc.assert(
    fc.property(
      turns(),
      fc.array(fc.tuple(fc.nat(60), fc.constantFrom("drop", "double", "forge"))),
      fc.nat(3),
      (history, damages, worker) => {
        const sound = simulate(history).evidence;
        assert.equal(set(sound).status, "holds");
        const evidence = withRows(sound, (rows) => {
          for (const [at, damage] of damages) {
            const row = rows[at % Math.max(1, rows.length)];
            if (row === undefined) continue;
            if (damage === "drop") rows.splice(rows.indexOf(row), 1);
            else if (damage === "double") rows.push({ ...row });
            else rows.push({ ...row, op: op(worker, 1_000 + at) });
          }
        });
        const expected = setDifferences(evidence);
        // A forged operation that comes twice is unexpected twice; only attempted ones count as applied twice.
        const forged = Array.from(evidence.ledger.op).filter((id) => id % 2 ** 28 >= 1_000);
        const doubled = expected.duplicated - (forged.length - new Set(forged).size);
        const result = set(evidence);
        assert.equal(result.count, expected.lost + expected.unexpected + doubled);
        if (result.count > 0) some++;
      },
    ),
    { numRuns: 300 },
  );
  assert.ok(some > 50, `only ${some} histories were damaged`);
});
