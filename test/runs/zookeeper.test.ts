/** The strategy `zookeeper` in whole runs: as theory expects, also under each fault of the scenario ttl. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { RunReport } from "../../coordinator/judge/report-data.ts";
import { planRuns } from "../../coordinator/plan/scenarios/index.ts";
import { readRunOptions } from "../../coordinator/plan/settings.ts";
import { createRig, type Rig } from "../support/rig.ts";
import { zooKeeperMissing } from "../support/zookeeper.ts";

describe("zookeeper in whole runs", { skip: await zooKeeperMissing() }, () => {
  let rig: Rig;
  before(async () => {
    rig = await createRig({ lockServices: ["zookeeper"] });
  });
  after(() => rig?.[Symbol.asyncDispose]());

  /** Longer than that of the scenario, so that a busy machine loses no session that is extended. */
  const TTL_MS = 1_000;
  const ttlRuns = planRuns(readRunOptions({ scenario: "ttl", strategies: ["zookeeper"], duration: "4s" }).settings);
  const [, notExtended, stalled, guarded, dies] = ttlRuns.map((plan) => {
    const fault = { ...plan.fault!, forMs: (plan.fault!.forMs * TTL_MS) / plan.lockTtlMs };
    // Holds that others would meet without the lock, however few there are on a busy machine.
    return { ...plan, lockTtlMs: TTL_MS, holdMs: 10, fault };
  });

  function assertAsExpected(report: RunReport, data: "holds" | "violated") {
    assert.equal(report.agreement, "expected", `${report.reasons.join("; ")} ${report.problems}`);
    assert.equal(report.data.value, data, JSON.stringify(report.data));
  }

  test("holds with a claimed token, and its tokens grow", async () => {
    const report = await rig.run("zookeeper", { durationMs: 2_500, guard: "fence-claim" });
    assertAsExpected(report, "holds");
    assert.equal(report.exclusion.value, "holds", JSON.stringify(report.exclusion));
    assert.equal(report.checks.find(({ check }) => check === "fence")?.status, "holds");
  });

  test("a holder that overruns a TTL that is not extended notices that before its write", async () => {
    const report = await rig.run("zookeeper", notExtended);
    assertAsExpected(report, "holds");
    assert.ok(report.errors.some((error) => error.class === "LockLost"));
  });

  test("a holder that is stalled beyond its session writes late; a claimed token stops it", async () => {
    assertAsExpected(await rig.run("zookeeper", stalled), "violated");
    assertAsExpected(await rig.run("zookeeper", guarded), "holds");
  });

  test("holds over a restart of ZooKeeper with its data", async () => {
    const { process: server } = rig.servers.lockServices.zookeeper!;
    const before = server.pid;
    const faulted = readRunOptions({ scenario: "faults", strategies: ["zookeeper"], faults: ["zookeeper-restart"] });
    const report = await rig.run("zookeeper", planRuns(faulted.settings)[1]!);
    assertAsExpected(report, "holds");
    assert.notEqual(server.pid, before);
    assert.equal(report.faultTimes?.length, 1);
  });

  test("a holder that dies: the others go on after its session", async () => {
    assertAsExpected(await rig.run("zookeeper", dies), "holds");
  });
});
