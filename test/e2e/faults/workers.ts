/** Workers that die, and workers that never come. */
import assert from "node:assert/strict";
import { apply } from "../support/cluster.ts";
import { assertAgreement, assertBooksAgree, dataOf, runOf } from "../support/findings.ts";
import { scenario } from "../support/scenario.ts";
import type { FaultSite } from "./fault-site.ts";

export function workerFaults(of: () => FaultSite): void {
  const test = (name: string, body: () => Promise<void>) => scenario(name, () => [of()?.site], body);

  test("a worker pod that is deleted, and one that is killed: each is named, and its run is unknown", async () => {
    const { site, run } = of();
    await run({ strategies: ["none", "redis", "row-lock"], duration: "10s" });
    await site.running("redis");
    const deleted = (await site.fleet("redis"))[1].metadata.name;
    await site.kubectl(["delete", "pod", deleted, "--wait=false"]);
    await site.running("row-lock");
    const killed = (await site.fleet("row-lock"))[2].metadata.name;
    await site.kubectl(["delete", "pod", killed, "--grace-period=0", "--force", "--wait=false"]);

    const end = await site.ended();
    assertAgreement(end, 3);
    assert.deepEqual(dataOf(end.report), ["none violated", "redis unknown", "row-lock unknown"]);
    assertBooksAgree(runOf(end.report, "none"), 4);
    assert.match(
      runOf(end.report, "redis").reason ?? "",
      new RegExp(`worker-1 was lost: .*pod ${deleted} was deleted`),
    );
    assert.match(
      runOf(end.report, "row-lock").reason ?? "",
      new RegExp(`worker-2 was lost: .*pod ${killed} was deleted`),
    );
    assert.match(end.words, /^VERDICT: unknown: redis: worker-1 was lost: /);
  });

  test("a quota that lets in two of four workers: the others are named, within the start deadline", async () => {
    const { site, run } = of();
    // The servers, the coordinator, and two more.
    const quota = { hard: { pods: "6" } };
    const { namespace } = site;
    await apply({ apiVersion: "v1", kind: "ResourceQuota", metadata: { name: "few", namespace }, spec: quota });
    try {
      await run({ strategies: ["none"], startDeadline: "25s" });
      const end = await site.ended();
      assertAgreement(end, 3);
      const { reason = "", reconciliation } = runOf(end.report, "none");
      assert.match(reason, /worker-\d.* not ready/);
      assert.match(
        reason,
        /worker-\d: FailedCreate: exceeded quota: few, requested: pods=1, used: pods=6, limited: pods=6/,
      );
      assert.equal(reconciliation.filter(({ uid }) => uid === "").length, 2, "workers without a pod");
    } finally {
      await site.kubectl(["delete", "resourcequota", "few"]);
    }
  });

  test("a wrong Redis password of the workers: each says so", async () => {
    const { site, run } = of();
    await run({
      strategies: ["none", "redis"],
      worker: { extraEnv: [{ name: "REDIS_PASSWORD_LOCK", value: "not-the-password" }] },
    });
    const end = await site.ended();
    assertAgreement(end, 3);
    assert.deepEqual(dataOf(end.report), ["none violated", "redis unknown"]);
    assert.match(runOf(end.report, "redis").reason ?? "", /worker-\d: .*WRONGPASS/);
  });
}
