/** Which runs the scenarios `faults` and `soak` make, and what theory expects of them. Pure: starts nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { expectedUnder, FAULT_NAMES, savingGuard } from "../../coordinator/plan/fault-theory.ts";
import type { RunPlan } from "../../coordinator/plan/run-plan.ts";
import { redraw } from "../../coordinator/plan/scenarios/soak.ts";
import { theoryOf } from "../../coordinator/plan/theory.ts";
import { plans } from "../support/plans.ts";

test("faults: only what can concern a strategy, and the guard that saves the data where a lease must break", () => {
  const runs = plans("faults", { strategies: ["none", "redis", "row-lock", "seed-mutex"] });
  const of = (strategy: string) =>
    runs
      .filter((plan) => plan.strategy === strategy && plan.fault !== undefined)
      .map(
        (plan) =>
          `${plan.fault!.action} ${plan.fault!.at} ${plan.fault!.link ?? "both"} ${plan.guard} ${theoryOf(plan).data}`,
      );
  assert.deepEqual(of("none"), []);
  assert.deepEqual(of("row-lock"), [
    "stall before-write both none holds",
    "partition before-write mysql none holds",
    "die before-write both none holds",
    "lost-answer before-commit mysql none holds",
  ]);
  assert.deepEqual(of("redis").slice(0, 4), [
    "stall before-write both none violated",
    "partition before-write both none violated",
    "partition before-write both fence-claim holds",
    "partition after-read redis none holds",
  ]);
  assert.ok(of("seed-mutex").includes("partition after-read redis none violated"));
});

test("faults: of the strategies that are alike under a fault, one makes it, unless the user names the fault", () => {
  const named = ["lost-commit", "foreign-writer", "mysql-crash", "lock-deleted"] as const;
  const has = (run: RunPlan, fault: (typeof named)[number]) =>
    fault === "lost-commit"
      ? run.fault?.at === "before-commit"
      : (run.serverFaults ?? []).some(({ name }) => name === fault);
  const made = (given: Record<string, unknown>) =>
    named.map((fault) => {
      const runs = plans("faults", given).filter((run) => has(run, fault) && run.guard !== "version");
      return `${fault}: ${runs.map(({ strategy }) => strategy).join()}`;
    });
  const strategies = ["none", "etcd", "redlock", "redis", "version", "row-lock", "get-lock"];
  assert.deepEqual(made({ strategies }), [
    "lost-commit: etcd,version,row-lock,get-lock",
    "foreign-writer: etcd,version,row-lock",
    "mysql-crash: etcd,version,get-lock",
    "lock-deleted: redlock",
  ]);
  assert.deepEqual(made({ strategies, faults: named }), [
    "lost-commit: etcd,redlock,redis,version,row-lock,get-lock",
    "foreign-writer: etcd,redlock,redis,version,row-lock",
    "mysql-crash: etcd,redlock,redis,version,row-lock,get-lock",
    "lock-deleted: redlock,redis",
  ]);
  const ofOwn = made({ strategies: ["none", "redis"], lock: ["mine=true"] });
  assert.deepEqual(ofOwn.slice(0, 3), [
    "lost-commit: redis,own",
    "foreign-writer: redis,own",
    "mysql-crash: redis,own",
  ]);
});

test("faults: those of the servers, each several times in the middle of its run", () => {
  const runs = plans("faults", { strategies: ["redis", "row-lock"], faults: ["lock-deleted", "foreign-writer"] });
  const told = runs.flatMap(({ strategy, guard, serverFaults = [], ...plan }) =>
    serverFaults.map(({ name }) => `${strategy} ${guard} ${name} ${theoryOf({ strategy, guard, ...plan }).data}`),
  );
  assert.deepEqual(told, [
    "redis none lock-deleted violated",
    "redis none foreign-writer violated",
    "redis version foreign-writer holds",
    "row-lock none foreign-writer holds",
  ]);
  for (const { durationMs, fault, serverFaults = [] } of runs) {
    assert.equal(fault, undefined);
    for (const { afterMs, everyMs, times } of serverFaults)
      assert.ok(afterMs > 0 && afterMs + (times - 1) * everyMs < durationMs && times > 1);
  }
});

test("nested: the lease around its transfers breaks like any other, and no guard applies to its writes", () => {
  for (const guard of ["none", "version", "fence-claim"] as const)
    assert.equal(expectedUnder("nested", "stall", guard).data, "violated", guard);
  assert.equal(savingGuard("nested", "stall"), undefined);
  assert.ok(plans("ttl", { strategies: ["nested"], rows: 3 }).every(({ fault }) => fault?.action !== "stall"));
});

test("soak: a control, then rounds whose faults depend on the seed alone, each one that the strategy survives", () => {
  const rounds = (given: Record<string, unknown>) =>
    plans("soak", { strategies: ["redis"], ...given }).map(({ strategy, guard, seed, soak, serverFaults }) => ({
      run: `${strategy} ${guard} ${seed}`,
      faults: soak?.map(
        ({ action, link, worker, afterMs, times }) => `${action} ${link} ${worker} ${afterMs} ${times}`,
      ),
      ofServers: serverFaults?.map(({ name }) => name),
    }));
  const [control, ...four] = rounds({ duration: "24s", seed: 5 });
  assert.deepEqual(control, { run: "none none 5", faults: undefined, ofServers: undefined });
  assert.deepEqual(
    four.map(({ run }) => run),
    ["redis none 5", "redis none 6", "redis none 7", "redis none 8"],
  );
  assert.deepEqual(rounds({ duration: "6s", seed: 7 })[1], four[2], "a round by itself");
  for (const { faults = [], ofServers = [] } of four) {
    const count = faults.length + ofServers.length;
    assert.ok(count >= 1 && count <= 3, JSON.stringify([faults, ofServers]));
    assert.equal(new Set(faults.map((fault) => fault.split(" ")[2])).size, faults.length, "one in each worker");
    assert.ok(!faults.some((fault) => /^stall|^partition undefined/.test(fault)), JSON.stringify(faults));
  }
  const drawn = (given: Record<string, unknown>) =>
    new Set(
      rounds({ duration: "6m", ...given }).flatMap(({ faults = [], ofServers = [] }) => [
        ...faults.map((each) => each.split(" ")[0]!),
        ...ofServers,
      ]),
    );
  const survived = [
    "die",
    "lost-answer",
    "partition",
    "acl-revoked",
    "password-rotated",
    "redis-stall",
    "redis-restart-saved",
  ];
  const always = [...survived, "mysql-restart", "mysql-crash"];
  assert.deepEqual([...drawn({})].sort(), always.sort());
  const guarded = [...drawn({ guard: "fence-claim" })];
  for (const name of ["stall", "slow-network", "lock-deleted", "redis-restart"])
    assert.ok(guarded.includes(name), guarded.join());
  assert.deepEqual([...drawn({ faults: ["lost-commit"] })], ["lost-answer"]);
  const [, round] = plans("soak", { strategies: ["redis"], seed: 15, duration: "6s" });
  assert.deepEqual(
    round!.serverFaults!.map(({ name }) => name),
    ["redis-restart-saved"],
  );
  const possible = FAULT_NAMES.filter((name) => name !== "redis-restart-saved");
  const again = redraw(round!, possible);
  assert.ok(again.serverFaults!.every(({ name }) => name !== "redis-restart-saved"));
  assert.equal(again.serverFaults!.length + again.soak!.length, 2, "another one is drawn in its place");
  assert.throws(
    () => plans("soak", { strategies: ["redis"], faults: ["stall"] }),
    /"stall" is none that redis survive/,
  );
});
