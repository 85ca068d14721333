import assert from "node:assert/strict";
import { test } from "node:test";
import type { CoreV1Event, V1Pod } from "@kubernetes/client-node";
import {
  explainDeletedPod,
  explainMissingPod,
  findPodProblem,
  type PodProblem,
} from "../../../coordinator/platform/kubernetes/pod-problems.ts";
import { DELETED, DELETED_AGAIN, DELETED_LATE, event, POD_SECURITY, pod, QUOTA, STATUS } from "./fixtures.ts";

interface Case {
  readonly name: string;
  readonly pod: V1Pod;
  readonly warnings?: readonly CoreV1Event[];
  readonly jobWarnings?: readonly CoreV1Event[];
  readonly log?: string;
  readonly secondsLater?: number;
  readonly expect: RegExp | undefined;
  readonly heals?: PodProblem["heals"];
}

const LIMITED = { containers: [{ name: "worker", resources: { limits: { memory: "96Mi" } } }] };
const PULL = /^nowhere\.example\/holdfast:9\.9\.9: failed to do request: .*: no such host$/;
const PULLED = new RegExp(`^ImagePullBackOff: ${PULL.source.slice(1)}`);
const TOLD = 'Failed to pull image "nowhere.example/holdfast:9.9.9": rpc error: code = Unknown desc = no such host';

const CASES: readonly Case[] = [
  { name: "running", pod: pod(STATUS.running), expect: undefined },
  { name: "completed", pod: pod(STATUS.succeeded), expect: undefined },
  { name: "completed, then deleted", pod: pod(STATUS.succeeded, DELETED_LATE), expect: undefined },
  {
    name: "unschedulable",
    pod: pod(STATUS.unschedulable),
    expect: /^Unschedulable: 0\/2 nodes .* cpu\.$/,
    heals: "maybe",
  },
  { name: "starting", pod: pod(STATUS.creating), secondsLater: 3, expect: undefined },
  {
    name: "starting for long",
    pod: pod(STATUS.creating),
    secondsLater: 30,
    expect: /^ContainerCreating for 30 s on holdfast-worker$/,
    heals: "maybe",
  },
  {
    name: "starting, volume missing",
    pod: pod(STATUS.creating),
    warnings: [event("FailedMount", 'MountVolume.SetUp failed for volume "v" : secret "nope" not found')],
    expect: /^FailedMount: .*secret "nope" not found$/,
    heals: "maybe",
  },
  {
    name: "ErrImagePull",
    pod: pod(STATUS.errImagePull),
    expect: new RegExp(`^ErrImagePull: ${PULL.source.slice(1)}`),
    heals: "soon",
  },
  { name: "ImagePullBackOff", pod: pod(STATUS.imagePullBackOff), expect: PULLED, heals: "soon" },
  {
    name: "ImagePullBackOff before 1.32",
    pod: pod(STATUS.imagePullBackOffBefore132),
    warnings: [event("Failed", TOLD), event("Failed", "Error: ImagePullBackOff", "2026-11-24T11:40:09Z")],
    expect: /^ImagePullBackOff: nowhere\.example\/holdfast:9\.9\.9: no such host$/,
    heals: "soon",
  },
  {
    name: "ErrImageNeverPull",
    pod: pod(STATUS.neverPull),
    expect: /^ErrImageNeverPull: .*"a\.b\/c:1"/,
    heals: "never",
  },
  { name: "InvalidImageName", pod: pod(STATUS.invalidName), expect: /^InvalidImageName: /, heals: "never" },
  {
    name: "missing Secret",
    pod: pod(STATUS.missingSecret),
    expect: /^CreateContainerConfigError: secret "nope" not found$/,
    heals: "soon",
  },
  { name: "CrashLoopBackOff", pod: pod(STATUS.crashLoop), expect: /^CrashLoopBackOff: back-off/, heals: "soon" },
  {
    name: "StartError",
    pod: pod(STATUS.explainStartFailure),
    expect: /^StartError: runc create failed/,
    heals: "never",
  },
  {
    name: "exit code, with its termination message",
    pod: pod(STATUS.exited),
    expect: /^exited with 1: Error: MySQL refused the password$/,
    heals: "never",
  },
  {
    name: "exit code, with its log",
    pod: pod(STATUS.exitedSilently),
    log: "a\nthe last line\n",
    expect: /^exited with 1: the last line$/,
    heals: "never",
  },
  { name: "exit code alone", pod: pod(STATUS.exitedSilently), expect: /^exited with 1$/, heals: "never" },
  {
    name: "OOMKilled",
    pod: pod(STATUS.oomKilled, {}, LIMITED),
    expect: /^OOMKilled: .*memory limit of 96Mi$/,
    heals: "never",
  },
  { name: "killed", pod: pod(STATUS.killed), expect: /^killed by SIGKILL$/, heals: "never" },
  {
    name: "evicted by the kubelet",
    pod: pod(STATUS.evicted),
    expect: /^Evicted: The node was low on resource: memory/,
    heals: "never",
  },
  {
    name: "evicted by the API",
    pod: pod(STATUS.evictedByApi, DELETED),
    expect: /^EvictionByEvictionAPI: Eviction API: evicting$/,
    heals: "never",
  },
  {
    name: "deleted while it runs",
    pod: pod(STATUS.running, DELETED),
    expect: /^pod demo-run-2-abcde was deleted$/,
    heals: "never",
  },
  {
    name: "deleted, and it ended with 0 because of that",
    pod: pod(STATUS.succeeded, DELETED),
    expect: /was deleted, exited with 0$/,
    heals: "never",
  },
  {
    name: "deleted and killed",
    pod: pod(STATUS.killed, DELETED),
    expect: /was deleted, killed by SIGKILL$/,
    heals: "never",
  },
  {
    name: "deleted, ended and deleted again by the kubelet",
    pod: pod(STATUS.killed, DELETED_AGAIN),
    expect: /was deleted, killed by SIGKILL$/,
    heals: "never",
  },
  { name: "completed, and deleted at once", pod: pod(STATUS.succeeded, DELETED_AGAIN), expect: undefined },
  {
    name: "deleted by its Job's deadline",
    pod: pod(STATUS.running, DELETED),
    jobWarnings: [event("DeadlineExceeded", "Job was active longer than specified deadline")],
    expect: /^DeadlineExceeded: Job was active longer/,
    heals: "never",
  },
  {
    name: "node does not answer",
    pod: pod(STATUS.nodeNotReady),
    expect: /^NodeNotReady: node holdfast-worker/,
    heals: "maybe",
  },
  {
    name: "node lost",
    pod: pod(STATUS.nodeLost, DELETED),
    expect: /^NodeLost: Node w which was running pod p/,
    heals: "never",
  },
  {
    name: "node removed",
    pod: pod(STATUS.goneWithItsNode),
    expect: /^DeletionByPodGC: PodGC: node no longer exists$/,
    heals: "never",
  },
  {
    name: "init container failed",
    pod: pod(STATUS.initFailed),
    expect: /^init container init exited with 3$/,
    heals: "never",
  },
  {
    name: "the program of a lock ends again and again",
    pod: pod(STATUS.sidecarFails),
    expect: /^sidecar lock-mine exited with 3: no licence$/,
    heals: "soon",
  },
];

