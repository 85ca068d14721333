import type { V1Job, V1Pod } from "@kubernetes/client-node";
import { waitUntil } from "../../wait.ts";
import { ask, find, type KubernetesApi } from "./api.ts";
import { componentSelector, type KubernetesTarget } from "./settings.ts";

/**
 * Deletes a Job and, unlike the API's default, its pods. Returns false when there was no such Job.
 * `Foreground` keeps the Job visible until its pods are gone.
 */
export async function deleteJob(
  api: KubernetesApi,
  namespace: string,
  name: string,
  propagationPolicy: "Background" | "Foreground" = "Background",
): Promise<boolean> {
  // The policy must be in the body: with a body, the server ignores the query parameter.
  const deleted = await find(`delete Job ${name}`, () =>
    api.batch.deleteNamespacedJob({ name, namespace, body: { propagationPolicy } }),
  );
  return deleted !== undefined;
}

/** Lists the Jobs of the coordinators of a release: that of the release, and those of its schedule. */
export async function listCoordinatorJobs(api: KubernetesApi, target: KubernetesTarget): Promise<readonly V1Job[]> {
  const namespace = target.HOLDFAST_NAMESPACE;
  const labelSelector = componentSelector(target, "coordinator");
  return (await ask("list Jobs", () => api.batch.listNamespacedJob({ namespace, labelSelector }))).items;
}

export async function listPods(api: KubernetesApi, namespace: string, labelSelector: string, patienceMs?: number) {
  const list = await ask("list pods", () => api.core.listNamespacedPod({ namespace, labelSelector }), patienceMs);
  return list.items;
}

/** Waits until each selected pod has ended or is being deleted, so that none can do more work. Throws DeadlinePassed. */
export function waitUntilPodsStopped(api: KubernetesApi, namespace: string, labelSelector: string, deadlineMs: number) {
  const look = async () => {
    const pods = await listPods(api, namespace, labelSelector);
    const left = pods.filter((pod) => !podIsTerminating(pod) && !podIsFinished(pod)).map((pod) => pod.metadata?.name);
    return left.length === 0 ? undefined : `still running: ${left.join(", ")}`;
  };
  return waitUntil(look, { deadlineMs, everyMs: 250, signal: new AbortController().signal });
}

export const podIsFinished = (pod: V1Pod) => pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";
export const podIsTerminating = (pod: V1Pod) => pod.metadata?.deletionTimestamp !== undefined;

/** The condition that ended a Job; undefined while it is running. */
export const jobEnd = (job: V1Job) =>
  job.status?.conditions?.find(
    (condition) => ["Complete", "Failed"].includes(condition.type) && condition.status === "True",
  );

/** Whether a Job has neither ended nor been deleted, so that it may still have a running pod. */
export const jobIsLive = (job: V1Job) => jobEnd(job) === undefined && job.metadata?.deletionTimestamp === undefined;

export const isOwnedBy = (object: V1Job, ownerUid: string) =>
  object.metadata?.ownerReferences?.some((owner) => owner.uid === ownerUid) ?? false;

/** Returns the last lines that the first container logged. Throws when it never ran or its node does not answer. */
export async function lastLines(api: KubernetesApi, pod: V1Pod): Promise<string | undefined> {
  const { name, namespace } = pod.metadata!;
  const container = pod.spec!.containers[0]!.name;
  const read = () =>
    api.core.readNamespacedPodLog({ name: name!, namespace: namespace!, container, tailLines: 20, limitBytes: 16_384 });
  const log = await ask(`read the log of ${name}`, read, 0);
  // For a log that no longer exists the kubelet returns this text, with status 200.
  return /^unable to retrieve container logs for /.test(log) ? undefined : log;
}
