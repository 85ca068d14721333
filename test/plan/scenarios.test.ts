/** Which runs each scenario makes, and which options it rejects. Pure: starts nothing. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ConfigError } from "../../coordinator/errors.ts";
import { labelsOf } from "../../coordinator/plan/run-names.ts";
import type { RunPlan } from "../../coordinator/plan/run-plan.ts";
import { SCENARIO_NAMES, SCENARIOS } from "../../coordinator/plan/scenarios/index.ts";
import { readRunOptions } from "../../coordinator/plan/settings.ts";
import { isControl, protectsItself, theoryOf } from "../../coordinator/plan/theory.ts";
import { rowsMin, STRATEGY_NAMES, WorkerSpec } from "../../worker/contract.ts";
import { plans } from "../support/plans.ts";

const told = (runs: readonly RunPlan[]) => {
  const named = runs.map((plan) => ({ ...plan, plan }));
  return [...labelsOf(named).values()];
};

describe("every scenario", () => {
  for (const scenario of SCENARIO_NAMES) {
    test(`${scenario}: names of runs and labels are unique, and a worker understands each run`, () => {
      const runs = plans(scenario);
      assert.equal(new Set(runs.map(({ run }) => run)).size, runs.length);
      assert.equal(new Set(told(runs)).size, runs.length, told(runs).join("\n"));
      for (const { expects: _, serverFaults: __, ...plan } of runs) {
        assert.ok(plan.run.length <= 63, plan.run);
        const rest = { report: "0a1b2c3d", statementTimeoutMs: 1, ledger: true, coordinatorUrl: "http://x" };
        WorkerSpec.parse({
          ...plan,
          ...rest,
          heartbeatMs: 1,
          coordinatorLostMs: 1,
          lingerMs: 1,
        });
      }
    });
    if (scenario !== "acl")
      test(`${scenario}: something in it must be violated, and something must hold`, () => {
        const data = plans(scenario).map((plan) => theoryOf(plan).data);
        assert.ok(data.includes("violated"), data.join());
        assert.ok(data.includes("holds"), data.join());
      });
  }

  test("all has every strategy, each on as many rows as it needs, if the user wants no more", () => {
    const rowsOf = (options = {}) => new Map(plans("all", options).map(({ strategy, rows }) => [strategy, rows]));
    assert.deepEqual([...rowsOf().keys()], STRATEGY_NAMES);
    for (const [strategy, rows] of rowsOf()) assert.equal(rows, rowsMin(strategy), strategy);
    assert.equal(rowsOf({ rows: 2 }).get("nested"), 3);
    assert.equal(rowsOf({ rows: 5 }).get("nested"), 5);
    assert.equal(rowsOf({ strategies: ["nested"] }).get("nested"), 3);
  });

  test("a violation that theory expects has its reason in words, unless it is a control's", () => {
    for (const scenario of SCENARIO_NAMES)
      for (const plan of plans(scenario)) {
        const { data, because } = theoryOf(plan);
        if (data === "violated" && !isControl(plan)) assert.ok(because, `${scenario}: ${plan.run}`);
        assert.doesNotMatch(because ?? "", /\.$/);
      }
  });
});

describe("what each scenario changes from run to run", () => {
  test("benchmark: a fixed rate, at which nothing is claimed, then none", () => {
    const runs = plans("benchmark", { strategies: ["none", "redis"] });
    assert.deepEqual(
      runs.map((plan) => [plan.strategy, plan.intervalMs, theoryOf(plan).data]),
      [
        ["none", 100, "unclaimed"],
        ["redis", 100, "unclaimed"],
        ["none", undefined, "violated"],
        ["redis", undefined, "holds"],
      ],
    );
    assert.equal(plans("benchmark", { pause: "1s" })[0]?.intervalMs, 1_000);
  });

  test("if the guard makes every control hold, an unguarded one comes first", () => {
    const runs = (given: Record<string, unknown>) =>
      plans("compare", given).map((plan) => `${plan.strategy} ${plan.guard} ${theoryOf(plan).data}`);
    assert.deepEqual(runs({ strategies: ["none", "redis"], guard: "version" }), [
      "none none violated",
      "none version holds",
      "redis version holds",
    ]);
    assert.equal(runs({ strategies: ["none", "redis"], guard: "fence-write" }).length, 2);
    assert.equal(runs({ strategies: ["redis"], guard: "version" }).length, 1);
  });

  test("contention: powers of two up to the workers, and two hold times", () => {
    const steps = (given: object) =>
      plans("contention", { strategies: ["redis"], ...given }).map(({ workers, holdMs }) => `${workers}/${holdMs}`);
    assert.deepEqual(steps({ workers: 6 }), ["1/2", "2/2", "4/2", "6/2", "1/10", "2/10", "4/10", "6/10"]);
    assert.deepEqual(steps({ workers: 2, hold: "0ms" }), ["1/0", "2/0", "1/2", "2/2"]);
    assert.equal(steps({ workers: 32 }).length, 12);
    const [alone, two] = plans("contention", { strategies: ["redis"], workers: 2 });
    assert.deepEqual([theoryOf(alone!).data, theoryOf(two!).data], ["unclaimed", "holds"]);
  });

  test("spread: more rows, with one key for all and with a key for each", () => {
    const runs = plans("spread", { strategies: ["none", "redis", "version"], rows: 10 });
    assert.deepEqual(
      runs.map(({ strategy, rows, keyScope }) => `${strategy} ${rows} ${keyScope}`),
      [
        "none 1 row",
        ...["redis 1 row", "redis 2 row", "redis 10 row", "redis 2 global", "redis 10 global"],
        ...["version 1 row", "version 2 row", "version 10 row"],
      ],
    );
  });

  test("spread: where operations hardly meet, nothing is claimed, and no violation is expected", () => {
    const claims = plans("spread", { strategies: ["version"] }).map((plan) => {
      const { data, unbroken } = theoryOf(plan);
      return [plan.rows, data, unbroken];
    });
    assert.deepEqual(claims, [
      [1, "holds", undefined],
      [2, "holds", undefined],
      [10, "holds", undefined],
      [100, "unclaimed", ["data"]],
    ]);
  });

  test("ttl: a lock that keeps whole seconds gets one, and is outlived by as much", () => {
    const stalls = plans("ttl", { strategies: ["lease"] }).filter(({ fault }) => fault?.action === "stall");
    assert.deepEqual(
      stalls.map(({ lockTtlMs, fault }) => [lockTtlMs, fault!.forMs]),
      [
        [1_000, 2_500],
        [1_000, 2_500],
      ],
    );
  });

  test("ttl: work that outlives the lock, a holder that is stalled, and one that dies", () => {
    const runs = plans("ttl", { strategies: ["redis", "seed-mutex", "version"] });
    assert.deepEqual(
      runs.map((plan) => {
        const { data } = theoryOf(plan);
        return [plan.strategy, plan.lockTtlMs, plan.extend, plan.guard, plan.fault?.action, data].join(" ");
      }),
      [
        "redis 400 true none sleep holds",
        "redis 400 false none sleep holds",
        "redis 400 true none stall violated",
        "redis 400 true fence-claim stall holds",
        "redis 2000 true none die holds",
        "seed-mutex 400 false none sleep violated",
        "seed-mutex 2000 true none die holds",
        "version 2000 true none die holds",
      ],
    );
    // Its end is noticed by an extension only, and here is none.
    const unnoticed = plans("ttl", { strategies: ["redis-semaphore"] })[1]!;
    assert.deepEqual([unnoticed.extend, theoryOf(unnoticed).data], [false, "violated"]);
    assert.doesNotMatch(told(runs).join("\n"), /each/, "how long a run lasts is no part of its name");
    for (const { fault, lockTtlMs, durationMs } of runs) {
      if (fault?.action === "die") assert.ok(durationMs - fault.afterMs > 1.5 * lockTtlMs, "time for the next holder");
      else assert.ok(fault!.forMs > lockTtlMs);
    }
  });

  test("mixed: pairs, or all that are named at once, and a control where they hold together", () => {
    assert.deepEqual(told(plans("mixed")), [
      "redis next to none",
      "redis next to row-lock",
      "version next to none",
      "version next to row-lock",
    ]);
    assert.deepEqual(told(plans("mixed", { strategies: ["redis", "none", "version"] })), [
      "redis next to none next to version",
    ]);
    const held = plans("mixed", { strategies: ["row-lock", "version"] });
    assert.deepEqual(told(held), ["none", "row-lock next to version"]);
    assert.deepEqual(held.map(isControl), [true, false]);
  });

  test("deadlock: only carrying on is wrong", () => {
    assert.deepEqual(
      plans("deadlock").map((plan) => [plan.rows, plan.pair?.order, plan.pair?.onDeadlock, theoryOf(plan).data]),
      [
        [2, "same", "give-up", "holds"],
        [2, "opposite", "give-up", "holds"],
        [2, "opposite", "retry", "holds"],
        [2, "opposite", "carry-on", "violated"],
      ],
    );
  });

  test("acl: no run", () => assert.deepEqual(plans("acl"), []));
});

describe("theory of several strategies on one row", () => {
  const mix = (...names: RunPlan["strategy"][]) =>
    theoryOf({ strategy: names[0]!, mix: names, workers: 4, guard: "none" }).data;

  test("a lock protects only against workers that take it; a check in the write needs no cooperation", () => {
    assert.equal(mix("redis", "none"), "violated");
    assert.equal(mix("redis", "row-lock"), "violated");
    assert.equal(mix("version", "none"), "violated");
    assert.equal(mix("version", "row-lock"), "holds");
    assert.equal(mix("redis", "redis"), "holds");
    assert.equal(protectsItself("get-lock", "none"), false);
  });

  test("a mix is no control, although its violation shows that one is seen", () => {
    assert.equal(isControl({ strategy: "none", mix: ["none", "version"], workers: 4, guard: "none" }), false);
  });
});

describe("theory of workers on several servers of one MySQL cluster", () => {
  const across = (setting: Partial<RunPlan>, mysqlServers = 2) => {
    const { data, exclusion, unbroken } = theoryOf({
      strategy: "none",
      workers: 4,
      guard: "none",
      mysqlServers,
      ...setting,
    });
    return [data, exclusion, ...(unbroken ?? [])];
  };

  test("what the cluster certifies keeps the data, GET_LOCK does not, and no exclusion is claimed", () => {
    for (const strategy of ["row-lock", "version", "atomic", "redis"] as const)
      assert.deepEqual(across({ strategy }), ["holds", "unclaimed"], strategy);
    assert.deepEqual(across({ strategy: "get-lock" }), ["unclaimed", "unclaimed"]);
    for (const strategy of ["none", "memory"] as const)
      assert.deepEqual(across({ strategy }), ["violated", "unclaimed"]);
    assert.equal(isControl({ strategy: "none", workers: 4, guard: "none", mysqlServers: 2 }), true);
    assert.deepEqual(across({ strategy: "none", guard: "version" }), ["holds", "unclaimed"]);
    assert.deepEqual(across({ strategy: "redis", mix: ["redis", "get-lock"] }), ["violated", "unclaimed"]);
  });

  test("a run with an expectation of its own keeps it for the data", () => {
    const expects = {
      data: "unclaimed",
      exclusion: "unclaimed",
      because: "x",
      unbroken: ["data", "exclusion"],
    } as const;
    assert.deepEqual(across({ strategy: "redis", expects }), ["unclaimed", "unclaimed", "data"]);
    assert.deepEqual(across({ strategy: "get-lock", expects }), ["unclaimed", "unclaimed"]);
  });

  test("one server of a cluster is like any other server", () => {
    assert.deepEqual(across({ strategy: "row-lock" }, 1), ["holds", "holds"]);
  });
});

describe("options that make no sense are refused in one line", () => {
  for (const [given, message] of [
    [{ scenario: "acl", workers: 8 }, /^scenario "acl" does not use --workers: leave it out$/],
    [{ scenario: "acl", duration: "1s", strategies: ["redis"] }, /--strategies, --duration/],
    [{ scenario: "deadlock", strategies: ["redis"] }, /scenario "deadlock" does not use --strategies/],
    [{ scenario: "ttl", hold: "9ms", extend: false }, /--hold, --extend/],
    [{ scenario: "spread", keyScope: "global" }, /--key-scope/],
    [{ scenario: "contention", workers: 1 }, /^scenario "contention" needs at least 2 workers, not 1$/],
    [{ scenario: "mixed", workers: 1 }, /at least 2 workers/],
    [{ scenario: "mixed", strategies: ["redis"] }, /at least two different strategies/],
    [{ scenario: "mixed", strategies: ["redis", "redis"] }, /at least two different strategies/],
    [{ scenario: "mixed", workers: 2, strategies: ["redis", "none", "version"] }, /a worker for each/],
    [{ strategies: ["row-pair"] }, /strategy "row-pair" needs at least 2 rows, not 1: raise --rows/],
    [{ extend: false, lockTtl: "100ms", hold: "200ms" }, /--lock-ttl 100ms is not longer than --hold 200ms/],
  ] as [Record<string, unknown>, RegExp][])
    test(JSON.stringify(given), () => {
      assert.throws(
        () => readRunOptions(given),
        (error: Error) => error instanceof ConfigError && message.test(error.message) && !error.message.includes("\n"),
      );
    });

  test("a scenario that does not use --rows gives each strategy the rows that it needs", () => {
    const names = SCENARIO_NAMES.filter((name) => {
      const unused: readonly string[] = SCENARIOS[name].unused;
      return unused.includes("rows") && !unused.includes("strategies");
    });
    assert.ok(names.length > 0);
    for (const scenario of names)
      for (const plan of plans(scenario, { strategies: ["row-pair", "nested"] }))
        assert.ok(plan.rows >= rowsMin(plan.strategy), `${scenario} ${plan.strategy}`);
  });

  test("a value that is the default's is as if left out", () => {
    assert.equal(plans("acl", { workers: 4, duration: "5s" }).length, 0);
  });

  test("a scenario's own defaults stand in for what is left out, and give way to what is given", () => {
    assert.equal(readRunOptions({ scenario: "contention" }).settings.workers, SCENARIOS.contention.defaults.workers);
    assert.equal(readRunOptions({ scenario: "contention", workers: 4 }).settings.workers, 4);
    assert.equal(readRunOptions({}).settings.durationMs, 5_000);
  });
});
