/**
 * Pods and events from a real cluster (1.35), reduced to the fields that are read; a few are based on the API's
 * documentation.
 */
import { type CoreV1Event, loadYaml, type V1Pod } from "@kubernetes/client-node";
import { SPEC } from "./spec.ts";

// biome-ignore lint/suspicious/noExplicitAny: untyped objects from the wire.
export type Wire = any;

/** An object in wire format, for the fake API. */
export function wirePod(index: number, status: Wire, metadata: Wire = {}, spec: Wire = {}): Wire {
  const name = `demo-run-${index}-abcde`;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      uid: `uid-${index}`,
      creationTimestamp: "2026-11-24T11:40:00Z",
      labels: { "batch.kubernetes.io/job-completion-index": String(index), "holdfast.dev/run": SPEC.run },
      ...metadata,
    },
    spec: { nodeName: "holdfast-worker", containers: [{ name: "worker" }], ...spec },
    status: { ...status },
  };
}

export const pod = (status: Wire, metadata?: Wire, spec?: Wire): V1Pod =>
  loadYaml<V1Pod>(JSON.stringify(wirePod(2, status, metadata, spec)));

export const wireEvent = (
  reason: string,
  message: string,
  uid: string,
  lastTimestamp = "2026-11-24T11:40:05Z",
): Wire => ({
  apiVersion: "v1",
  kind: "Event",
  metadata: { name: `${uid}.${reason}.${lastTimestamp}` },
  involvedObject: { uid },
  type: "Warning",
  reason,
  message,
  lastTimestamp,
  eventTime: null,
});

export const event = (reason: string, message: string, lastTimestamp?: string): CoreV1Event => {
  const wire = wireEvent(reason, message, "uid-2", lastTimestamp);
  return { ...wire, lastTimestamp: new Date(wire.lastTimestamp) };
};

const container = (state: Wire, ready = false) => ({
  containerStatuses: [{ name: "worker", image: "i", imageID: "", ready, restartCount: 0, state }],
});
const condition = (type: string, status: string, reason?: string, message?: string) => ({
  type,
  status,
  reason,
  message,
});
const SCHEDULED = condition("PodScheduled", "True");
const RUNNING = container({ running: { startedAt: "2026-11-24T11:40:02Z" } }, true);
const terminated = (exitCode: number, reason: string, message?: string) =>
  container({
    terminated: { exitCode, reason, message, startedAt: "2026-11-24T11:40:02Z", finishedAt: "2026-11-24T11:41:02Z" },
  });

const UNPACK = 'failed to pull and unpack image "nowhere.example/holdfast:9.9.9": ';
const RESOLVE = 'failed to resolve reference "nowhere.example/holdfast:9.9.9": ';
const NO_HOST =
  'failed to do request: Head "https://nowhere.example/v2/holdfast/manifests/9.9.9": dial tcp: no such host';
const waiting = (reason: string, message?: string) => ({
  phase: "Pending",
  conditions: [SCHEDULED],
  ...container({ waiting: { reason, message } }),
});

