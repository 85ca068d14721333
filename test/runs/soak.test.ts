/** Soak finds planted bugs among random faults, and shortens each to what it takes. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { FAULT_NAMES, type FaultName } from "../../coordinator/plan/fault-theory.ts";
import { planRuns } from "../../coordinator/plan/scenarios/index.ts";
import { drawFaults } from "../../coordinator/plan/scenarios/soak.ts";
import { readRunOptions } from "../../coordinator/plan/settings.ts";
import { shorten } from "../../coordinator/runner/shorten.ts";
import type { StrategyName } from "../../worker/contract.ts";
import { createRig, type Rig } from "../support/rig.ts";

let rig: Rig;
before(async () => {
  rig = await createRig({ redisServers: 3 });
});
after(() => rig[Symbol.asyncDispose]());

/** The first round of `--scenario soak` with this seed, and a way to make it with this bug. */
function soak(strategy: StrategyName, seed: number, bug?: string) {
  // A hold that is long enough for a late release to hit somebody's lock.
  const given = { scenario: "soak", strategies: [strategy], duration: "4s", hold: "20ms", seed };
  const { settings } = readRunOptions(given);
  const round = planRuns(settings).find((each) => each.strategy === strategy)!;
  const plan = { ...round, run: `soak-${strategy}-${bug}` };
  const meddling = bug === undefined ? {} : { bug };
  return { plan, make: (made: typeof plan) => rig.run(strategy, made, meddling) };
}

const planted: readonly (readonly [bug: string, strategy: StrategyName, seed: number, fewest: readonly FaultName[]])[] =
  [
    ["release-without-compare", "redis", 5, ["partition-redis"]],
    ["commits-again", "row-lock", 7, ["lost-commit"]],
    // Two holders at once need no fault: each has one of the three servers.
    ["quorum-of-one", "redlock", 5, []],
  ];
for (const [bug, strategy, seed, fewest] of planted)
  test(`soak finds ${bug} in ${strategy} and shortens it`, async () => {
    const { plan, make } = soak(strategy, seed, bug);
    const drawn = drawFaults(plan, FAULT_NAMES);
    assert.ok(drawn.length > 1, `only ${drawn} in this round`);
    const report = await make(plan);
    assert.equal(report.agreement, "mismatch", JSON.stringify([report.data, report.faults, report.reasons]));
    const shortened = await shorten(plan, FAULT_NAMES, make, new AbortController().signal);
    assert.deepEqual(shortened.faults, fewest, JSON.stringify(shortened));
  });

test("a round without a bug holds, and its faults of a worker and of a server happened", async () => {
  const { plan, make } = soak("redis", 15);
  assert.ok(plan.soak!.length > 0 && plan.serverFaults!.length > 0, "both are drawn");
  const report = await make(plan);
  assert.deepEqual([report.data.value, report.agreement], ["holds", "expected"], JSON.stringify(report.reasons));
  assert.equal(report.faultTimes?.length, plan.soak!.length + plan.serverFaults!.length, JSON.stringify(report.faults));
});
