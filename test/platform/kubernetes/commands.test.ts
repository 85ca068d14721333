import assert from "node:assert/strict";
import { test } from "node:test";
import { reset, verdict } from "../../../coordinator/platform/kubernetes/commands.ts";
import { createReportStore } from "../../../coordinator/platform/kubernetes/report-store.ts";
import { sampleReport } from "../../support/sample-report.ts";
import { type FakeApi, startFakeApi } from "./fake-api.ts";
import { STATUS } from "./fixtures.ts";
import { putCoordinator, putPod, settings, variables } from "./settings.ts";

const SETTINGS = settings();
const UID = SETTINGS.HOLDFAST_JOB_UID;
const FILES = {
  "report.json": JSON.stringify(sampleReport()),
  "report.md": "",
  "report.html": "<html/>",
  "junit.xml": "",
  "report.txt": "the report",
};

async function run(
  command: typeof reset | typeof verdict,
  fake: FakeApi,
  waitMs = 100,
  changes: Record<string, string> = {},
) {
  const lines: string[] = [];
  const exitCode = await command(variables(changes), { api: fake.api, waitMs, print: (line) => lines.push(line) });
  return { exitCode, lines };
}

const save = (fake: FakeApi, uid: string, exitCode: number, final = true) =>
  createReportStore(fake.api, SETTINGS).saveReport(uid, FILES, { exitCode, line: "the verdict", final });

test("reset removes the Job, its workers and its report", async () => {
  await using fake = await startFakeApi();
  const job = putCoordinator(fake);
  await save(fake, UID, 0);
  const labels = {
    "app.kubernetes.io/instance": "demo",
    "app.kubernetes.io/component": "worker",
    "holdfast.dev/run": "r",
  };
  putPod(fake, fake.put("jobs", { metadata: { name: "demo-r", labels } }), 0, STATUS.running);
  putPod(fake, job, 0, STATUS.running, { name: "coordinator-x" });
  const { exitCode, lines } = await run(reset, fake, 2_000);
  assert.equal(exitCode, 0);
  assert.match(lines.at(-1)!, /coordinator is deleted/);
  assert.deepEqual([fake.objects.jobs.size, fake.objects.pods.size], [0, 0]);
  assert.deepEqual(fake.objects.configmaps.get("demo-report").data, {});
  const deletion = fake.requests.find(({ line }) => line === "DELETE jobs/coordinator");
  assert.equal(deletion?.body.propagationPolicy, "Foreground");
});

test("reset ends a scheduled run in progress, and leaves finished ones and their reports", async () => {
  await using fake = await startFakeApi();
  const { labels } = putCoordinator(fake).metadata;
  const done = { conditions: [{ type: "Complete", status: "True" }] };
  fake.put("jobs", { metadata: { name: "weekly-1", labels }, status: done });
  putPod(fake, fake.put("jobs", { metadata: { name: "weekly-2", labels } }), 0, STATUS.running);
  fake.put("jobs", { metadata: { name: "of-another", labels: { ...labels, "app.kubernetes.io/instance": "other" } } });
  fake.put("configmaps", { metadata: { name: "demo-report-1" } });
  const { exitCode, lines } = await run(reset, fake, 2_000);
  assert.equal(exitCode, 0);
  assert.equal(lines[0], "deleting Job weekly-2, a scheduled run in progress", "before the turn becomes free");
  assert.deepEqual([...fake.objects.jobs.keys()], ["weekly-1", "of-another"]);
  assert.equal(fake.objects.pods.size, 0);
  assert.ok(fake.objects.configmaps.has("demo-report-1"));
});

test("reset succeeds where there is nothing, and prints what could not be deleted", async () => {
  await using fake = await startFakeApi();
  assert.equal((await run(reset, fake)).exitCode, 0);
  const labels = {
    "app.kubernetes.io/instance": "demo",
    "app.kubernetes.io/component": "worker",
    "holdfast.dev/run": "r",
  };
  fake.put("pods", { metadata: { name: "stuck", labels } });
  const { exitCode, lines } = await run(reset, fake);
  assert.equal(exitCode, 3);
  assert.match(lines.at(-1)!, /gave up: still existing: stuck/);
});

test("reset does not delete a Job that Helm did not create, because nothing would replace it", async () => {
  await using fake = await startFakeApi();
  delete putCoordinator(fake).metadata.annotations;
  const { exitCode, lines } = await run(reset, fake);
  assert.equal(exitCode, 0);
  assert.match(lines.join(), /Job coordinator was not created by Helm.*left as it is/);
  assert.ok(fake.objects.jobs.has("coordinator"));
});

test("reset leaves another release's Job alone", async () => {
  await using fake = await startFakeApi();
  putCoordinator(fake);
  await assert.rejects(run(reset, fake, 100, { HOLDFAST_RELEASE: "mine" }), /belongs to release demo, not mine/);
  assert.ok(fake.objects.jobs.has("coordinator"));
});

test("verdict prints the report of the current Job and returns its exit status", async () => {
  await using fake = await startFakeApi();
  putCoordinator(fake);
  await save(fake, UID, 1);
  assert.deepEqual(await run(verdict, fake), { exitCode: 1, lines: ["the report"] });
});

test("verdict waits for the final report, and ignores an old or a partial one", async () => {
  await using fake = await startFakeApi();
  const job = putCoordinator(fake);
  await save(fake, "an-earlier-uid", 0);
  const old = await run(verdict, fake);
  assert.equal(old.exitCode, 3);
  assert.match(old.lines.at(-1)!, /gave up: waiting for Job coordinator to begin its report/);

  await createReportStore(fake.api, SETTINGS).saveProgress(UID, sampleReport().runs.slice(0, 2), "x-3-redis");
  assert.match((await run(verdict, fake)).lines.join(), /2 runs finished, x-3-redis is running/);

  await save(fake, UID, 3, false);
  assert.match((await run(verdict, fake)).lines.join(), /gave up/);
  job.status = { conditions: [{ type: "Failed", status: "True", reason: "PodFailurePolicy" }] };
  assert.deepEqual(await run(verdict, fake), { exitCode: 3, lines: ["the report"] });
});

test("verdict returns the exit status and prints the termination message of a coordinator without a report", async () => {
  await using fake = await startFakeApi();
  const job = putCoordinator(fake, {
    conditions: [{ type: "Failed", status: "True", reason: "PodFailurePolicy", message: "m" }],
  });
  assert.match((await run(verdict, fake)).lines.join(), /ended without a report \(PodFailurePolicy: m\)/);
  const [container] = STATUS.exited.containerStatuses;
  const terminated = { ...container!.state.terminated, exitCode: 2, message: "workers: write a number\n" };
  putPod(fake, job, 0, { phase: "Failed", containerStatuses: [{ ...container, state: { terminated } }] });
  const { exitCode, lines } = await run(verdict, fake);
  assert.equal(exitCode, 2);
  assert.match(
    lines.join(),
    /ended without a report \(workers: write a number\); kubectl logs job\/coordinator -n demo/,
  );
});

test("verdict prints that there is no Job", async () => {
  await using fake = await startFakeApi();
  const { exitCode, lines } = await run(verdict, fake);
  assert.equal(exitCode, 3);
  assert.match(lines.at(-1)!, /gave up: no Job coordinator in namespace demo \(waited/);
});

test("the error for an incomplete environment names the variable", async () => {
  await using fake = await startFakeApi();
  await assert.rejects(run(verdict, fake, 100, { HOLDFAST_NAMESPACE: "" }), /HOLDFAST_NAMESPACE/);
});
