import type { V1Pod } from "@kubernetes/client-node";
import { DeadlinePassed, waitUntil } from "../../wait.ts";
import type { Earlier } from "../platform.ts";
import { ask, find, type KubernetesApi } from "./api.ts";
import {
  deleteJob,
  isOwnedBy,
  jobEnd,
  jobIsLive,
  lastLines,
  listCoordinatorJobs,
  listPods,
  podIsFinished,
  waitUntilPodsStopped,
} from "./jobs.ts";
import { findPodProblem } from "./pod-problems.ts";
import { type ReportStore, runsOf } from "./report-store.ts";
import { type KubernetesSettings, REPORT_LABEL, RUN_LABEL, reportIdOf, workerSelector } from "./settings.ts";

/** How long the workers of an interrupted run may take to end. */
const STOP_DEADLINE_MS = 30_000;
/** How long the pods of an earlier Job may take to end: its coordinator has 30 s to write a partial report. */
const EARLIER_JOB_DEADLINE_MS = 60_000;

export interface Takeover extends Earlier {
  /** For the log: how the earlier coordinator pods ended. */
  readonly notes: readonly string[];
}

/**
 * Takes over from the earlier pods of the same Job. Their finished runs are kept. A run that one of them had not finished
 * cannot be judged, because its counts are incomplete: its fleet is stopped, and no later pod runs it again.
 * Ended predecessors are deleted, because `kubectl logs job/...` prefers the oldest pod.
 */
export async function takeOver(
  api: KubernetesApi,
  settings: KubernetesSettings,
  store: ReportStore,
  earlierJobDeadlineMs = EARLIER_JOB_DEADLINE_MS,
): Promise<Takeover> {
  const jobUid = settings.HOLDFAST_JOB_UID;
  const notes: string[] = [];
  await waitForEarlierJob(api, settings, earlierJobDeadlineMs, notes);
  const stored = await store.read();
  const mine = stored?.state?.jobUid === jobUid;
  // The data of an earlier Job must not be mistaken for the report that begins now.
  if (stored !== undefined && !mine && Object.keys(stored.files).length > 0) await store.clear();
  const finished = mine ? runsOf(stored) : [];

  const left = await stopWorkerJobs(api, settings, notes);
  const state = mine ? stored.state : undefined;
  const begun = [...(state?.interrupted ?? []), ...(state?.current === undefined ? [] : [state.current]), ...left];
  const interrupted = [...new Set(begun)].filter((run) => !finished.some((report) => report.run === run));
  notes.push(...(await deletePredecessors(api, settings)));
  return { finished, interrupted, notes };
}

/**
 * Waits for the pods of an earlier Job of this release. A tool that replaces the Job at once, such as Argo CD, leaves them
 * running for a while: the earlier coordinator may still write its report, and its workers still load the servers.
 * The coordinator of a Job that goes on is not one of them: it waits for its turn.
 */
async function waitForEarlierJob(
  api: KubernetesApi,
  settings: KubernetesSettings,
  deadlineMs: number,
  notes: string[],
): Promise<void> {
  const selector = `app.kubernetes.io/instance=${settings.HOLDFAST_RELEASE}`;
  const look = async () => {
    const pods = await listPods(api, settings.HOLDFAST_NAMESPACE, selector);
    const live = (await listCoordinatorJobs(api, settings)).filter(jobIsLive).map((job) => job.metadata!.uid!);
    const left = pods.filter((pod) => isOfEarlierJob(pod, settings.HOLDFAST_JOB_UID, live) && !podIsFinished(pod));
    return left.length === 0 ? undefined : `still running: ${left.map((pod) => pod.metadata?.name).join(", ")}`;
  };
  try {
    await waitUntil(look, { deadlineMs, everyMs: 500, signal: new AbortController().signal });
  } catch (error) {
    if (!(error instanceof DeadlinePassed)) throw error;
    notes.push(`pods of an earlier Job of this release are ${error.message}; they may slow this report's runs down`);
  }
}

function isOfEarlierJob({ metadata }: V1Pod, jobUid: string, live: readonly string[]): boolean {
  const labels = metadata?.labels ?? {};
  const component = labels["app.kubernetes.io/component"];
  if (component === "coordinator") {
    const job = labels["batch.kubernetes.io/controller-uid"] ?? "";
    return job !== jobUid && !live.includes(job);
  }
  return component === "worker" && labels[REPORT_LABEL] !== reportIdOf(jobUid);
}

/** Deletes the worker Jobs of this coordinator that are still running. Returns the names of their runs. */
async function stopWorkerJobs(api: KubernetesApi, settings: KubernetesSettings, notes: string[]) {
  const namespace = settings.HOLDFAST_NAMESPACE;
  const labelSelector = workerSelector(settings);
  const jobs = await ask("list Jobs", () => api.batch.listNamespacedJob({ namespace, labelSelector }));
  const running = jobs.items.filter((job) => isOwnedBy(job, settings.HOLDFAST_JOB_UID) && jobEnd(job) === undefined);
  for (const job of running) await deleteJob(api, namespace, job.metadata!.name!);
  for (const job of running) {
    const selector = `batch.kubernetes.io/controller-uid=${job.metadata!.uid}`;
    await waitUntilPodsStopped(api, namespace, selector, STOP_DEADLINE_MS).catch((error) => {
      // Their operations are no longer counted, and the answer to their heartbeats is `abort`.
      if (!(error instanceof DeadlinePassed)) throw error;
      notes.push(`workers of the interrupted run are ${error.message}`);
    });
  }
  return running.map((job) => job.metadata?.labels?.[RUN_LABEL]).filter((run) => run !== undefined);
}

async function deletePredecessors(api: KubernetesApi, settings: KubernetesSettings): Promise<readonly string[]> {
  const namespace = settings.HOLDFAST_NAMESPACE;
  const pods = await listPods(api, namespace, `batch.kubernetes.io/controller-uid=${settings.HOLDFAST_JOB_UID}`);
  const others = pods.filter((pod) => pod.metadata?.name !== settings.HOLDFAST_POD_NAME);
  return Promise.all(
    others.map(async (pod) => {
      const name = pod.metadata!.name!;
      if (!podIsFinished(pod)) return `${name} still exists and may still write the report`;
      const log = await lastLines(api, pod).catch(() => undefined);
      await find(`delete pod ${name}`, () => api.core.deleteNamespacedPod({ name, namespace }));
      return `took over from ${name} (${describeEnd(pod, log)})${log ? `; its last lines were:\n${log.trimEnd()}` : ""}`;
    }),
  );
}

function describeEnd(pod: V1Pod, log: string | undefined): string {
  const circumstances = { warnings: [], jobWarnings: [], log, now: new Date() };
  return findPodProblem(pod, circumstances)?.reason ?? "completed";
}
