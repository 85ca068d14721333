import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { jain, liveness, longestStallMs } from "../../../coordinator/judge/checks/liveness.ts";
import { OPERATIONS_MIN, overlapOf, vacuity } from "../../../coordinator/judge/checks/vacuity.ts";
import { buildLedger } from "../../../coordinator/judge/ledger.ts";
import { serial, serialTurns, simulate, withFinal, withLost, withRows } from "../../support/histories.ts";

test("a fleet that took turns all the time could have shown a violation", () => {
  const result = vacuity(serial(100));
  assert.equal(result.status, "holds");
  assert.equal(
    result.detail,
    "100 operations, 100 % after a write of another writer, all workers active for 100 % of the planned duration",
  );
});

test("too few operations are unknown", () => {
  const result = vacuity(serial(OPERATIONS_MIN - 1));
  assert.equal(result.status, "unknown");
  assert.match(result.detail, /only 29 operations committed, but at least 30 are needed/);
  assert.equal(vacuity(serial(OPERATIONS_MIN)).status, "holds");
  assert.match(vacuity({ ...serial(100), ledger: buildLedger([]) }).detail, /only 0 operations committed/);
});

test("a worker that committed nothing is unknown and named", () => {
  const evidence = { ...serial(100), plan: { ...serial(100).plan, workers: 5 } };
  assert.match(vacuity(evidence).detail, /worker-4 committed nothing/);
  assert.equal(liveness(evidence).status, "unknown");
  assert.match(liveness(evidence).detail, /worker-4 committed nothing/);
});

for (const [what, operations, shifts] of [
  ["too few turns, though they are a good share", 200, 10],
  ["too small a share of turns, though there are many", 4_000, 20],
] as const)
  test(`writers that worked in long shifts did not contend: ${what}`, () => {
    const turns = serialTurns(operations).map((turn, index) => {
      const shift = Math.floor((index * shifts) / (2 * operations));
      return { ...turn, worker: shift % 4 };
    });
    const result = vacuity(simulate(turns).evidence);
    assert.equal(result.status, "unknown");
    assert.equal(
      result.detail,
      `the writers rarely contended: ${shifts - 1} of ${(operations - 1).toLocaleString("en-US")} writes followed a write of another writer`,
    );
  });

test("writers that hardly ever meet could not have shown a violation", () => {
  const close = serial(400);
  // The same operations, with so little time between read and write that no other worker would have interfered.
  const brief = withRows(close, (rows) => {
    for (const row of rows) row.readAtUs = row.writtenAtUs - 4;
  });
  const apart = withRows(close, (rows) => {
    for (const [index, row] of rows.entries()) row.employee = 1 + (Math.floor(index / 4) % 100);
  });
  assert.equal(vacuity(close).status, "holds");
  for (const evidence of [brief, apart]) {
    const { status, detail } = vacuity(evidence);
    assert.equal(status, "unknown");
    assert.match(
      detail,
      /^operations rarely overlapped: without protection only about \d\.\d of \d+ writes would have been/,
    );
  }
});

test("a run that took longer than planned had fewer writes at a time", () => {
  const evidence = serial(40);
  const stretched = evidence.workers.reduce((run, { index, final }) => {
    const { startedAtUs, endedAtUs } = final!;
    return withFinal(run, index, { endedAtUs: startedAtUs + (endedAtUs - startedAtUs) * 20 });
  }, evidence);
  assert.equal(vacuity(evidence).status, "holds");
  assert.match(vacuity(stretched).detail, /^operations rarely overlapped/);
});

test("a long time in which a server was away and nobody wrote does not count", () => {
  const evidence = serial(40);
  const awayUs = 20 * (evidence.workers[0]!.final!.endedAtUs - evidence.workers[0]!.final!.startedAtUs);
  const fromUs = evidence.ledger.writtenAtUs[19]!;
  const later = withRows(evidence, (rows) => {
    for (const row of rows.slice(20)) {
      row.readAtUs += awayUs;
      row.writtenAtUs += awayUs;
    }
  });
  const delayed = later.workers.reduce(
    (run, { index, final }) => withFinal(run, index, { endedAtUs: final!.endedAtUs + awayUs }),
    later,
  );
  const serverFaults = [{ name: "mysql-restart", startedAtUs: fromUs, endedAtUs: fromUs + awayUs }] as const;
  assert.equal(vacuity({ ...delayed, serverFaults }).status, "holds");
  assert.match(vacuity(delayed).detail, /^operations rarely overlapped/);
});

