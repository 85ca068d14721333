/** The reports of scheduled runs: each has a ConfigMap of its own, and the last ones are kept. */
import type { V1ConfigMap } from "@kubernetes/client-node";
import { ask, find, type KubernetesApi, KubernetesError } from "./api.ts";
import {
  componentSelector,
  type KubernetesSettings,
  type KubernetesTarget,
  reportIdOf,
  VERDICT_LABEL,
} from "./settings.ts";

/** The label `app.kubernetes.io/component` of these ConfigMaps. */
const COMPONENT = "scheduled-report";

/**
 * Creates the ConfigMap of this Job's report, unless an earlier pod of the Job has. It belongs to the CronJob, so it
 * outlives the Job and is removed with the release. Returns the settings with its name.
 */
export async function createScheduledReport<T extends KubernetesSettings>(api: KubernetesApi, settings: T): Promise<T> {
  const { HOLDFAST_NAMESPACE: namespace, HOLDFAST_JOB_NAME: jobName, HOLDFAST_JOB_UID: uid } = settings;
  const job = await ask(`read Job ${jobName}`, () => api.batch.readNamespacedJob({ name: jobName, namespace }));
  const name = `${settings.HOLDFAST_REPORT_CONFIGMAP}-${reportIdOf(uid)}`;
  const cronJob = job.metadata?.ownerReferences?.find(({ controller }) => controller);
  const owner = cronJob ?? { apiVersion: "batch/v1", kind: "Job", name: jobName, uid };
  const body: V1ConfigMap = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: {
      name,
      namespace,
      labels: {
        ...job.metadata?.labels,
        "app.kubernetes.io/instance": settings.HOLDFAST_RELEASE,
        "app.kubernetes.io/component": COMPONENT,
        "app.kubernetes.io/managed-by": "holdfast-coordinator",
      },
      // `true` needs the right to update finalizers on clusters with OwnerReferencesPermissionEnforcement.
      ownerReferences: [{ ...owner, controller: false, blockOwnerDeletion: false }],
    },
  };
  try {
    await ask(`create ConfigMap ${name}`, () => api.core.createNamespacedConfigMap({ namespace, body }));
  } catch (error) {
    if (!(error instanceof KubernetesError && error.status === 409)) throw error;
  }
  return { ...settings, HOLDFAST_REPORT_CONFIGMAP: name };
}

/**
 * Deletes all but the last `limit` reports of scheduled runs, of which that of `current` is one. A ConfigMap without a
 * verdict is of a run that never made a report: it is deleted as well, since no other coordinator is running.
 */
export async function pruneScheduledReports(
  api: KubernetesApi,
  target: KubernetesTarget,
  current: string,
  limit: number,
): Promise<void> {
  const namespace = target.HOLDFAST_NAMESPACE;
  const labelSelector = componentSelector(target, COMPONENT);
  const maps = await ask("list ConfigMaps", () => api.core.listNamespacedConfigMap({ namespace, labelSelector }));
  const others = maps.items.map(({ metadata }) => metadata!).filter(({ name }) => name !== current);
  const [reports, unfinished] = [true, false].map((finished) =>
    others.filter(({ labels }) => (labels?.[VERDICT_LABEL] !== undefined) === finished),
  ) as [typeof others, typeof others];
  const newestFirst = reports.sort(
    (a, b) => (b.creationTimestamp?.getTime() ?? 0) - (a.creationTimestamp?.getTime() ?? 0),
  );
  for (const { name } of [...unfinished, ...newestFirst.slice(limit - 1)])
    await find(`delete ConfigMap ${name}`, () => api.core.deleteNamespacedConfigMap({ name: name!, namespace }));
}
