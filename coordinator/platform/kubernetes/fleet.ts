import type { CoreV1Event, V1Job, V1Pod } from "@kubernetes/client-node";
import { workerIndexes } from "../../plan/run-plan.ts";
import type { Fleet, WorkerProblem } from "../launcher.ts";
import { ask, find, type KubernetesApi } from "./api.ts";
import { deleteJob, lastLines, listPods, podIsFinished, podIsTerminating, waitUntilPodsStopped } from "./jobs.ts";
import {
  completionIndexOf,
  explainDeletedPod,
  explainMissingPod,
  findPodProblem,
  firstContainerState,
  type PodProblem,
} from "./pod-problems.ts";
import type { Cleanup } from "./settings.ts";

export interface FleetOptions {
  readonly api: KubernetesApi;
  /** As the API server returned it. */
  readonly job: V1Job;
  readonly cleanup: Cleanup;
  readonly healPatienceMs: number;
  readonly disposeDeadlineMs: number;
  readonly warn: (line: string) => void;
}

/** A pod as it was last listed. */
interface SeenPod {
  pod: V1Pod;
  /** It is no longer listed. */
  gone: boolean;
  log?: string;
  logFailed?: true;
  /** Start of the current problem that may heal soon, milliseconds since 1970. */
  stuckSinceMs?: number;
  /** The problem that the last look found. */
  problem?: WorkerProblem | undefined;
}

/**
 * The pods of one worker Job, watched by listing them. A look costs at most two lists and the logs of the workers that have
 * ended. Every pod that was seen is remembered, because the API server knows nothing of a deleted pod.
 */
export function createFleet(options: FleetOptions): Fleet {
  const { api, cleanup, job, warn } = options;
  const name = job.metadata!.name!;
  const namespace = job.metadata!.namespace!;
  const selector = `batch.kubernetes.io/controller-uid=${job.metadata!.uid}`;
  const workers = job.spec!.completions!;
  const createdAtMs = performance.now();
  const seenPods = new Map<string, SeenPod>();
  let problems: readonly WorkerProblem[] = [];
  let unanswered = false;

  async function look(): Promise<readonly WorkerProblem[]> {
    const pods = await listPods(api, namespace, selector, 0);
    for (const seen of seenPods.values()) seen.gone = true;
    for (const pod of pods) seenPods.set(pod.metadata!.uid!, { ...seenPods.get(pod.metadata!.uid!), pod, gone: false });
    const all = [...seenPods.values()];
    const byIndex = Map.groupBy(all, ({ pod }) => completionIndexOf(pod));
    const warnings = byIndex.size === workers && all.every(isHealthy) ? [] : await listWarnings(api, namespace);
    await Promise.all(all.map((seen) => fetchLog(api, seen)));
    const jobWarnings = eventsAbout(warnings, job.metadata!.uid);
    for (const seen of all) updateProblem(seen, warnings, jobWarnings);
    return workerIndexes({ workers }).flatMap((index) => {
      const ofIndex = byIndex.get(index) ?? [];
      if (ofIndex.length === 0) {
        const missing = explainMissingPod(jobWarnings, performance.now() - createdAtMs);
        return missing === undefined ? [] : [toWorkerProblem(index, missing)];
      }
      const duplicate = ofIndex.length > 1 ? [duplicateProblem(index, ofIndex)] : [];
      return [...ofIndex.flatMap(({ problem }) => problem ?? []), ...duplicate];
    });
  }

  function updateProblem(seen: SeenPod, warnings: readonly CoreV1Event[], jobWarnings: readonly CoreV1Event[]): void {
    const { pod, gone, log } = seen;
    // For a pod that is gone, the fatal problem that it had before says more than that it is gone.
    if (gone && (seen.problem?.fatal || pod.status?.phase === "Succeeded")) return;
    const now = new Date();
    const circumstances = { warnings: eventsAbout(warnings, pod.metadata?.uid), jobWarnings, log, now };
    const problem = gone ? explainDeletedPod(pod, jobWarnings) : findPodProblem(pod, circumstances);
    if (problem?.heals === "soon") seen.stuckSinceMs ??= now.getTime();
    else delete seen.stuckSinceMs;
    const stuckMs = now.getTime() - (seen.stuckSinceMs ?? now.getTime());
    const isPatient = problem?.heals === "soon" && stuckMs < options.healPatienceMs;
    seen.problem = problem && {
      ...toWorkerProblem(completionIndexOf(pod), problem, isPatient),
      uid: pod.metadata!.uid!,
      log: log || undefined,
    };
  }

  /** Deletes the running pods one by one and keeps the Job, so that ended pods stay with their logs. */
  async function stopPods(): Promise<void> {
    const pods = await listPods(api, namespace, selector);
    const running = pods.filter((pod) => !podIsFinished(pod) && !podIsTerminating(pod));
    await Promise.all(
      running.map(({ metadata }) =>
        find(`delete pod ${metadata!.name}`, () => api.core.deleteNamespacedPod({ name: metadata!.name!, namespace })),
      ),
    );
  }

  return {
    async problems() {
      try {
        problems = await look();
        unanswered = false;
      } catch (error) {
        // The workers report their own state by heartbeats; an unreachable API server says nothing about them.
        if (!unanswered) warn(`${(error as Error).message}; the states of the worker pods are as last seen`);
        unanswered = true;
      }
      return problems;
    },

    async [Symbol.asyncDispose]() {
      try {
        await this.problems();
        // An index that never had a pod may still get one, for example when a quota becomes free. Delete such a Job.
        const pods = Array.from(seenPods.values(), ({ pod }) => pod);
        const isComplete = new Set(pods.map(completionIndexOf)).size === workers;
        const hasFailedPod = pods.some((pod) => pod.status?.phase === "Failed" && !podIsTerminating(pod));
        if (isComplete && (cleanup === "never" || (cleanup === "onSuccess" && hasFailedPod))) await stopPods();
        else await deleteJob(api, namespace, name);
        await waitUntilPodsStopped(api, namespace, selector, options.disposeDeadlineMs);
      } catch (error) {
        warn(`Job ${name} is not stopped: ${(error as Error).message}`);
      }
    },
  };
}

