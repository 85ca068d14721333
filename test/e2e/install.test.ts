/** `helm install demo ./helm` without options, and everything that the README promises about it. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe } from "node:test";
import { workerNodes } from "./support/cluster.ts";
import { ROOT } from "./support/command.ts";
import { dashboardTests } from "./support/dashboard.ts";
import { assertAgreement, assertBooksAgree, dataOf, says } from "./support/findings.ts";
import { objectsOf } from "./support/leftovers.ts";
import { networkTests } from "./support/network.ts";
import { rightsTests } from "./support/rights.ts";
import { type Body, scenario } from "./support/scenario.ts";
import { createSite, type End, type Site } from "./support/site.ts";
import { until } from "./support/wait.ts";

let site: Site;
let end: End;
let bare: string[];

before(async () => {
  site = await createSite("install");
  bare = await objectsOf(site);
});
after(() => site?.[Symbol.asyncDispose]());

describe("an installation by Helm 4 without any options", () => {
  const onSite = (name: string, body: Body) => scenario(name, () => [site], body);

  onSite("is made, and its coordinator comes to an end", async (t) => {
    const started = performance.now();
    const notes = await site.install();
    assert.match(notes, new RegExp(`kubectl logs -n ${site.namespace} -f job/coordinator`));
    end = await site.ended();
    const seconds = (performance.now() - started) / 1_000;
    const runs = end.report.runs.reduce((sum, run) => sum + run.seconds, 0);
    t.diagnostic(`install to report: ${seconds.toFixed(1)} s, of which the runs ${runs.toFixed(1)} s`);
    for (const { strategy, overlap, reconciliation, throughput } of end.report.runs)
      t.diagnostic(
        `${strategy}: overlap ${overlap}, ${throughput} committed/s, on ${[...new Set(reconciliation.map(({ node }) => node))]}`,
      );
  });

  onSite("says of all five strategies what theory expects", () => {
    assert.deepEqual(dataOf(end.report), [
      "none violated",
      "memory violated",
      "redis holds",
      "row-lock holds",
      "version holds",
    ]);
    assert.deepEqual(end.report.skipped, []);
    assert.ok(
      end.report.acl.length > 20 && end.report.acl.every(({ outcome }) => outcome === "refused"),
      "the ACL probes",
    );
  });

  onSite("ran four pods for each strategy, on both nodes, and three counts agree for each", async () => {
    const nodes = await workerNodes();
    for (const run of end.report.runs) {
      assertBooksAgree(run, 4);
      const seen = [...new Set(run.reconciliation.map(({ node }) => node))].sort();
      assert.deepEqual(seen, nodes, `${run.strategy}: nodes`);
    }
    const uids = end.report.runs.flatMap(({ reconciliation }) => reconciliation.map(({ uid }) => uid));
    assert.equal(new Set(uids).size, 20, "no pod worked twice");
    const events = await site.json(["get", "events", "--field-selector", "reason=SuccessfulCreate"]);
    const created = events.items.filter(({ involvedObject }: { involvedObject: { name: string } }) =>
      involvedObject.name.startsWith(`demo-${end.report.report}-`),
    );
    assert.equal(created.length, 20, "pods that Kubernetes says it made");
  });

  onSite("tells one end in its log, its ConfigMap, its Job, its events and `helm test`", async () => {
    assertAgreement(end, 0);
    const { items } = await site.json(["get", "events", "--field-selector", "involvedObject.name=coordinator"]);
    const told = (reason: string) => items.filter((event: { reason: string }) => event.reason === reason).length;
    assert.deepEqual([told("RunStarted"), told("StrategyFinished"), told("Verdict")], [5, 5, 1]);
    const tested = await site.helm(["test", "demo", "--logs"], { timeoutMs: 120_000 });
    assert.ok(says(tested, end.report.verdict.line), tested);
    assert.match(tested, /Phase:\s+Succeeded/);
  });

  onSite("waited for nothing that Grafana does", async (t) => {
    const { items } = await site.json(["get", "pods", "--selector", "app.kubernetes.io/component=grafana"]);
    const ready = items[0].status.containerStatuses?.[0]?.ready;
    if (ready) t.skip("Grafana runs here, so nothing is shown about one that does not");
    else assert.equal(end.exitCode, 0);
  });

  onSite("hands the report out as five files by `make report`", async () => {
    const { stdout, stderr, status } = await site.make("report");
    assert.equal(status, 0, stderr);
    const folder = join(ROOT, stdout.trim());
    try {
      for (const file of ["report.txt", "report.md", "report.json", "junit.xml"]) {
        assert.ok(existsSync(join(folder, file)), file);
        assert.equal(readFileSync(join(folder, file), "utf8").trim(), end.files[file]?.trim(), file);
      }
      assert.match(readFileSync(join(folder, "report.html"), "utf8"), /^<!doctype html>[\s\S]*<\/html>\n$/);
    } finally {
      if (stdout.startsWith("reports/")) rmSync(folder, { recursive: true });
    }
    const waited = await site.make("wait");
    assert.equal(waited.status, 0, waited.stderr);
    assert.ok(waited.stdout.includes(`${end.report.verdict.line}\nexit status 0`), waited.stdout);
  });

  dashboardTests(() => ({ site, report: end.report }));
  rightsTests(() => site);
  networkTests(() => site);

  onSite("is gone with `make uninstall`, its tests included", async () => {
    const { status, stderr } = await site.make("uninstall");
    assert.equal(status, 0, stderr);
    await until("the end of everything that it made", 120_000, async () => {
      const left = (await objectsOf(site)).filter((name) => !bare.includes(name));
      if (left.length > 0) throw new Error(`still there: ${left.join(", ")}`);
      return true;
    });
  });
});
