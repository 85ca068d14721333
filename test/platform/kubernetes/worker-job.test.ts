import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { dumpYaml } from "@kubernetes/client-node";
import { parseWorkerTemplate, workerJob, workerJobName } from "../../../coordinator/platform/kubernetes/worker-job.ts";
import type { WorkerSpec } from "../../../worker/contract.ts";
import { SPEC, TEMPLATE } from "./spec.ts";

const GOLDEN = new URL("../../golden/worker-job.yaml", import.meta.url);

const SETTINGS = {
  namespace: "demo",
  release: "demo",
  annotations: { "example.com/queue": "tests" },
  ownerName: "coordinator",
  ownerUid: "0a1b2c3d-0000-4000-8000-000000000000",
  startDeadlineMs: 60_000,
};

test("the worker Job is the template completed, as in the golden file", () => {
  const yaml = dumpYaml(workerJob(parseWorkerTemplate(TEMPLATE, "t.yaml"), SPEC, SETTINGS), { lineWidth: 120 });
  if (process.env.UPDATE_GOLDEN) writeFileSync(GOLDEN, yaml);
  assert.equal(yaml, readFileSync(GOLDEN, "utf8"));
});

test("a run has the sidecar of its own lock, and no other", () => {
  const sidecars = ["proxy", "lock-mine", "lock-mine-2"]
    .map((name) => `    - name: ${name}\n      image: i\n`)
    .join("");
  const template = parseWorkerTemplate(`${TEMPLATE}  initContainers:\n${sidecars}`, "t.yaml");
  const of = (ownLock: WorkerSpec["ownLock"]) =>
    workerJob(template, { ...SPEC, ownLock }, SETTINGS).spec!.template.spec!.initContainers!.map(({ name }) => name);
  assert.deepEqual(of(undefined), ["proxy"]);
  assert.deepEqual(of({ name: "mine", socket: "/s" }), ["proxy", "lock-mine"]);
  assert.deepEqual(of({ name: "mine-2", socket: "/s" }), ["proxy", "lock-mine-2"]);
});

test("a template whose first container is not the worker is refused by name", () => {
  const sidecarFirst = TEMPLATE.replace("name: worker", "name: proxy");
  assert.throws(() => parseWorkerTemplate(sidecarFirst, "t.yaml"), /t\.yaml: the first container .* found `proxy`/);
  assert.throws(() => parseWorkerTemplate("spec: {}", "t.yaml"), /found no container/);
  assert.throws(() => parseWorkerTemplate("spec: [", "t.yaml"), /t\.yaml is not YAML/);
});

test("a Job's name leaves room for the index and keeps the run", () => {
  assert.equal(workerJobName("demo", "0a1b2c3d-1-none", 4), "demo-0a1b2c3d-1-none");
  const long = workerJobName("a-very-long-release-name-of-fifty-three-characters-xx", "0a1b2c3d-3-row-lock", 200);
  assert.ok(long.endsWith("-0a1b2c3d-3-row-lock"), long);
  assert.equal(`${long}-199`.length, 63);
  assert.match(workerJobName("Demo.x", "RUN_1", 1), /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/);
});
