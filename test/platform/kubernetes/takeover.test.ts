import assert from "node:assert/strict";
import { test } from "node:test";
import { createReportStore } from "../../../coordinator/platform/kubernetes/report-store.ts";
import { takeOver } from "../../../coordinator/platform/kubernetes/takeover.ts";
import { reportFiles } from "../../../coordinator/report/files.ts";
import { sampleReport } from "../../support/sample-report.ts";
import { type FakeApi, startFakeApi, type Wire } from "./fake-api.ts";
import { STATUS } from "./fixtures.ts";
import { putCoordinator, putPod, settings } from "./settings.ts";

const SETTINGS = settings();
const UID = SETTINGS.HOLDFAST_JOB_UID;
const RUNS = sampleReport().runs.slice(0, 2);

const recover = (fake: FakeApi) => takeOver(fake.api, SETTINGS, createReportStore(fake.api, SETTINGS));

function putWorkerJob(fake: FakeApi, run: string, owner: string, status: Wire = {}): Wire {
  const labels = {
    "app.kubernetes.io/instance": "demo",
    "app.kubernetes.io/component": "worker",
    "holdfast.dev/run": run,
    "holdfast.dev/report": owner.slice(0, 8),
  };
  return fake.put("jobs", { metadata: { name: `demo-${run}`, labels, ownerReferences: [{ uid: owner }] }, status });
}

test("the first coordinator finds nothing to take over, and keeps its own pod", async () => {
  await using fake = await startFakeApi();
  const job = putCoordinator(fake);
  putPod(fake, job, 0, STATUS.running, { name: SETTINGS.HOLDFAST_POD_NAME });
  assert.deepEqual(await recover(fake), { finished: [], interrupted: [], notes: [] });
  assert.ok(fake.objects.pods.has(SETTINGS.HOLDFAST_POD_NAME));
});

test("a replacement keeps finished runs, stops the running fleet and deletes its predecessor", async () => {
  await using fake = await startFakeApi();
  const job = putCoordinator(fake);
  await createReportStore(fake.api, SETTINGS).saveProgress(UID, RUNS, "0a1b2c3d-3-redis");
  putPod(fake, job, 0, STATUS.killed, { name: "coordinator-dead" });
  putPod(fake, job, 0, STATUS.running, { name: SETTINGS.HOLDFAST_POD_NAME });
  fake.logs.set("coordinator-dead", "redis: 4 workers running\n");
  putPod(fake, putWorkerJob(fake, "0a1b2c3d-3-redis", UID), 1, STATUS.running);
  putWorkerJob(fake, "0a1b2c3d-2-memory", UID, { conditions: [{ type: "Failed", status: "True" }] });
  putWorkerJob(fake, "another-1-none", "another coordinator");

  const { finished, interrupted, notes } = await recover(fake);
  assert.deepEqual(finished, RUNS);
  assert.deepEqual(interrupted, ["0a1b2c3d-3-redis"]);
  assert.match(notes.join(), /took over from coordinator-dead \(killed by SIGKILL\); .*:\nredis: 4 workers running$/);
  assert.deepEqual([...fake.objects.pods.keys()], [SETTINGS.HOLDFAST_POD_NAME]);
  assert.deepEqual([...fake.objects.jobs.keys()], ["coordinator", "demo-0a1b2c3d-2-memory", "demo-another-1-none"]);
});

test("runs that any earlier coordinator left unfinished stay interrupted, also after a partial report", async () => {
  await using fake = await startFakeApi();
  putCoordinator(fake);
  const store = createReportStore(fake.api, SETTINGS);
  await store.saveProgress(UID, RUNS, "0a1b2c3d-4-row-lock", ["0a1b2c3d-3-redis"]);
  const lost = ["0a1b2c3d-3-redis", "0a1b2c3d-4-row-lock"];
  assert.deepEqual((await recover(fake)).interrupted, lost);
  const verdict = { exitCode: 3, line: "VERDICT: unknown", final: false };
  await store.saveReport(UID, reportFiles({ ...sampleReport(), runs: [...RUNS] }), verdict, lost);
  assert.deepEqual((await recover(fake)).interrupted, lost);
});

test("a fleet that is running although no state was saved is stopped and counts as interrupted", async () => {
  await using fake = await startFakeApi();
  putCoordinator(fake);
  putWorkerJob(fake, "0a1b2c3d-1-none", UID);
  assert.deepEqual((await recover(fake)).interrupted, ["0a1b2c3d-1-none"]);
  assert.ok(!fake.objects.jobs.has("demo-0a1b2c3d-1-none"));
});

test("the report of an earlier Job is deleted, not taken over", async () => {
  await using fake = await startFakeApi();
  putCoordinator(fake);
  await createReportStore(fake.api, SETTINGS).saveProgress("an-earlier-uid", RUNS, "x-1-none");
  assert.deepEqual(await recover(fake), { finished: [], interrupted: [], notes: [] });
  assert.deepEqual(fake.objects.configmaps.get("demo-report").data, {});
});

test("a Job that replaces an earlier one waits for that one's coordinator and workers, and names what does not end", async () => {
  await using fake = await startFakeApi();
  const job = putCoordinator(fake);
  putPod(fake, job, 0, STATUS.running, { name: SETTINGS.HOLDFAST_POD_NAME, labels: labelsOf("coordinator", UID) });
  const labels = labelsOf("worker", "uid-of-an-earlier-fleet", "an-earli");
  fake.put("pods", { metadata: { name: "earlier-worker", labels }, status: STATUS.running });
  const old = { name: "earlier-coordinator", labels: labelsOf("coordinator", "an-earlier-uid") };
  fake.put("pods", { metadata: old, status: { phase: "Succeeded" } });
  const recovering = takeOver(fake.api, SETTINGS, createReportStore(fake.api, SETTINGS), 50);
  assert.match((await recovering).notes.join(), /earlier Job .* are still running: earlier-worker/);

  const waiting = recover(fake);
  setTimeout(() => fake.objects.pods.delete("earlier-worker"), 100);
  assert.deepEqual((await waiting).notes, []);
  assert.ok(!fake.objects.pods.has("earlier-worker"), "it waited");
});

test("the coordinator of another Job that goes on is not waited for: it waits for its turn", async () => {
  await using fake = await startFakeApi();
  putCoordinator(fake);
  const labels = labelsOf("coordinator", "uid-of-weekly-1");
  const { "batch.kubernetes.io/controller-uid": uid, ...ofJob } = labels;
  fake.put("jobs", { metadata: { name: "weekly-1", uid, labels: ofJob } });
  fake.put("pods", { metadata: { name: "weekly-1-abcde", labels }, status: STATUS.running });
  assert.deepEqual((await recover(fake)).notes, []);
});

const labelsOf = (component: string, controller: string, report?: string) => ({
  "app.kubernetes.io/instance": "demo",
  "app.kubernetes.io/component": component,
  "batch.kubernetes.io/controller-uid": controller,
  ...(report === undefined ? {} : { "holdfast.dev/report": report }),
});
