/** A coordinator that is replaced in the middle of a run, once told to end and once killed. */
import assert from "node:assert/strict";
import { type Json, kubectlJson } from "../support/cluster.ts";
import { assertAgreement, assertBooksAgree, runOf } from "../support/findings.ts";
import { scenario } from "../support/scenario.ts";
import { until } from "../support/wait.ts";
import type { FaultSite } from "./fault-site.ts";

export function coordinatorFaults(of: () => FaultSite): void {
  scenario(
    "a coordinator that is deleted, and its successor that is killed: the third goes on, and runs nothing twice",
    () => [of()?.site],
    async () => {
      const { site, run } = of();
      await run({ strategies: ["none", "redis", "row-lock", "version"], duration: "8s" });
      await site.running("redis");
      const first = await nameOfLast();
      const finished = await storedRun("none");
      await site.kubectl(["delete", "pod", first, "--wait=false"]);
      await site.running("row-lock");
      const second = await nameOfLast();
      assert.notEqual(second, first);
      await site.kubectl(["delete", "pod", second, "--grace-period=0", "--force", "--wait=false"]);

      const end = await site.ended();
      assertAgreement(end, 3);
      const { report } = end;
      assert.notEqual(await nameOfLast(), second);
      assert.deepEqual(runOf(report, "none"), finished, "what was finished stands as it was");
      assertBooksAgree(runOf(report, "version"), 4);
      assert.equal(runOf(report, "version").data.value, "holds");
      assert.match(runOf(report, "redis").reason ?? "", /interrupted by SIGTERM/);
      assert.deepEqual(report.skipped, [{ strategy: "row-lock", reason: "coordinator restarted while it ran" }]);
      assert.match(end.words, /^VERDICT: unknown: row-lock was not run: coordinator restarted while it ran/);

      const { items } = await site.json(["get", "events", "--field-selector", "reason=SuccessfulCreate"]);
      const created = items.filter(({ involvedObject }: Json) =>
        involvedObject.name.startsWith(`demo-${report.report}-`),
      );
      assert.equal(created.length, 16, "pods of four fleets");

      async function nameOfLast(): Promise<string> {
        return (await site.coordinatorPods()).at(-1).metadata.name;
      }

      function storedRun(strategy: string): Promise<Json> {
        return until(`the finished run of ${strategy}`, 30_000, async () => {
          const args = ["get", "configmap", "demo-holdfast-report", "--namespace", site.namespace];
          const state = JSON.parse((await kubectlJson(args)).data["state.json"]);
          return state.runs.find((stored: Json) => stored.strategy === strategy);
        });
      }
    },
  );
}
