/** A coordinator that is replaced in the middle of a run: once it is terminated, once it is killed. */
import assert from "node:assert/strict";
import type { Json } from "../support/cluster.ts";
import { assertAgreement, assertBooksAgree, runOf } from "../support/findings.ts";
import { scenario } from "../support/scenario.ts";
import type { Site } from "../support/site.ts";
import { until } from "../support/wait.ts";
import { type FaultSite, IN_TIME, KILL } from "./fault-site.ts";

export function coordinatorFaults(of: () => FaultSite): void {
  scenario(
    "a coordinator that is deleted, and its successor that is killed: the third goes on, and runs nothing twice",
    () => [of()?.site],
    async () => {
      const { site, run } = of();
      await run({ strategies: ["none", "redis", "row-lock", "version"], duration: IN_TIME });
      await site.said(/none +VIOLATED/);
      const finished = await finishedRun(site, "none");
      await site.running("redis");
      await site.deleteCoordinator();
      await site.running("row-lock");
      await site.deleteCoordinator(...KILL);

      const end = await site.ended();
      assertAgreement(end, 3);
      const { report } = end;
      assert.deepEqual(runOf(report, "none"), finished, "what was finished stands as it was");
      assert.equal(runOf(report, "version").data.value, "holds");
      assertBooksAgree(runOf(report, "version"), 4);
      assert.match(runOf(report, "redis").reasons.join("; "), /interrupted by SIGTERM/);
      // The kubelet gives a pod that is deleted by force two seconds, in which the coordinator may still save the run that
      // it interrupted. Either way the run is unknown, and the next coordinator does not make it again.
      const saved = report.runs.find((judged: Json) => judged.strategy === "row-lock");
      const restarted = { strategy: "row-lock", reason: "the coordinator restarted during this run" };
      assert.deepEqual(report.skipped, saved === undefined ? [restarted] : []);
      if (saved !== undefined) assert.match(saved.reasons.join("; "), /interrupted by SIGTERM/);
      assert.match(
        end.words,
        /^VERDICT: unknown: ("row-lock" was not run: the coordinator restarted|"redis": interrupted)/,
      );

      const { items } = await site.json(["get", "events", "--field-selector", "reason=SuccessfulCreate"]);
      const ofFleets = ({ involvedObject }: Json) => involvedObject.name.startsWith(`demo-${report.report}-`);
      assert.equal(items.filter(ofFleets).length, 16, "pods of four fleets");
    },
  );
}

/** The state that the coordinator keeps for its successors. */
function finishedRun(site: Site, strategy: string): Promise<Json> {
  return until(`the finished run of ${strategy}`, 30_000, async () => {
    const { data } = await site.json(["get", "configmap", "demo-holdfast-report"]);
    return JSON.parse(data["state.json"]).runs?.find((run: Json) => run.strategy === strategy);
  });
}
