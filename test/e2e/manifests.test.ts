/** The committed manifests, with `kubectl apply -k`: first with a worker image that does not exist, then unchanged. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { after, before } from "node:test";
import { parseAllDocuments } from "yaml";
import packageJson from "../../package.json" with { type: "json" };
import { ROOT } from "./support/command.ts";
import { assertAgreement, assertBooksAgree, dataOf, runOf } from "./support/findings.ts";
import { type Body, scenario } from "./support/scenario.ts";
import { createSite, type Site } from "./support/site.ts";

let site: Site;
const onSite = (name: string, body: Body) => scenario(name, () => [site], body);

before(async () => {
  site = await createSite("manifests");
});
after(() => site?.[Symbol.asyncDispose]());

onSite("a worker image that does not exist: each worker is named with it, long before the start deadline", async () => {
  await applyManifests({ HOLDFAST_STRATEGIES: "none", HOLDFAST_START_DEADLINE: "5m" }, "holdfast:not-there");
  const end = await site.ended();
  assertAgreement(end, 3);
  const run = runOf(end.report, "none");
  const cause = /(ErrImagePull|ImagePullBackOff): .*holdfast:not-there/;
  assert.match(run.reasons.join("; "), cause);
  for (const { lost } of run.reconciliation) assert.match(lost ?? "", cause);
  assert.deepEqual(
    run.reconciliation.map(({ ledger }) => ledger),
    [0, 0, 0, 0],
  );
});

onSite("the manifests as they are, after the Job was deleted as they say", async () => {
  await site.kubectl(["delete", "job", "coordinator"]);
  await applyManifests({ HOLDFAST_STRATEGIES: "none,row-lock", HOLDFAST_DURATION: "2s" });
  const end = await site.ended();
  assertAgreement(end, 0);
  assert.deepEqual(dataOf(end.report), ["none violated", "row-lock holds"]);
  for (const run of end.report.runs) assertBooksAgree(run, 4);
});

/**
 * Applies k8s/ to the site's namespace, with these variables of the coordinator and, if given, another image of the
 * workers.
 */
async function applyManifests(variables: Record<string, string>, workerImage?: string): Promise<void> {
  const env = Object.entries(variables).map(([name, value]) => ({ name, value }));
  const containers = [{ name: "coordinator", env }];
  const patches = [named("batch/v1", "Job", "coordinator", { spec: { template: { spec: { containers } } } })];
  if (workerImage !== undefined) {
    const template = workerTemplate().replace(`image: holdfast:${packageJson.version}`, `image: ${workerImage}`);
    assert.ok(template.includes(workerImage));
    patches.push(named("v1", "ConfigMap", "holdfast-worker", { data: { "worker.yaml": template } }));
  }
  const folder = mkdtempSync(join(tmpdir(), "holdfast-e2e-"));
  const overlay = {
    namespace: site.namespace,
    resources: [relative(folder, join(ROOT, "k8s"))],
    // With a target, since the manifests have a namespace and these patches have none.
    patches: patches.map((patch) => ({
      target: { kind: patch.kind, name: patch.metadata.name },
      patch: JSON.stringify(patch),
    })),
  };
  try {
    writeFileSync(join(folder, "kustomization.yaml"), JSON.stringify(overlay));
    await site.kubectl(["apply", "--kustomize", folder]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const named = (apiVersion: string, kind: string, name: string, rest: object) => ({
  apiVersion,
  kind,
  metadata: { name },
  ...rest,
});

function workerTemplate(): string {
  const objects = parseAllDocuments(readFileSync(join(ROOT, "k8s/worker.yaml"), "utf8")).map((text) => text.toJS());
  return objects.find((object) => object?.kind === "ConfigMap").data["worker.yaml"];
}
