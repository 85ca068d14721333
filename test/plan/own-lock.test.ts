/** Which runs `--lock` adds to each scenario, how they are named, and which mistakes are refused. Pure: starts nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readInvocation } from "../../coordinator/config.ts";
import { ConfigError } from "../../coordinator/errors.ts";
import { missingFor } from "../../coordinator/plan/requirements.ts";
import { labelOf, quotedLabelOf } from "../../coordinator/plan/run-names.ts";
import type { RunPlan } from "../../coordinator/plan/run-plan.ts";
import { planRuns, type ScenarioName } from "../../coordinator/plan/scenarios/index.ts";
import { readRunOptions } from "../../coordinator/plan/settings.ts";
import { theoryOf } from "../../coordinator/plan/theory.ts";
import { plansOf } from "../support/plans.ts";

const LOCKS = ["mine=python3 a.py --one, --two", "other=./b=c"];
const plans = (scenario: ScenarioName, given: Record<string, unknown> = {}) =>
  plansOf({ scenario, lock: LOCKS, ...given });
const named = (runs: readonly RunPlan[]) => runs.map(labelOf);

test("each lock has a run of its own, after the strategies of the scenario or of the user", () => {
  assert.deepEqual(named(plans("compare")), ["none", "memory", "redis", "row-lock", "version", "mine", "other"]);
  assert.deepEqual(named(plans("compare", { strategies: ["none", "redis"] })), ["none", "redis", "mine", "other"]);
  const first = { strategies: ["mine", "none", "other"] };
  assert.deepEqual(named(plans("compare", first)), ["mine", "other", "none"], "where the first of them is named");
  const [mine, other] = plans("compare", first);
  assert.deepEqual(mine!.ownLock, { name: "mine", command: ["/bin/sh", "-c", "python3 a.py --one, --two"] });
  assert.equal(other!.ownLock!.command![2], "./b=c");
  assert.match(mine!.run, /-1-mine$/);
  const [listening] = plans("compare", { strategies: ["a"], lock: ["a=unix:/run/lock.sock"] });
  assert.deepEqual(listening!.ownLock, { name: "a", socket: "/run/lock.sock" });
  assert.equal(quotedLabelOf({ ...mine!, guard: "version" }), '"mine+version"');
});

test("every scenario that takes strategies takes them", () => {
  for (const scenario of ["compare", "all", "benchmark", "contention", "spread", "ttl", "faults"] as const) {
    const runs = plans(scenario);
    const of = (name: string) => runs.filter(({ ownLock }) => ownLock?.name === name);
    assert.ok(of("mine").length > 0, scenario);
    assert.equal(of("mine").length, of("other").length, scenario);
    assert.deepEqual(
      runs.filter((run) => run.strategy === "own" && run.ownLock === undefined),
      [],
    );
  }
});

test("a lock of which nobody knows whether it is a lease: what is expected of it under faults", () => {
  const expected = (scenario: ScenarioName) =>
    plans(scenario, { lock: ["mine=x"], strategies: ["none"] })
      .filter(({ ownLock }) => ownLock !== undefined)
      .map((plan) => `${plan.fault?.action ?? "none"} ${plan.guard} ${theoryOf(plan).data}`);
  assert.deepEqual(expected("ttl"), [
    "sleep none holds",
    "stall none unclaimed",
    "stall version holds",
    "die none holds",
  ]);
  assert.deepEqual(expected("faults"), [
    "none none holds",
    "stall none unclaimed",
    "partition none holds",
    "die none holds",
    "lost-answer none holds",
    // Somebody who writes without the lock.
    "none none violated",
    "none version holds",
    // A restart and a crash of MySQL.
    "none none holds",
    "none none holds",
  ]);
});

test("without --lock the strategy is skipped, with the reason", () => {
  const [plan] = planRuns(readRunOptions({ strategies: ["own"] }).settings);
  assert.equal(
    missingFor(plan!, { redisUrls: [], missingServices: {}, missingFaults: {}, cluster: false }),
    "needs --lock",
  );
});

/** The options are read from the environment of the process. */
function invoke(args: readonly string[], variables: Record<string, string>) {
  Object.assign(process.env, variables);
  try {
    return readInvocation(args, variables, "0");
  } finally {
    for (const name of Object.keys(variables)) delete process.env[name];
  }
}

/** Arguments, the environment, and the one line that they are refused with. */
const MISTAKES: readonly (readonly [readonly string[], Record<string, string>, RegExp])[] = [
  [["--lock", "mine"], {}, /^--lock "mine": write name=command; a name has /],
  [["--lock", "Mine=x"], {}, /^--lock "Mine=x": write name=command; a name has 1 to 30 lower-case letters/],
  [["--lock", "mine= "], {}, /^--lock "mine= ": the command is empty: write mine=command$/],
  [["--lock", "mine=unix:lock.sock"], {}, /: write mine=unix:\/path, with a path of at most 107 bytes$/],
  [["--lock", `mine=unix:/${"x".repeat(107)}`], {}, /: write mine=unix:\/path, with a path of at most 107 bytes$/],
  [["--lock", ""], {}, /^--lock is empty: write name=command$/],
  [["--lock", "redis=x"], {}, /^--lock "redis=x": "redis" is a built-in strategy: choose another name$/],
  [["--lock", "a=x", "--lock", "a=y"], {}, /^--lock: two locks are named "a": rename one of them$/],
  [["--lock", "a=x", "--strategies", "b"], {}, /^--strategies: "b" is not one of none, .*, own, a; see --help$/],
  [["--lock", "a=x", "--scenario", "mixed"], {}, /^scenario "mixed" does not use --lock: leave it out$/],
  [[], { HOLDFAST_LOCK: "a=x\nredis=y" }, /^--lock "redis=y": "redis" is a built-in strategy/],
];
for (const [args, variables, message] of MISTAKES)
  test(`refused: ${args.join(" ")} ${JSON.stringify(variables)}`, () => {
    assert.throws(
      () => invoke(args, variables),
      (error: Error) => error instanceof ConfigError && message.test(error.message) && !error.message.includes("\n"),
    );
  });

test("--lock is repeated, the variable has one lock in each line, and no command is split", () => {
  const locksOf = (args: readonly string[], variables: Record<string, string>) => {
    const invocation = invoke(args, variables);
    assert.equal(invocation.command, "run");
    return invocation.config.options.lock;
  };
  assert.deepEqual(
    locksOf(
      LOCKS.flatMap((lock) => ["--lock", lock]),
      {},
    ),
    LOCKS,
  );
  assert.deepEqual(locksOf([], { HOLDFAST_LOCK: `${LOCKS.join("\n")}\n` }), LOCKS);
  assert.deepEqual(locksOf([], { HOLDFAST_LOCK: "" }), []);
});
