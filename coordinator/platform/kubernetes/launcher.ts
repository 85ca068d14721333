import { readFileSync } from "node:fs";
import type { V1Job } from "@kubernetes/client-node";
import type { Launcher } from "../launcher.ts";
import { ask, find, type KubernetesApi, KubernetesError } from "./api.ts";
import { createFleet } from "./fleet.ts";
import { isOwnedBy } from "./jobs.ts";
import type { KubernetesSettings } from "./settings.ts";
import { parseWorkerTemplate, workerJob } from "./worker-job.ts";

export interface KubernetesLauncherOptions {
  readonly api: KubernetesApi;
  readonly settings: KubernetesSettings;
  /** How long a fleet may take to become ready. A part of the deadline after which Kubernetes itself ends the Job. */
  readonly startDeadlineMs: number;
  /** How long to wait for an image that cannot be pulled or for a missing Secret before the worker counts as lost. */
  readonly healPatienceMs?: number;
  /** How long to wait for the end of a fleet. After that the next run begins while the rest of the pods end. */
  readonly disposeDeadlineMs?: number;
  /** Called with one line for a failure that does not affect the run. */
  readonly warn?: (line: string) => void;
}

/**
 * Starts each fleet as one Indexed Job, owned by the coordinator's Job.
 * Throws ConfigError when the worker template cannot be read.
 */
export function createKubernetesLauncher(options: KubernetesLauncherOptions): Launcher {
  const { api, settings } = options;
  const template = parseWorkerTemplate(
    readFileSync(settings.HOLDFAST_WORKER_TEMPLATE, "utf8"),
    settings.HOLDFAST_WORKER_TEMPLATE,
  );
  return {
    where: `Kubernetes namespace ${settings.HOLDFAST_NAMESPACE}`,
    coordinatorUrl: settings.HOLDFAST_COORDINATOR_URL,
    // Nodes on which many pods start at once stall for longer than networks do. A Job that is left behind has a deadline.
    coordinatorLostMs: 60_000,
    targets: () => [],
    async launch(spec) {
      const job = workerJob(template, spec, {
        namespace: settings.HOLDFAST_NAMESPACE,
        release: settings.HOLDFAST_RELEASE,
        annotations: settings.HOLDFAST_WORKER_JOB_ANNOTATIONS,
        ownerName: settings.HOLDFAST_JOB_NAME,
        ownerUid: settings.HOLDFAST_JOB_UID,
        startDeadlineMs: options.startDeadlineMs,
      });
      return createFleet({
        api,
        job: await createOrAdopt(api, job, settings),
        cleanup: settings.HOLDFAST_CLEANUP,
        healPatienceMs: options.healPatienceMs ?? 20_000,
        disposeDeadlineMs: options.disposeDeadlineMs ?? 5_000,
        warn: options.warn ?? (() => {}),
      });
    },
  };
}

/** Adopts a Job that already exists if this coordinator owns it: the answer to its creation was lost. Refuses all others. */
async function createOrAdopt(api: KubernetesApi, job: V1Job, settings: KubernetesSettings): Promise<V1Job> {
  const namespace = settings.HOLDFAST_NAMESPACE;
  const name = job.metadata!.name!;
  try {
    return await ask(`create Job ${name}`, () => api.batch.createNamespacedJob({ namespace, body: job }));
  } catch (error) {
    if (!(error instanceof KubernetesError) || error.status !== 409) throw error;
    const existing = await find(`read Job ${name}`, () => api.batch.readNamespacedJob({ name, namespace }));
    const ours = existing !== undefined && isOwnedBy(existing, settings.HOLDFAST_JOB_UID);
    if (!ours || existing.metadata?.deletionTimestamp !== undefined) {
      throw new KubernetesError(
        `Job ${name} exists already and does not belong to this run`,
        `kubectl delete job ${name}`,
        {
          status: 409,
          cause: error,
        },
      );
    }
    return existing;
  }
}
