import assert from "node:assert/strict";
import { test } from "node:test";
import {
  createKubernetesLauncher,
  type KubernetesLauncherOptions,
} from "../../../coordinator/platform/kubernetes/launcher.ts";
import { type FakeApi, startFakeApi, type Wire } from "./fake-api.ts";
import { DELETED, POD_SECURITY, QUOTA, STATUS, wireEvent } from "./fixtures.ts";
import { putPod, settings } from "./settings.ts";
import { SPEC } from "./spec.ts";

const JOB = "demo-0a1b2c3d-3-row-lock";

function launcher(fake: FakeApi, options: Partial<KubernetesLauncherOptions> = {}, cleanup = "onSuccess") {
  return createKubernetesLauncher({
    api: fake.api,
    settings: settings({ HOLDFAST_CLEANUP: cleanup }),
    startDeadlineMs: 60_000,
    healPatienceMs: 60,
    disposeDeadlineMs: 300,
    ...options,
  });
}

/** Starts a fleet whose pods have these statuses by index; an index without a status has no pod. */
async function fleetOf(
  fake: FakeApi,
  statuses: readonly Wire[],
  options?: Partial<KubernetesLauncherOptions>,
  cleanup?: string,
) {
  fake.onJob = (job) => {
    for (const [index, status] of statuses.entries()) if (status !== undefined) putPod(fake, job, index, status);
  };
  const fleet = await launcher(fake, options, cleanup).launch(SPEC);
  const job = fake.objects.jobs.get(JOB);
  const reasons = async () =>
    (await fleet.problems()).map((problem) => `${problem.index} ${problem.fatal} ${problem.reason}`);
  return { fleet, job, reasons };
}

const FOUR = [STATUS.running, STATUS.running, STATUS.running, STATUS.running];

test("a healthy fleet has no problems, costs one list per look, and leaves nothing behind", async () => {
  await using fake = await startFakeApi();
  const { fleet, job, reasons } = await fleetOf(fake, FOUR);
  assert.equal(job.spec.completions, 4);
  assert.deepEqual(job.spec.template.spec.containers[0].readinessProbe, { exec: { command: ["true"] } });
  const before = fake.requests.length;
  assert.deepEqual(await reasons(), []);
  assert.deepEqual(
    fake.requests.slice(before).map(({ line }) => line),
    ["GET pods"],
  );
  await fleet[Symbol.asyncDispose]();
  assert.deepEqual([fake.objects.jobs.size, fake.objects.pods.size], [0, 0]);
  const deletion = fake.requests.find(({ line }) => line === `DELETE jobs/${JOB}`);
  assert.equal(deletion?.body.propagationPolicy, "Background");
});

test("each worker that does not run is reported with its reason", async () => {
  await using fake = await startFakeApi();
  const { reasons } = await fleetOf(fake, [
    STATUS.running,
    STATUS.neverPull,
    STATUS.unschedulable,
    STATUS.missingSecret,
  ]);
  assert.deepEqual(await reasons(), [
    '1 true ErrImageNeverPull: Container image "a.b/c:1" is not present with pull policy of Never',
    "2 false Unschedulable: 0/2 nodes are available: 1 Insufficient cpu.",
    '3 false CreateContainerConfigError: secret "nope" not found',
  ]);
});

test("a problem that heals soon becomes fatal after the patience, and is no longer reported once it has healed", async () => {
  await using fake = await startFakeApi();
  const { reasons } = await fleetOf(fake, [...FOUR.slice(1), STATUS.imagePullBackOff]);
  assert.match((await reasons()).join(), /^3 false ImagePullBackOff/);
  await new Promise((resolve) => setTimeout(resolve, 80));
  assert.match((await reasons()).join(), /^3 true ImagePullBackOff/);
  for (const pod of fake.objects.pods.values()) pod.status = STATUS.running;
  assert.deepEqual(await reasons(), []);
});

test("indexes without a pod are explained by the Job's events: a quota may heal, Pod Security does not", async () => {
  await using fake = await startFakeApi();
  const { job, reasons } = await fleetOf(fake, [STATUS.running, STATUS.running]);
  assert.deepEqual(await reasons(), [], "right after the creation nothing is reported");
  fake.put("events", wireEvent("FailedCreate", QUOTA, job.metadata.uid));
  fake.put("events", wireEvent("FailedCreate", "of another Job", "other", "2026-11-24T11:59:00Z"));
  const quota = await reasons();
  assert.equal(quota.length, 2);
  assert.match(quota[0]!, /^2 false FailedCreate: forbidden: exceeded quota/);
  fake.put("events", wireEvent("FailedCreate", POD_SECURITY, job.metadata.uid, "2026-11-24T11:50:00Z"));
  assert.match((await reasons())[1]!, /^3 true FailedCreate: forbidden: violates PodSecurity/);
});

test("a worker that exits is reported at once with its log", async () => {
  await using fake = await startFakeApi();
  const { fleet } = await fleetOf(fake, [...FOUR.slice(1), STATUS.exited]);
  fake.logs.set("demo-run-3-abcde", "line one\nError: MySQL refused the password\n");
  const [problem] = await fleet.problems();
  assert.equal(problem?.reason, "exited with 1: Error: MySQL refused the password");
  assert.match(problem?.log ?? "", /^line one\n/);
});