function toWorkerProblem(index: number, { reason, heals }: PodProblem, isPatient = false): WorkerProblem {
  return { index, reason, fatal: heals === "never" || (heals === "soon" && !isPatient) };
}

/**
 * Two pods with one index, which is rare and documented for Indexed Jobs. The index then does not identify the writer, and
 * more workers have written than the plan counts.
 */
function duplicateProblem(index: number, seen: readonly SeenPod[]): WorkerProblem {
  const pods = seen.map(({ pod }) => `${pod.metadata?.name} (${pod.metadata?.uid})`);
  return { index, reason: `DuplicatedIndex: ${seen.length} pods had it: ${pods.join(", ")}`, fatal: true };
}

const isHealthy = ({ pod, gone }: SeenPod) =>
  pod.status?.phase === "Succeeded" ||
  (pod.status?.phase === "Running" &&
    !gone &&
    findPodProblem(pod, { warnings: [], jobWarnings: [], now: new Date() }) === undefined);

const eventsAbout = (events: readonly CoreV1Event[], uid: string | undefined) =>
  events.filter((event) => event.involvedObject.uid === uid);

async function listWarnings(api: KubernetesApi, namespace: string): Promise<readonly CoreV1Event[]> {
  const list = () => api.core.listNamespacedEvent({ namespace, fieldSelector: "type=Warning" });
  return (await ask("list events", list, 0)).items;
}

/** Fetches the log of a failed worker once, and the log of a terminating worker in each look while it exists. */
async function fetchLog(api: KubernetesApi, seen: SeenPod): Promise<void> {
  const isTerminating = podIsTerminating(seen.pod);
  const hasFailed = (firstContainerState(seen.pod)?.terminated?.exitCode ?? 0) !== 0 && seen.log === undefined;
  if (seen.gone || seen.logFailed || !(isTerminating || hasFailed)) return;
  try {
    const log = await lastLines(api, seen.pod);
    if (log !== undefined) seen.log = log;
  } catch {
    // The container never ran, or its node is lost; the worker's reason says so already.
    seen.logFailed = true;
  }
}
