/** What the coordinator is told about the cluster it runs in. config.ts reads it; everything here takes it as an argument. */
import * as z from "zod";
import { ConfigError } from "../../config.ts";

/** Enough to find the coordinator's Job and its report: what `reset` and `verdict` need. */
export const KubernetesTarget = z.object({
  HOLDFAST_NAMESPACE: z.string().min(1),
  HOLDFAST_JOB_NAME: z.string().min(1).default("coordinator"),
  /** Helm's release name, the label `app.kubernetes.io/instance` of everything it owns. */
  HOLDFAST_RELEASE: z.string().min(1),
  /** A ConfigMap that the chart creates empty and only the coordinator fills. */
  HOLDFAST_REPORT_CONFIGMAP: z.string().min(1),
});
export type KubernetesTarget = z.infer<typeof KubernetesTarget>;

/** When a finished run's worker Job is deleted; `onSuccess` keeps one whose pods are worth a look until its TTL. */
export const CLEANUPS = ["always", "onSuccess", "never"] as const;
export type Cleanup = (typeof CLEANUPS)[number];

export const KubernetesSettings = KubernetesTarget.extend({
  HOLDFAST_POD_NAME: z.string().min(1),
  /** UID of the coordinator's Job: the same after its pod was replaced, another once the Job was made anew. */
  HOLDFAST_JOB_UID: z.string().min(8),
  /** Path of a YAML file with a PodTemplateSpec whose first container is called `worker`. */
  HOLDFAST_WORKER_TEMPLATE: z.string().min(1),
  HOLDFAST_COORDINATOR_URL: z.url(),
  HOLDFAST_CLEANUP: z.enum(CLEANUPS).default("onSuccess"),
  /** Where the kubelet looks for a container's last words; `describe pod` shows them. */
  HOLDFAST_TERMINATION_LOG: z.string().default("/dev/termination-log"),
});
export type KubernetesSettings = z.infer<typeof KubernetesSettings>;

/** Throws ConfigError with the names of what is missing or wrong. An empty variable counts as not set. */
export function readKubernetesSettings<Schema extends z.ZodObject>(
  schema: Schema,
  variables: Readonly<Record<string, string | undefined>>,
): z.output<Schema> {
  const given = Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== ""));
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  const wrong = result.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ");
  throw new ConfigError(`the environment of the pod is not as the chart sets it: ${wrong}`);
}

/** The report's id lives as long as the Job: a replaced pod goes on with the report of its predecessor. */
export const reportIdOf = (jobUid: string) => jobUid.slice(0, 8);

export const RUN_LABEL = "holdfast.dev/run";
export const STRATEGY_LABEL = "holdfast.dev/strategy";
export const REPORT_LABEL = "holdfast.dev/report";

/** Selects the worker Jobs and pods of a release, of whatever run. */
export const workerSelector = (target: KubernetesTarget) =>
  `app.kubernetes.io/instance=${target.HOLDFAST_RELEASE},app.kubernetes.io/component=worker,${RUN_LABEL}`;
