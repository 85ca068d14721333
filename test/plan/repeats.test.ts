/** The order of repeated runs. Pure: starts nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nameSkipped } from "../../coordinator/plan/repeats.ts";
import type { RunPlan } from "../../coordinator/plan/run-plan.ts";
import { SCENARIO_NAMES, SCENARIOS, type Scenario } from "../../coordinator/plan/scenarios/index.ts";
import { isControl } from "../../coordinator/plan/theory.ts";
import { plansOf as plans } from "../support/plans.ts";

const settingsOf = ({ run: _, seed: __, repeat: ___, ...settings }: RunPlan) => JSON.stringify(settings);
const orderOf = (runs: readonly RunPlan[]) => runs.map(({ strategy }) => strategy).join();

for (const scenario of SCENARIO_NAMES.filter((name) => !(SCENARIOS[name] as Scenario).unused.includes("repeat")))
  test(`${scenario}: each run is made once in each repeat, with a seed and a name of its own`, () => {
    const once = plans({ scenario });
    const thrice = plans({ scenario, repeat: 3 });
    assert.equal(thrice.length, 3 * once.length);
    assert.equal(new Set(thrice.map(({ seed }) => seed)).size, thrice.length);
    assert.equal(new Set(thrice.map(({ run }) => run)).size, thrice.length);
    for (const repeat of [1, 2, 3]) {
      const block = thrice.slice((repeat - 1) * once.length, repeat * once.length);
      assert.ok(block.every((plan) => plan.repeat === repeat));
      assert.deepEqual(block.map(settingsOf).sort(), once.map(settingsOf).sort());
    }
    const bySeed = (runs: readonly RunPlan[]) => new Map(runs.map((plan) => [plan.seed, settingsOf(plan)]));
    const first = bySeed(thrice.filter(({ repeat }) => repeat === 1));
    assert.deepEqual(new Map([...first].sort(([a], [b]) => a - b)), bySeed(once));
  });

test("without repeats the runs are as they were", () => {
  assert.deepEqual(plans({ repeat: 1 }), plans({}));
  assert.ok(plans({}).every((plan) => !("repeat" in plan)));
});

test("the order depends on the seed alone, and controls come first in each repeat", () => {
  const given = { scenario: "all", repeat: 4 };
  assert.deepEqual(plans(given), plans(given));
  assert.notEqual(orderOf(plans(given)), orderOf(plans({ ...given, seed: 2 })));
  const blocks = Map.groupBy(plans(given), ({ repeat }) => repeat);
  assert.equal(new Set([...blocks.values()].map(orderOf)).size, 4, "each repeat has an order of its own");
  for (const block of blocks.values()) {
    const controls = block.filter(isControl).length;
    assert.ok(block.slice(0, controls).every(isControl));
  }
});

test("over many seeds each run comes at each place about equally often", () => {
  const places = new Map<string, number>();
  for (let seed = 0; seed < 600; seed++) {
    const held = plans({ repeat: 2, seed, strategies: ["redis", "row-lock", "version"] }).slice(3);
    held.forEach(({ strategy }, place) => {
      places.set(`${strategy} ${place}`, (places.get(`${strategy} ${place}`) ?? 0) + 1);
    });
  }
  assert.equal(places.size, 9);
  // 200 each; the standard deviation is 11.5.
  for (const [what, times] of places) assert.ok(Math.abs(times - 200) < 60, `${what}: ${times}`);
});

test("repeats that are skipped for one reason are named once, and one by one where others were made", () => {
  const runs = plans({ repeat: 3, strategies: ["none", "lease"] });
  const lease = runs.filter(({ strategy }) => strategy === "lease");
  const none = runs.filter(({ strategy, repeat }) => strategy === "none" && repeat === 3);
  const skipped = new Map<RunPlan, { reason: string }>();
  for (const plan of lease) skipped.set(plan, { reason: "needs a cluster" });
  for (const plan of none) skipped.set(plan, { reason: "interrupted by SIGINT" });
  assert.deepEqual(nameSkipped(skipped, runs), [
    { strategy: "lease", reason: "needs a cluster" },
    { strategy: "none, repeat 3", reason: "interrupted by SIGINT" },
  ]);
});
