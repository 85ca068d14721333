import type { CoreV1Event, V1Job, V1Pod } from "@kubernetes/client-node";
import type { Fleet, WorkerProblem } from "../launcher.ts";
import { ask, find, type KubernetesApi } from "./api.ts";
import { deleteJob, lastLines, listPods, podIsFinished, podIsTerminating, waitUntilPodsStopped } from "./jobs.ts";
import {
  explainDeletedPod,
  explainMissingPod,
  findPodProblem,
  indexOf,
  mainState,
  type PodProblem,
} from "./pod-problems.ts";
import type { Cleanup } from "./settings.ts";

export interface FleetOptions {
  readonly api: KubernetesApi;
  /** As the API server answered it. */
  readonly job: V1Job;
  readonly cleanup: Cleanup;
  readonly healPatienceMs: number;
  readonly disposeDeadlineMs: number;
  readonly warn: (line: string) => void;
}

/** One pod as far as it was seen; it may be gone by now. */
interface Sighting {
  pod: V1Pod;
  gone: boolean;
  log?: string;
  logFailed?: true;
  /** Since when it has been in a state that heals soon or not at all. */
  stuckSinceMs?: number;
  /** What was wrong with it when it was last looked at. */
  problem?: WorkerProblem | undefined;
}

/**
 * The pods of one worker Job, watched by listing them; no more than two lists and the logs of ended workers at a time.
 * What was seen is remembered: a pod that is gone tells nothing any more.
 */
export function createFleet(options: FleetOptions): Fleet {
  const { api, cleanup, job, warn } = options;
  const name = job.metadata!.name!;
  const namespace = job.metadata!.namespace!;
  const selector = `batch.kubernetes.io/controller-uid=${job.metadata!.uid}`;
  const workers = job.spec!.completions!;
  const createdAtMs = performance.now();
  const sightings = new Map<string, Sighting>();
  let problems: readonly WorkerProblem[] = [];
  let unanswered = false;

  async function look(): Promise<readonly WorkerProblem[]> {
    const pods = await listPods(api, namespace, selector, 0);
    for (const sighting of sightings.values()) sighting.gone = true;
    for (const pod of pods)
      sightings.set(pod.metadata!.uid!, { ...sightings.get(pod.metadata!.uid!), pod, gone: false });
    const all = [...sightings.values()];
    const byIndex = Map.groupBy(all, (sighting) => indexOf(sighting.pod));
    const warnings = byIndex.size === workers && all.every(isWell) ? [] : await listWarnings(api, namespace);
    await Promise.all(all.map((sighting) => fetchLog(api, sighting)));
    const jobWarnings = about(warnings, job.metadata!.uid);
    return Array.from({ length: workers }, (_, index) => {
      const seen = byIndex.get(index) ?? [];
      if (seen.length === 0) {
        const missing = explainMissingPod(jobWarnings, performance.now() - createdAtMs);
        return missing === undefined ? [] : [problemOf(index, missing)];
      }
      for (const sighting of seen) judge(sighting, warnings, jobWarnings);
      const duplicate = seen.length > 1 ? [duplicated(index, seen)] : [];
      return [...seen.flatMap((sighting) => sighting.problem ?? []), ...duplicate];
    }).flat();
  }

  function judge(sighting: Sighting, warnings: readonly CoreV1Event[], jobWarnings: readonly CoreV1Event[]): void {
    const { pod, gone, log } = sighting;
    // Of a pod that went away, the reason seen before says more than that it is gone.
    if (gone && (sighting.problem?.fatal || pod.status?.phase === "Succeeded")) return;
    const now = new Date();
    const circumstances = { warnings: about(warnings, pod.metadata?.uid), jobWarnings, log, now };
    const finding = gone ? explainDeletedPod(pod, jobWarnings) : findPodProblem(pod, circumstances);
    if (finding?.heals === "soon") sighting.stuckSinceMs ??= now.getTime();
    else delete sighting.stuckSinceMs;
    const stuckMs = now.getTime() - (sighting.stuckSinceMs ?? now.getTime());
    const patient = finding?.heals === "soon" && stuckMs < options.healPatienceMs;
    sighting.problem = finding && {
      ...problemOf(indexOf(pod), finding, patient),
      uid: pod.metadata!.uid!,
      log: log || undefined,
    };
  }

  /** Pods are stopped one by one where the Job is kept; those that ended stay, with their logs. */
  async function stopPods(): Promise<void> {
    const running = (await listPods(api, namespace, selector)).filter(
      (pod) => !podIsFinished(pod) && !podIsTerminating(pod),
    );
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
        // The workers answer for themselves by heartbeats; that the API server is away says nothing about them.
        if (!unanswered) warn(`${(error as Error).message}; the states of the workers are as last seen`);
        unanswered = true;
      }
      return problems;
    },

    async [Symbol.asyncDispose]() {
      try {
        await this.problems();
        // An index that never had a pod would get one later, when a quota becomes free, say: such a Job must not stay.
        const pods = Array.from(sightings.values(), ({ pod }) => pod);
        const complete = new Set(pods.map(indexOf)).size === workers;
        const worthALook = pods.some((pod) => pod.status?.phase === "Failed" && !podIsTerminating(pod));
        if (complete && (cleanup === "never" || (cleanup === "onSuccess" && worthALook))) await stopPods();
        else await deleteJob(api, namespace, name);
        await waitUntilPodsStopped(api, namespace, selector, options.disposeDeadlineMs);
      } catch (error) {
        warn(`Job ${name} is not stopped: ${(error as Error).message}`);
      }
    },
  };
}

function problemOf(index: number, { reason, heals }: PodProblem, patient = false): WorkerProblem {
  return { index, reason, fatal: heals === "never" || (heals === "soon" && !patient) };
}

/** Rare, and documented for Indexed Jobs: the index is not enough to tell who wrote, and the plan counted one worker less. */
function duplicated(index: number, seen: readonly Sighting[]): WorkerProblem {
  const pods = seen.map(({ pod }) => `${pod.metadata?.name} (${pod.metadata?.uid})`);
  return { index, reason: `DuplicatedIndex: ${seen.length} pods had it: ${pods.join(", ")}`, fatal: true };
}

const isWell = ({ pod, gone }: Sighting) =>
  pod.status?.phase === "Succeeded" ||
  (pod.status?.phase === "Running" &&
    !gone &&
    findPodProblem(pod, { warnings: [], jobWarnings: [], now: new Date() }) === undefined);

const about = (events: readonly CoreV1Event[], uid: string | undefined) =>
  events.filter((event) => event.involvedObject.uid === uid);

async function listWarnings(api: KubernetesApi, namespace: string): Promise<readonly CoreV1Event[]> {
  const list = () => api.core.listNamespacedEvent({ namespace, fieldSelector: "type=Warning" });
  return (await ask("list events", list, 0)).items;
}

/** The log of a worker that ended badly is fetched once, that of one that is being deleted as long as it is there. */
async function fetchLog(api: KubernetesApi, sighting: Sighting): Promise<void> {
  const going = podIsTerminating(sighting.pod);
  const failed = (mainState(sighting.pod)?.terminated?.exitCode ?? 0) !== 0 && sighting.log === undefined;
  if (sighting.gone || sighting.logFailed || !(going || failed)) return;
  try {
    const log = await lastLines(api, sighting.pod);
    if (log !== undefined) sighting.log = log;
  } catch {
    // The container never ran, or its node is lost: the reason tells that already.
    sighting.logFailed = true;
  }
}
