/** A node that is stalled for a while, and a node that is lost. */
import assert from "node:assert/strict";
import { assertAgreement, assertBooksAgree, runOf } from "../support/findings.ts";
import { freeze, lose, whyNot } from "../support/nodes.ts";
import { type Body, scenario } from "../support/scenario.ts";
import type { End } from "../support/site.ts";
import { type FaultSite, IN_TIME } from "./fault-site.ts";

export function nodeFaults(of: () => FaultSite): void {
  const test = (name: string, body: Body) => scenario(name, () => [of()?.site], body);

  test("a node is frozen in the run: its workers are named, and the next run has all", async (t) => {
    const { site, home, away, run } = of();
    const reason = await whyNot([home, away]);
    if (reason !== undefined) return t.skip(reason);
    await run({ strategies: ["none", "redis", "row-lock"], duration: IN_TIME, startDeadline: "120s" });
    await site.running("redis");
    {
      await using _frozen = await freeze(away);
      await site.said(/redis +UNKNOWN.*/, 90_000);
    }
    const end = await site.ended();
    assertAgreement(end, 3);
    assertLostWorkers(end, "redis", away);
    assert.equal(runOf(end.report, "row-lock").data.value, "holds");
    assertBooksAgree(runOf(end.report, "row-lock"), 4);
  });

  test("a node is lost in the run: its workers are named, and the rest of the report stands", async (t) => {
    const { site, home, away, run } = of();
    const reason = await whyNot([home, away]);
    if (reason !== undefined) return t.skip(reason);
    await run({ strategies: ["none", "redis", "row-lock"], duration: IN_TIME });
    await site.running("redis");
    {
      await using _lost = await lose(away);
      const end = await site.ended();
      assertAgreement(end, 3);
      assertLostWorkers(end, "redis", away);
      // Its fleet may have been put on the lost node before Kubernetes noticed.
      const after = runOf(end.report, "row-lock");
      if (after.data.value === "holds") assertBooksAgree(after, 4);
      else assert.match(after.reasons.join("; "), /worker-\d.*not ready/);
    }
  });

  /** Asserts that the run is unknown, and that it names exactly the workers of this node, with the node. */
  function assertLostWorkers({ report }: End, strategy: string, node: string): void {
    const { data, exclusion, reconciliation, reasons } = runOf(report, strategy);
    assert.deepEqual([data.value, exclusion.value], ["unknown", "unknown"], reasons.join("; "));
    const lost = reconciliation.filter((row) => row.lost !== undefined);
    assert.ok(lost.length > 0, "somebody is lost");
    const there = reconciliation.filter((row) => row.node === node);
    assert.deepEqual(
      lost.map(({ worker }) => worker),
      there.map(({ worker }) => worker),
    );
    for (const row of lost) assert.match(row.lost ?? "", new RegExp(node));
    assert.match(reasons.join("; "), new RegExp(`(worker-\\d was|\\d of 4 workers were) lost: .*${node}`));
    assertBooksAgree(runOf(report, "none"), 4);
    assert.equal(runOf(report, "none").data.value, "violated");
  }
}
