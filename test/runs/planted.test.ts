/** Each planted bug must be seen by a whole run on real servers: verdict `violated`, against theory, with a witness. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { RunPlan } from "../../coordinator/plan/run-plan.ts";
import type { StrategyName } from "../../worker/contract.ts";
import { createRig, type Rig } from "../support/rig.ts";

let rig: Rig;
before(async () => {
  rig = await createRig();
});
after(() => rig[Symbol.asyncDispose]());

const planted: readonly (readonly [bug: string, strategy: StrategyName, changes: Partial<RunPlan>])[] = [
  ["constant-value", "redis", { lockTtlMs: 60 }],
  ["unlock-without-compare", "redis", { lockTtlMs: 60 }],
  ["ttl-below-hold", "redis", { lockTtlMs: 50, holdMs: 80 }],
  ["no-for-update", "row-lock", {}],
  ["outside-the-transaction", "row-lock", {}],
  ["no-version-check", "version", {}],
];

for (const [bug, strategy, changes] of planted)
  test(`${bug} is seen in ${strategy}`, async () => {
    const report = await rig.run(strategy, changes, { bug });
    assert.equal(report.data.value, "violated", JSON.stringify(report.data));
    assert.equal(report.agreement, "mismatch");
    assert.ok((report.lostUpdates ?? 0) > 0);
    assert.ok((report.lostMoney ?? 0) > 0);
    const witness = report.checks.flatMap(({ witnesses }) => witnesses).find(({ check }) => check === "chain");
    assert.match(witness?.text ?? "", /worker-\d wrote version \d+ based on version \d+: .*lost/);
  });

test("what is judged there holds when nothing is planted", async () => {
  for (const strategy of ["redis", "row-lock", "version"] as const) {
    const report = await rig.run(strategy);
    assert.equal(report.data.value, "holds", `${strategy}: ${JSON.stringify(report.data)} ${report.problems}`);
    assert.equal(report.agreement, "expected", report.reasons.join("; "));
  }
});

test("the product's own lock, with a TTL below the work and no extension, commits nothing rather than lose anything", async () => {
  const report = await rig.run("redis", { lockTtlMs: 50, holdMs: 120, extend: false });
  assert.equal(report.data.value, "unknown", JSON.stringify(report.data));
  assert.equal(report.ledgerRows, 0);
  assert.deepEqual([...new Set(report.errors.map((error) => error.class))], ["LockLost"]);
});

test("a mutex in memory holds in one process with many loops, and the control is not needed to be violated", async () => {
  const report = await rig.run("memory", { workers: 1, concurrency: 8 });
  assert.equal(report.data.value, "holds", JSON.stringify(report.data));
  assert.equal(report.exclusion.value, "holds");
  assert.equal(report.agreement, "expected");
});
