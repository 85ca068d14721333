/** Reports of scheduled runs: a ConfigMap for each, the last ones kept, and one coordinator at a time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createReportStore } from "../../../coordinator/platform/kubernetes/report-store.ts";
import {
  createScheduledReport,
  pruneScheduledReports,
} from "../../../coordinator/platform/kubernetes/scheduled-reports.ts";
import { takeTurn } from "../../../coordinator/platform/kubernetes/turn.ts";
import { reportFiles } from "../../../coordinator/report/files.ts";
import { sampleReport } from "../../support/sample-report.ts";
import { type FakeApi, startFakeApi, type Wire } from "./fake-api.ts";
import { putCoordinator, settings } from "./settings.ts";

const OTHER = "5c5c5c5c-0000-4000-8000-000000000000";
const SCHEDULED = settings({ HOLDFAST_JOB_NAME: "weekly-1", HOLDFAST_JOB_UID: OTHER, HOLDFAST_HISTORY_LIMIT: "2" });
const FILES = reportFiles(sampleReport());

/** The Job that a CronJob made, with its labels. */
function putScheduled(fake: FakeApi, status: Wire = {}): Wire {
  const labels = {
    "app.kubernetes.io/instance": "demo",
    "app.kubernetes.io/component": "coordinator",
    "app.kubernetes.io/managed-by": "Helm",
    team: "storage",
  };
  const owner = { apiVersion: "batch/v1", kind: "CronJob", name: "weekly", uid: "uid-of-weekly", controller: true };
  return fake.put("jobs", { metadata: { name: "weekly-1", uid: OTHER, labels, ownerReferences: [owner] }, status });
}

function putReport(fake: FakeApi, name: string, minute: number, verdict: string | undefined, release = "demo") {
  const labels = {
    "app.kubernetes.io/instance": release,
    "app.kubernetes.io/component": "scheduled-report",
    ...(verdict === undefined ? {} : { "holdfast.dev/verdict": verdict }),
  };
  fake.put("configmaps", { metadata: { name, labels, creationTimestamp: `2026-11-24T11:${minute}:00Z` } });
}

test("a scheduled run has a ConfigMap of its own, which belongs to the CronJob, and leaves that of the release alone", async () => {
  await using fake = await startFakeApi();
  putCoordinator(fake);
  putScheduled(fake);
  const own = await createScheduledReport(fake.api, SCHEDULED);
  assert.equal(own.HOLDFAST_REPORT_CONFIGMAP, "demo-report-5c5c5c5c");
  const map = fake.objects.configmaps.get("demo-report-5c5c5c5c");
  const owner = { apiVersion: "batch/v1", kind: "CronJob", name: "weekly", uid: "uid-of-weekly" };
  assert.deepEqual(map.metadata.ownerReferences, [{ ...owner, controller: false, blockOwnerDeletion: false }]);

  const store = createReportStore(fake.api, own);
  await store.saveProgress(OTHER, sampleReport().runs.slice(0, 1), "5c5c5c5c-2-redis");
  // A pod that replaces the first one finds what that one has saved.
  assert.deepEqual(await createScheduledReport(fake.api, SCHEDULED), own);
  assert.equal((await store.read())?.state?.current, "5c5c5c5c-2-redis");
  assert.equal(map.metadata.labels["holdfast.dev/verdict"], undefined, "no verdict before the end");

  await store.saveReport(OTHER, FILES, { exitCode: 1, line: "violated", final: true });
  assert.deepEqual(map.metadata.labels, {
    "app.kubernetes.io/instance": "demo",
    "app.kubernetes.io/component": "scheduled-report",
    "app.kubernetes.io/managed-by": "holdfast-coordinator",
    "holdfast.dev/report": "5c5c5c5c",
    "holdfast.dev/verdict": "violated",
    team: "storage",
  });
  assert.equal(fake.objects.configmaps.get("demo-report").data, undefined);
});

test("a Job that no CronJob made owns its report", async () => {
  await using fake = await startFakeApi();
  putCoordinator(fake);
  delete putScheduled(fake).metadata.ownerReferences;
  await createScheduledReport(fake.api, SCHEDULED);
  const [owner] = fake.objects.configmaps.get("demo-report-5c5c5c5c").metadata.ownerReferences;
  assert.deepEqual([owner.kind, owner.name, owner.uid], ["Job", "weekly-1", OTHER]);
});

test("the last reports are kept; older ones and those without a verdict are deleted, of this release only", async () => {
  await using fake = await startFakeApi();
  putCoordinator(fake);
  // Listed by name, so that their order is not that of their age.
  putReport(fake, "a-newest", 40, "unknown");
  putReport(fake, "b-old", 10, "expected");
  putReport(fake, "c-newer", 30, "expected");
  putReport(fake, "d-unfinished", 45, undefined);
  putReport(fake, "e-current", 50, "expected");
  putReport(fake, "f-of-another-release", 5, "expected", "other");
  const left = () => [...fake.objects.configmaps.keys()].sort();
  await pruneScheduledReports(fake.api, SCHEDULED, "e-current", 3);
  assert.deepEqual(left(), ["a-newest", "c-newer", "demo-report", "e-current", "f-of-another-release"]);
  await pruneScheduledReports(fake.api, SCHEDULED, "e-current", 1);
  assert.deepEqual(left(), ["demo-report", "e-current", "f-of-another-release"]);
});

function turn(fake: FakeApi, of: typeof SCHEDULED, deadlineMs = 10_000, signal = new AbortController().signal) {
  const said: string[] = [];
  return { said, taken: takeTurn(fake.api, of, { deadlineMs, signal, say: (line) => said.push(line) }) };
}

test("a coordinator waits until the Job whose turn it is has ended, and a pod that is replaced keeps the turn", async () => {
  await using fake = await startFakeApi();
  const job = putCoordinator(fake);
  putScheduled(fake);
  await turn(fake, settings()).taken;
  await turn(fake, settings()).taken;
  const { said, taken } = turn(fake, SCHEDULED);
  setTimeout(() => {
    job.status = { conditions: [{ type: "Failed", status: "True" }] };
  }, 100);
  await taken;
  assert.equal(job.status.conditions?.length, 1, "it waited");
  assert.deepEqual(said, ["Job coordinator of this release is running"]);
  const annotation = () => fake.objects.configmaps.get("demo-report").metadata.annotations["holdfast.dev/turn"];
  assert.equal(annotation(), `weekly-1 ${OTHER}`);

  // A Job of the same name that is created anew has another UID.
  fake.objects.jobs.delete("weekly-1");
  await turn(fake, settings()).taken;
  assert.match(annotation(), /^coordinator /);
});

test("of two coordinators that begin at once, one goes first", async () => {
  await using fake = await startFakeApi();
  putCoordinator(fake);
  putScheduled(fake);
  const both = [settings(), SCHEDULED].map((of) => turn(fake, of, 300).taken);
  const ends = await Promise.allSettled(both);
  assert.deepEqual(ends.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
});

test("a coordinator gives up at the deadline with the name of the other Job, and at once when it is ended", async () => {
  await using fake = await startFakeApi();
  putCoordinator(fake);
  putScheduled(fake);
  await turn(fake, SCHEDULED).taken;
  await assert.rejects(
    turn(fake, settings(), 50).taken,
    /Job weekly-1 of this release is running \(waited 0 s\).*delete that Job/,
  );
  const reason = new Error("SIGTERM");
  await assert.rejects(turn(fake, settings(), 10_000, AbortSignal.abort(reason)).taken, reason);
});