test("a deleted worker is reported while it terminates and after it is gone, with its last log", async () => {
  await using fake = await startFakeApi();
  const { fleet, reasons } = await fleetOf(fake, FOUR);
  fake.logs.set("demo-run-2-abcde", "worker 2\n");
  await fleet.problems();
  Object.assign(fake.objects.pods.get("demo-run-2-abcde").metadata, DELETED);
  assert.deepEqual(await reasons(), ["2 true pod demo-run-2-abcde was deleted"]);
  // The container is removed before the pod, and the kubelet then answers with this text.
  fake.logs.set("demo-run-2-abcde", "unable to retrieve container logs for containerd://4a4ad7");
  await fleet.problems();
  fake.objects.pods.delete("demo-run-2-abcde");
  const [problem] = await fleet.problems();
  assert.deepEqual([problem?.reason, problem?.log], ["pod demo-run-2-abcde was deleted", "worker 2\n"]);
});

test("a worker that disappears between two looks is reported, one that had completed is not", async () => {
  await using fake = await startFakeApi();
  const { fleet, reasons } = await fleetOf(fake, [STATUS.succeeded, ...FOUR.slice(1)]);
  await fleet.problems();
  fake.objects.pods.delete("demo-run-0-abcde");
  fake.objects.pods.delete("demo-run-1-abcde");
  assert.deepEqual(await reasons(), ["1 true pod demo-run-1-abcde was deleted (last seen Running on holdfast-worker)"]);
});

test("two pods for one index are flagged", async () => {
  await using fake = await startFakeApi();
  const { job, reasons } = await fleetOf(fake, FOUR);
  putPod(fake, job, 1, STATUS.running, { name: "demo-run-1-other", uid: "uid-of-the-other" });
  const [flag, ...rest] = await reasons();
  assert.match(
    flag!,
    /^1 true DuplicatedIndex: 2 pods had it: demo-run-1-abcde \(.*\), demo-run-1-other \(uid-of-the-other\)$/,
  );
  assert.deepEqual(rest, []);
});

test("an unreachable API server changes no worker's state, and there is one warning", async () => {
  await using fake = await startFakeApi();
  const warnings: string[] = [];
  const { reasons } = await fleetOf(fake, [...FOUR.slice(1), STATUS.exitedSilently], {
    warn: (line) => warnings.push(line),
  });
  assert.deepEqual(await reasons(), ["3 true exited with 1"]);
  fake.fail(/^GET pods$/, 503, "etcdserver: leader changed", 2);
  assert.deepEqual([await reasons(), await reasons()], [["3 true exited with 1"], ["3 true exited with 1"]]);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, /list pods \(503\): etcdserver: leader changed/);
});

test("a Job with a failed pod is kept for inspection, its running pods are not", async () => {
  await using fake = await startFakeApi();
  const { fleet } = await fleetOf(fake, [...FOUR.slice(1), STATUS.exitedSilently]);
  await fleet[Symbol.asyncDispose]();
  assert.deepEqual([...fake.objects.pods.keys()], ["demo-run-3-abcde"]);
  assert.ok(fake.objects.jobs.has(JOB));
});

test("a Job is deleted when it could still start a pod, and always with cleanup always", async () => {
  for (const [statuses, cleanup] of [
    [[STATUS.exitedSilently, STATUS.running], "onSuccess"],
    [[STATUS.exitedSilently, STATUS.running], "never"],
    [[...FOUR.slice(1), STATUS.exitedSilently], "always"],
  ] as const) {
    await using fake = await startFakeApi();
    const { fleet } = await fleetOf(fake, statuses, {}, cleanup);
    await fleet[Symbol.asyncDispose]();
    assert.deepEqual([fake.objects.jobs.size, fake.objects.pods.size], [0, 0], cleanup);
  }
});

test("the end of a fleet is bounded, and its failure is only a warning", async () => {
  await using fake = await startFakeApi();
  const warnings: string[] = [];
  const { fleet } = await fleetOf(fake, FOUR, { warn: (line) => warnings.push(line) });
  fake.fail(/^DELETE jobs/, 403, "jobs is forbidden: no delete");
  await fleet[Symbol.asyncDispose]();
  assert.match(
    warnings.join(),
    /is not stopped: Kubernetes: the API server refused to delete Job .* \(403\): jobs is forbidden.*Role/,
  );
});

test("a Job whose creation was not answered is adopted, a Job of another owner is refused", async () => {
  await using fake = await startFakeApi();
  const first = launcher(fake);
  await first.launch(SPEC);
  const adopted = await first.launch(SPEC);
  assert.ok(await adopted.problems());
  const other = launcher(fake, { settings: settings({ HOLDFAST_JOB_UID: "ffffffff-1111" }) });
  await assert.rejects(
    other.launch(SPEC),
    /Job demo-0a1b2c3d-3-row-lock exists already and does not belong to this run; kubectl delete job/,
  );
});

test("the error for a refused Job names who refused it and what to do", async () => {
  await using fake = await startFakeApi();
  fake.fail(/^POST jobs/, 403, 'jobs.batch is forbidden: User "x" cannot create resource "jobs"');
  await assert.rejects(
    launcher(fake).launch(SPEC),
    /refused to create Job demo-.* \(403\): jobs\.batch is forbidden.*Role/,
  );
});

test("a busy API server is asked again; a request without an answer is abandoned", async () => {
  await using fake = await startFakeApi(300);
  fake.fail(/^POST jobs/, 429, "too many requests");
  fake.fail(/^POST jobs/, 0);
  await launcher(fake).launch(SPEC);
  assert.equal(fake.requests.filter(({ line }) => line === "POST jobs").length, 3);
});
