/** The strategy `etcd` in whole runs: as theory expects, under each fault, and with planted bugs that a run must see. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { connect, LOCKS } from "../../coordinator/clients/etcd-client.ts";
import type { RunReport } from "../../coordinator/judge/report-data.ts";
import { planRuns } from "../../coordinator/plan/scenarios/index.ts";
import { readRunOptions } from "../../coordinator/plan/settings.ts";
import { type EtcdVariables, etcdAccess } from "../../worker/servers/etcd.ts";
import { etcdMissing } from "../support/etcd.ts";
import { createRig, type Rig } from "../support/rig.ts";

describe("etcd in whole runs", { skip: await etcdMissing() }, () => {
  let rig: Rig;
  before(async () => {
    rig = await createRig({ lockServices: ["etcd"] });
  });
  after(() => rig?.[Symbol.asyncDispose]());

  const CONTENDED = { durationMs: 2_500 };
  const planned = planRuns(readRunOptions({ scenario: "ttl", strategies: ["etcd"], duration: "6s" }).settings);
  // Holds that others would meet without the lock, however few there are on a busy machine.
  const ttlRuns = planned.map((plan) => ({ ...plan, holdMs: 10 }));
  const [extended, notExtended, stalled, guarded, dies] = ttlRuns;
  /** Late enough for the next holder to have entered, which works for long enough to be met by a third one. */
  const outstayed = {
    ...notExtended!,
    holdMs: 40,
    fault: { ...notExtended!.fault!, forMs: 4 * notExtended!.lockTtlMs },
  };

  /** The same in each operation of one worker, and with holds that a late release can hardly miss. */
  const often = {
    ...outstayed,
    durationMs: 12_000,
    holdMs: 200,
    fault: { ...outstayed.fault, every: 1, forMs: 3 * notExtended!.lockTtlMs },
  };

  function assertAsExpected(report: RunReport, data: "holds" | "violated") {
    assert.equal(report.agreement, "expected", `${report.reasons.join("; ")} ${report.problems}`);
    assert.equal(report.data.value, data, JSON.stringify(report.data));
  }

  for (const guard of ["none", "version", "fence-claim", "fence-write"] as const)
    test(`holds with guard ${guard}, and its tokens grow`, async () => {
      const report = await rig.run("etcd", { ...CONTENDED, guard });
      assertAsExpected(report, "holds");
      assert.equal(report.exclusion.value, "holds", JSON.stringify(report.exclusion));
      assert.equal(report.checks.find(({ check }) => check === "fence")?.status, "holds");
    });

  test("a holder that overruns its TTL keeps its lock, because its lease is extended", async () => {
    assertAsExpected(await rig.run("etcd", extended), "holds");
  });

  test("without extension, such a holder notices that before its write", async () => {
    const report = await rig.run("etcd", outstayed);
    assertAsExpected(report, "holds");
    assert.ok(report.errors.some((error) => error.class === "LockLost"));
  });

  test("a holder that is stalled beyond its lease writes late; a claimed token stops it", async () => {
    assertAsExpected(await rig.run("etcd", stalled), "violated");
    assertAsExpected(await rig.run("etcd", guarded), "holds");
  });

  const faulted = readRunOptions({ scenario: "faults", strategies: ["etcd"], faults: ["etcd-restart"] });
  const [, restarted] = planRuns(faulted.settings);

  test("holds over a restart of etcd with its data", async () => {
    const { process: server } = rig.servers.lockServices.etcd!;
    const before = server.pid;
    const report = await rig.run("etcd", restarted);
    assertAsExpected(report, "holds");
    assert.notEqual(server.pid, before);
    assert.equal(report.faultTimes?.length, 1);
  });

  test("an etcd that comes back without its locks is seen", async () => {
    const { process: server, variables } = rig.servers.lockServices.etcd!;
    async function makeFault() {
      await server.stop("SIGTERM");
      await server.start();
      const access = etcdAccess(variables as EtcdVariables);
      const admin = connect(access, access.admin);
      await admin.ask("kv/deleterange", LOCKS);
      admin.close();
    }
    // Early in the first holds, which take longer than the restart and end before the lock is extended.
    const serverFaults = restarted!.serverFaults!.map((fault) => ({ ...fault, afterMs: 500 }));
    const plan = { ...restarted, lockTtlMs: 15_000, holdMs: 4_500, serverFaults };
    const report = await rig.run("etcd", plan, { makeFault });
    assert.equal(report.agreement, "mismatch", JSON.stringify([report.data, report.problems, report.errors]));
    assert.equal(report.exclusion.value, "violated", JSON.stringify(report.exclusion));
  });

  test("a holder that dies: the others go on after its TTL", async () => {
    assertAsExpected(await rig.run("etcd", dies), "holds");
  });

  for (const bug of ["etcd-release-without-owner", "etcd-lost-lease-unnoticed"])
    test(`${bug} is seen when a holder overruns a lease that is not extended`, async () => {
      const report = await rig.run("etcd", often, { bug });
      assert.equal(report.agreement, "mismatch", `${JSON.stringify(report.data)} ${JSON.stringify(report.exclusion)}`);
      const broken = [report.data.value, report.exclusion.value];
      assert.ok(broken.includes("violated"), JSON.stringify(broken));
    });

  test("etcd-token-does-not-grow is seen", async () => {
    const report = await rig.run("etcd", CONTENDED, { bug: "etcd-token-does-not-grow" });
    assert.equal(report.agreement, "mismatch", JSON.stringify(report.exclusion));
    assert.equal(report.checks.find(({ check }) => check === "fence")?.status, "violated");
  });
});
