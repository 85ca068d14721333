/** The strategy `consul` in whole runs: as theory expects, under each fault, and with planted bugs that a run must see. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { RunReport } from "../../coordinator/judge/report-data.ts";
import { planRuns } from "../../coordinator/plan/scenarios/index.ts";
import { readRunOptions } from "../../coordinator/plan/settings.ts";
import { consulIsMissing } from "../support/consul.ts";
import { createRig, type Rig } from "../support/rig.ts";

describe("consul in whole runs", { skip: consulIsMissing }, () => {
  let rig: Rig;
  before(async () => {
    rig = await createRig({ lockServices: ["consul"] });
  });
  after(() => rig?.[Symbol.asyncDispose]());

  /** Waiters are not served in order: a pause lets each of them in. */
  const CONTENDED = { durationMs: 2_500, pauseMs: 10 };
  const planned = planRuns(readRunOptions({ scenario: "ttl", strategies: ["consul"], duration: "6s" }).settings);
  // Holds that others would meet without the lock, however few there are on a busy machine.
  const ttlRuns = planned.map((plan) => ({ ...plan, holdMs: 10 }));
  const [extended, notExtended, stalled, guarded, dies] = ttlRuns;
  /** Late enough for the next holder to have entered, which works for long enough to be met by a third one. */
  const outstayed = {
    ...notExtended!,
    holdMs: 40,
    fault: { ...notExtended!.fault!, forMs: 4 * notExtended!.lockTtlMs },
  };

  function assertAsExpected(report: RunReport, data: "holds" | "violated") {
    assert.equal(report.agreement, "expected", `${report.reasons.join("; ")} ${report.problems}`);
    assert.equal(report.data.value, data, JSON.stringify(report.data));
  }

  for (const guard of ["none", "version", "fence-claim", "fence-write"] as const)
    test(`holds with guard ${guard}, and its tokens grow`, async () => {
      const report = await rig.run("consul", { ...CONTENDED, guard });
      assertAsExpected(report, "holds");
      assert.equal(report.exclusion.value, "holds", JSON.stringify(report.exclusion));
      assert.equal(report.checks.find(({ check }) => check === "fence")?.status, "holds");
    });

  test("a holder that overruns its TTL keeps its lock, because its session is renewed", async () => {
    assertAsExpected(await rig.run("consul", extended), "holds");
  });

  test("without renewal, such a holder notices that before its write", async () => {
    const report = await rig.run("consul", outstayed);
    assertAsExpected(report, "holds");
    assert.ok(report.errors.some((error) => error.class === "LockLost"));
  });

  test("a holder that is stalled beyond its session writes late; a claimed token stops it", async () => {
    assertAsExpected(await rig.run("consul", stalled), "violated");
    assertAsExpected(await rig.run("consul", guarded), "holds");
  });

  test("a holder that dies: the others go on after the session and the lock-delay", async () => {
    assertAsExpected(await rig.run("consul", dies), "holds");
  });

  for (const bug of ["consul-release-without-owner", "consul-lost-session-unnoticed"])
    test(`${bug} is seen when a holder overruns a session that is not renewed`, async () => {
      const report = await rig.run("consul", { ...outstayed, durationMs: 12_000 }, { bug });
      assert.equal(report.agreement, "mismatch", `${JSON.stringify(report.data)} ${JSON.stringify(report.exclusion)}`);
      const broken = [report.data.value, report.exclusion.value];
      assert.ok(broken.includes("violated"), JSON.stringify(broken));
    });

  test("consul-token-does-not-grow is seen", async () => {
    const report = await rig.run("consul", CONTENDED, { bug: "consul-token-does-not-grow" });
    assert.equal(report.agreement, "mismatch", JSON.stringify(report.exclusion));
    assert.equal(report.checks.find(({ check }) => check === "fence")?.status, "violated");
  });
});