test("a single writer has no contention, two loops of one worker have", () => {
  const alone = serial(100, 1);
  assert.match(vacuity(alone).detail, /a single writer/);
  const loops = withRows({ ...alone, plan: { ...alone.plan, concurrency: 2 } }, (rows) => {
    for (const [index, row] of rows.entries()) if (index % 2 === 1) row.op += 2 ** 28;
  });
  const writers = [...loops.writers, { id: loops.writers[0]!.id + 1, worker: 0, loop: 1, uid: "uid-0" }];
  const final = loops.workers[0]!.final!;
  const second = { ...final.writers[0]!, writer: loops.writers[0]!.id + 1 };
  const both = withFinal({ ...loops, writers }, 0, { writers: [...final.writers, second] });
  assert.equal(vacuity(both).status, "holds");
});

test("too little time together is unknown, by the database's clock", () => {
  const evidence = serial(100);
  const { startedAtUs, endedAtUs } = evidence.workers[0]!.final!;
  const late = withFinal(evidence, 3, { startedAtUs: startedAtUs + 0.2 * (endedAtUs - startedAtUs) });
  assert.equal(overlapOf(late)?.toFixed(3), "0.800");
  assert.match(
    vacuity(late).detail,
    /active at the same time for only 80 % of the planned duration, but at least 90 % is needed/,
  );
  const never = withFinal(evidence, 3, { startedAtUs: endedAtUs + 1 });
  assert.equal(overlapOf(never), 0);
});

test("when a worker did not say when it ran, the time together is no data", () => {
  const lost = withLost(serial(100), 1, "killed");
  assert.equal(overlapOf(lost), null);
  assert.match(vacuity(lost).detail, /no data on when all workers were active/);
  assert.equal(overlapOf(withFinal(serial(100), 1, { endedAtUs: 0 })), null);
});

test("the longest stall counts the beginning and the end", () => {
  const evidence = serial(100);
  assert.equal(longestStallMs(evidence), 2);
  const { startedAtUs, endedAtUs } = evidence.workers[0]!.final!;
  assert.equal(longestStallMs(withFinal(evidence, 0, { endedAtUs: endedAtUs + 70_000 })), 70);
  assert.equal(longestStallMs(withFinal(evidence, 0, { startedAtUs: startedAtUs - 30_000 })), 32);
  const stuck = withRows(evidence, (rows) => {
    rows.splice(40, 10);
  });
  assert.equal(longestStallMs(stuck), 22);
  assert.equal(longestStallMs({ ...evidence, workers: [] }), null);
});

test("a worker that could not ask for the time at its end does not stretch the stall to 1970", () => {
  assert.equal(longestStallMs(withFinal(serial(100), 0, { endedAtUs: 0 })), 2);
});

test("liveness informs and never violates", () => {
  const result = liveness(serial(100));
  assert.equal(result.status, "holds");
  assert.equal(result.detail, "longest stall 2.0 ms, Jain's index 1.000 over 4 workers");
  assert.equal(liveness({ ...serial(100), ledger: buildLedger([]) }).status, "unknown");
});

test("Jain's index runs from 1/n to 1 and does not depend on the unit", () => {
  assert.equal(jain([5, 5, 5, 5]), 1);
  assert.equal(jain([9, 0, 0, 0]), 0.25);
  assert.equal(jain([0, 0]), null);
  assert.equal(jain([]), null);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 32 }), (shares) => {
      const index = jain(shares)!;
      assert.ok(index <= 1 + 1e-9 && index >= 1 / shares.length - 1e-9);
      assert.ok(Math.abs(index - jain(shares.map((share) => 3 * share))!) < 1e-9);
    }),
  );
});
