/** Each planted bug must be seen by a whole run on real servers: verdict `violated`, against theory, with a witness. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { RunPlan } from "../../coordinator/plan/run-plan.ts";
import { planRuns } from "../../coordinator/plan/scenarios/index.ts";
import { readRunOptions } from "../../coordinator/plan/settings.ts";
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

test("no-lock is seen in file, although the guard rejects the writes that the lock did not prevent", async () => {
  const report = await rig.run("file", { guard: "version" }, { bug: "no-lock" });
  assert.equal(report.data.value, "holds", JSON.stringify(report.data));
  assert.equal(report.exclusion.value, "violated", JSON.stringify(report.exclusion));
  assert.equal(report.agreement, "mismatch");
  assert.match(report.reasons.join(), /exclusion should hold, but .*the guard rejected [\d,]+ holders? of the lock/);
});

test("shared-read in row-lock is not taken for a lock, because deadlocks reject the operations", async () => {
  const report = await rig.run("row-lock", {}, { bug: "shared-read" });
  assert.notEqual(report.exclusion.value, "holds", JSON.stringify(report.exclusion));
  assert.notEqual(report.agreement, "expected");
  assert.match(report.reasons.join(), /errors of class deadlock, which "row-lock" never has/);
});

test("removed-too-late is seen in skip-locked: the ledger has operations twice", async () => {
  const report = await rig.run("skip-locked", {}, { bug: "removed-too-late" });
  assert.equal(report.data.value, "violated", JSON.stringify(report.data));
  assert.equal(report.agreement, "mismatch");
  assert.match(report.reasons.join(), /operations? applied twice/);
});

const ttlRuns = planRuns(readRunOptions({ scenario: "ttl", strategies: ["redis"], duration: "3s" }).settings);
const [extended, notExtended] = ttlRuns;

for (const bug of ["release-without-compare", "no-look", "never-notices"])
  test(`${bug} is seen in redis when its holder overruns a TTL that is not extended`, async () => {
    const report = await rig.run("redis", notExtended, { bug });
    assert.equal(report.data.value, "violated", JSON.stringify(report.data));
    assert.equal(report.agreement, "mismatch");
    assert.ok((report.lostUpdates ?? 0) > 0);
  });

test("extends-nothing is seen in redis when its holder overruns its TTL", async () => {
  const report = await rig.run("redis", extended, { bug: "extends-nothing" });
  assert.equal(report.agreement, "mismatch", JSON.stringify(report.data));
  assert.match(
    report.reasons.join(),
    /a holder that overruns its TTL should keep its lock, .*, but \d+ of \d+ such holders? lost it/,
  );
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
  assert.match(report.reasons.join(), /^all \d+ operations were rejected: lock ".*" was lost: it was held for longer/);
  assert.deepEqual([...new Set(report.errors.map((error) => error.class))], ["LockLost"]);
});

test("a mutex in memory holds in one process with many loops, and the control is not needed to be violated", async () => {
  const report = await rig.run("memory", { workers: 1, concurrency: 8 });
  assert.equal(report.data.value, "holds", JSON.stringify(report.data));
  assert.equal(report.exclusion.value, "holds");
  assert.equal(report.agreement, "expected");
});