for (const { name, pod, warnings = [], jobWarnings = [], log, secondsLater = 1, expect, heals } of CASES) {
  test(`the problem in a pod's status: ${name}`, () => {
    const now = new Date(pod.metadata!.creationTimestamp!.getTime() + 1000 * secondsLater);
    const problem = findPodProblem(pod, { warnings, jobWarnings, log, now });
    if (expect === undefined) return assert.equal(problem, undefined);
    assert.match(problem?.reason ?? "nothing", expect);
    assert.equal(problem?.heals, heals);
  });
}

test("a missing pod is explained by the newest event of its Job", () => {
  const old = event("FailedCreate", "Error creating: older", "2026-11-24T11:39:00Z");
  const quota = explainMissingPod([event("FailedCreate", QUOTA), old], 1_000);
  assert.match(quota!.reason, /^FailedCreate: forbidden: exceeded quota: two-pods, .*limited: pods=2$/);
  assert.equal(quota!.heals, "maybe");
  const security = explainMissingPod([event("FailedCreate", POD_SECURITY)], 1_000);
  assert.match(security!.reason, /^FailedCreate: forbidden: violates PodSecurity "restricted:latest"/);
  assert.equal(security!.heals, "never");
  assert.equal(explainMissingPod([], 1_000), undefined);
  assert.equal(explainMissingPod([], 60_000)?.heals, "maybe");
});

test("a pod that is gone is described as it was last seen", () => {
  assert.deepEqual(explainDeletedPod(pod(STATUS.running), []), {
    reason: "pod demo-run-2-abcde was deleted (last seen Running on holdfast-worker)",
    heals: "never",
  });
});