export const STATUS = {
  running: {
    phase: "Running",
    conditions: [SCHEDULED, condition("ContainersReady", "True"), condition("Ready", "True")],
    ...RUNNING,
  },
  nodeNotReady: {
    phase: "Running",
    conditions: [SCHEDULED, condition("ContainersReady", "True"), condition("Ready", "False")],
    ...RUNNING,
  },
  nodeLost: {
    phase: "Running",
    reason: "NodeLost",
    message: "Node w which was running pod p is unresponsive",
    ...RUNNING,
  },
  goneWithItsNode: {
    phase: "Failed",
    conditions: [condition("DisruptionTarget", "True", "DeletionByPodGC", "PodGC: node no longer exists")],
    ...RUNNING,
  },
  succeeded: { phase: "Succeeded", conditions: [SCHEDULED], ...terminated(0, "Completed") },
  unschedulable: {
    phase: "Pending",
    conditions: [condition("PodScheduled", "False", "Unschedulable", "0/2 nodes are available: 1 Insufficient cpu.")],
  },
  creating: waiting("ContainerCreating"),
  errImagePull: waiting("ErrImagePull", UNPACK + RESOLVE + NO_HOST),
  imagePullBackOff: waiting(
    "ImagePullBackOff",
    `Back-off pulling image "nowhere.example/holdfast:9.9.9": ErrImagePull: ${UNPACK}${RESOLVE}${NO_HOST}`,
  ),
  imagePullBackOffBefore132: waiting("ImagePullBackOff", 'Back-off pulling image "nowhere.example/holdfast:9.9.9"'),
  neverPull: waiting("ErrImageNeverPull", 'Container image "a.b/c:1" is not present with pull policy of Never'),
  invalidName: waiting("InvalidImageName", 'Failed to apply default image tag "A//b": invalid reference format'),
  missingSecret: waiting("CreateContainerConfigError", 'secret "nope" not found'),
  crashLoop: waiting("CrashLoopBackOff", "back-off 10s restarting failed container=worker"),
  explainStartFailure: {
    phase: "Failed",
    conditions: [SCHEDULED],
    ...terminated(128, "StartError", "runc create failed: mkdir /nope"),
  },
  /** The kubelet had recorded the end of the container, but not yet that of the pod. */
  exited: {
    phase: "Running",
    conditions: [SCHEDULED],
    ...terminated(1, "Error", "line one\nError: MySQL refused the password\n"),
  },
  exitedSilently: { phase: "Failed", conditions: [SCHEDULED], ...terminated(1, "Error") },
  oomKilled: { phase: "Failed", conditions: [SCHEDULED], ...terminated(137, "OOMKilled") },
  killed: { phase: "Failed", conditions: [SCHEDULED], ...terminated(137, "Error", "worker 2\n") },
  evicted: {
    phase: "Failed",
    reason: "Evicted",
    message: "The node was low on resource: memory. Threshold quantity: 100Mi, available: 96Mi.",
    conditions: [
      condition("DisruptionTarget", "True", "TerminationByKubelet", "The node was low on resource: memory."),
    ],
    ...terminated(137, "Error"),
  },
  evictedByApi: {
    phase: "Running",
    conditions: [condition("DisruptionTarget", "True", "EvictionByEvictionAPI", "Eviction API: evicting")],
    ...RUNNING,
  },
  initFailed: {
    phase: "Failed",
    conditions: [SCHEDULED],
    initContainerStatuses: [
      {
        name: "init",
        image: "i",
        imageID: "",
        ready: false,
        restartCount: 0,
        state: { terminated: { exitCode: 3, reason: "Error" } },
      },
    ],
    ...container({ waiting: { reason: "PodInitializing" } }),
  },
  sidecarFails: {
    phase: "Running",
    conditions: [SCHEDULED],
    initContainerStatuses: [
      {
        name: "lock-mine",
        image: "i",
        imageID: "",
        ready: false,
        restartCount: 3,
        state: { waiting: { reason: "CrashLoopBackOff", message: "back-off 40s restarting failed container" } },
        lastState: { terminated: { exitCode: 3, reason: "Error", message: "no licence\n" } },
      },
    ],
    ...RUNNING,
  },
} satisfies Record<string, Wire>;

/** Deletion requested at 11:41:00 with a grace period of 5 s: before the end at 11:41:02, and well after it. */
export const DELETED = { deletionTimestamp: "2026-11-24T11:41:05Z", deletionGracePeriodSeconds: 5 };
/** The kubelet's last deletion of a deleted pod, two seconds after its end. */
export const DELETED_AGAIN = { deletionTimestamp: "2026-11-24T11:41:04Z", deletionGracePeriodSeconds: 0 };
export const DELETED_LATE = { deletionTimestamp: "2026-11-24T11:50:00Z", deletionGracePeriodSeconds: 5 };

export const QUOTA =
  'Error creating: pods "demo-run-1-kq5kd" is forbidden: exceeded quota: two-pods, requested: pods=1, used: pods=2, limited: pods=2';
export const POD_SECURITY =
  'Error creating: pods "demo-run-0-77fxd" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "worker" must set securityContext.allowPrivilegeEscalation=false)';
