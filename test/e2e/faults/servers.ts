/** Servers that refuse access, that are unavailable for a while, and that do not come back. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { assertAgreement, assertBooksAgree, dataOf, runOf } from "../support/findings.ts";
import { stopProcess, whyNot } from "../support/nodes.ts";
import { type Body, scenario } from "../support/scenario.ts";
import { type FaultSite, IN_TIME } from "./fault-site.ts";

const PROMETHEUS = "app.kubernetes.io/component=prometheus";

export function serverFaults(of: () => FaultSite): void {
  const test = (name: string, body: Body) => scenario(name, () => [of()?.site], body);

  test("a wrong Redis password of the coordinator: one line with the reason, exit status 4, retried", async () => {
    const { site, run } = of();
    await run({
      strategies: ["none"],
      coordinator: { backoffLimit: 1, extraEnv: [{ name: "REDIS_PASSWORD_LOCK", value: "not-the-password" }] },
    });
    const end = await site.ended();
    assert.equal(end.exitCode, 4);
    assert.equal(end.condition, "Failed");
    assert.match(end.words, /^Redis at demo-holdfast-redis-0:6379.*WRONGPASS/);
    assert.ok(end.log.includes(`holdfast: ${end.words}`), end.log);
    assert.match(end.log, /took over from coordinator-\w+ \(exited with 4: Redis at /, "it was retried");
  });

  test("Prometheus is stalled for ten seconds during the run: nothing is lost", async (t) => {
    const { site, home, run } = of();
    const reason = await whyNot([home]);
    if (reason !== undefined && !reason.startsWith("one node")) return t.skip(reason);
    await run({ strategies: ["none", "redis"], duration: "14s" });
    await site.running("redis");
    {
      await using _stopped = await stopProcess(site, PROMETHEUS);
      await sleep(10_000);
    }
    const end = await site.ended();
    assertAgreement(end, 0);
    assert.deepEqual(dataOf(end.report), ["none violated", "redis holds"]);
    for (const each of end.report.runs) assertBooksAgree(each, 4);
  });

  test("Prometheus is lost during the run: unknown, since one of the three counts is missing", async () => {
    const { site, run } = of();
    const scale = (replicas: number) =>
      site.kubectl(["scale", "deployment/demo-holdfast-prometheus", `--replicas=${replicas}`]);
    await run({ strategies: ["row-lock"], duration: IN_TIME });
    await site.running("row-lock");
    await scale(0);
    try {
      const end = await site.ended();
      assertAgreement(end, 3);
      const { data, reasons } = runOf(end.report, "row-lock");
      assert.equal(data.value, "unknown");
      assert.match(reasons.join("; "), /Prometheus at http:\/\/demo-holdfast-prometheus:9090/);
    } finally {
      await scale(1);
      await site.kubectl(["rollout", "status", "deployment/demo-holdfast-prometheus", "--timeout=120s"], {
        timeoutMs: 130_000,
      });
    }
  });

  test("MySQL is lost in the run: what was finished stands, the rest is unknown", async () => {
    const { site, run } = of();
    const scale = (replicas: number) =>
      site.kubectl(["scale", "statefulset/demo-holdfast-mysql", `--replicas=${replicas}`]);
    await run({ strategies: ["none", "row-lock"], duration: IN_TIME });
    await site.running("row-lock");
    await scale(0);
    try {
      const end = await site.ended();
      assertAgreement(end, 3);
      assert.equal(runOf(end.report, "none").data.value, "violated");
      assertBooksAgree(runOf(end.report, "none"), 4);
      assert.match(end.report.verdict.reasons.join("\n"), /row-lock.*MySQL at demo-holdfast-mysql:3306/);
    } finally {
      await scale(1);
      await site.kubectl(["rollout", "status", "statefulset/demo-holdfast-mysql", "--timeout=180s"], {
        timeoutMs: 190_000,
      });
    }
  });
}
