/** Workers that die, and workers that never start. */
import assert from "node:assert/strict";
import { apply } from "../support/cluster.ts";
import { assertAgreement, assertBooksAgree, dataOf, runOf } from "../support/findings.ts";
import { scenario } from "../support/scenario.ts";
import { type FaultSite, IN_TIME, KILL } from "./fault-site.ts";

export function workerFaults(of: () => FaultSite): void {
  const test = (name: string, body: () => Promise<void>) => scenario(name, () => [of()?.site], body);

  test("a worker pod that is deleted, and one that is killed: each is named, and its run is unknown", async () => {
    const { site, run } = of();
    await run({ strategies: ["none", "redis", "row-lock"], duration: IN_TIME });
    await site.running("redis");
    await site.deleteWorker("redis", 1);
    await site.running("row-lock");
    await site.deleteWorker("row-lock", 2, ...KILL);

    const end = await site.ended();
    assertAgreement(end, 3);
    assert.deepEqual(dataOf(end.report), ["none violated", "redis unknown", "row-lock unknown"]);
    assertBooksAgree(runOf(end.report, "none"), 4);
    const [deleted, killed] = ["redis", "row-lock"].map((strategy) => runOf(end.report, strategy).reasons.join("; "));
    assert.match(deleted!, /worker-1 was lost: .*pod demo-\w+-2-redis-1-\w+ was deleted/);
    assert.match(killed!, /worker-2 was lost: .*pod demo-\w+-3-row-lock-2-\w+ was deleted/);
    assert.match(end.words, /^VERDICT: unknown: "redis": worker-1 was lost: /);
  });

  test("a quota that lets in two of four workers: the others are named, within the start deadline", async () => {
    const { site, run } = of();
    const { namespace } = site;
    // The servers, the coordinator, and two more.
    const spec = { hard: { pods: "6" } };
    await apply({ apiVersion: "v1", kind: "ResourceQuota", metadata: { name: "few", namespace }, spec });
    try {
      await run({ strategies: ["none"], startDeadline: "25s" });
      const end = await site.ended();
      assertAgreement(end, 3);
      const { reasons, reconciliation } = runOf(end.report, "none");
      const exceeded =
        "FailedCreate: (forbidden: )?exceeded quota: few, requested: pods=1, used: pods=6, limited: pods=6";
      const without = reconciliation.filter(({ uid }) => uid === "");
      assert.equal(without.length, 2, "workers without a pod");
      for (const { worker } of without) assert.match(reasons.join("; "), new RegExp(`worker-${worker}: ${exceeded}`));
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
    assert.match(
      runOf(end.report, "redis").reasons.join("; "),
      // Reported by the worker itself, or by the end of its pod, whichever is seen first.
      /(worker-\d was|\d of 4 workers were) lost: (exited with 1: worker: )?Redis at demo-holdfast-redis-0:6379 refuses user lock: WRONGPASS/,
    );
  });
}
