/** What the coordinator knows about the cluster that it runs in. Only config.ts reads the environment itself. */
import * as z from "zod";
import { secretVariables } from "../../../worker/servers/secrets.ts";
import { readVariables } from "../../plan/options.ts";

/** What `reset` and `verdict` need to find the coordinator's Job and its report. */
export const KubernetesTarget = z.object({
  HOLDFAST_NAMESPACE: z.string().min(1),
  HOLDFAST_JOB_NAME: z.string().min(1).default("coordinator"),
  /** Name of the Helm release, which is the label `app.kubernetes.io/instance` of everything it owns. */
  HOLDFAST_RELEASE: z.string().min(1),
  /** A ConfigMap that the chart creates empty and that only the coordinator fills. */
  HOLDFAST_REPORT_CONFIGMAP: z.string().min(1),
});
export type KubernetesTarget = z.infer<typeof KubernetesTarget>;

/** When the worker Job of a finished run is deleted. `onSuccess` keeps a Job with a failed pod until its TTL. */
export const CLEANUPS = ["always", "onSuccess", "never"] as const;
export type Cleanup = (typeof CLEANUPS)[number];

export const KubernetesSettings = KubernetesTarget.extend({
  HOLDFAST_POD_NAME: z.string().min(1),
  /** UID of the coordinator's Job. It stays the same when the pod is replaced, and changes when the Job is created anew. */
  HOLDFAST_JOB_UID: z.string().min(8),
  /** Path of a YAML file with a PodTemplateSpec whose first container is called `worker`. */
  HOLDFAST_WORKER_TEMPLATE: z.string().min(1),
  HOLDFAST_COORDINATOR_URL: z.url(),
  HOLDFAST_CLEANUP: z.enum(CLEANUPS).default("onSuccess"),
  /** Annotations of the Job of each fleet, a JSON object. */
  HOLDFAST_WORKER_JOB_ANNOTATIONS: z
    .string()
    .default("{}")
    .transform((text, { addIssue }) => {
      try {
        return JSON.parse(text) as unknown;
      } catch {
        addIssue("write a JSON object");
        return z.NEVER;
      }
    })
    .pipe(z.record(z.string(), z.string())),
  /**
   * How many reports of scheduled runs are kept. Only the Jobs of the CronJob have it: each keeps its report in a ConfigMap
   * of its own.
   */
  HOLDFAST_HISTORY_LIMIT: z.coerce.number().int().min(1).optional(),
  /** Where the histories of reports are written, each in a folder of its own; left out if they are not. */
  HOLDFAST_HISTORY_FOLDER: z.string().startsWith("/").optional(),
  /** The servers of the release of which faults may be made, separated by commas; left out if of none. */
  HOLDFAST_SERVER_FAULTS: z
    .string()
    .transform((text) => text.split(","))
    .pipe(z.array(z.enum(["mysql", "redis"])))
    .optional(),
  /** The URLs of the replicas beside the Redis servers of the release, in the order of the servers; left out without them. */
  HOLDFAST_REDIS_REPLICA_URLS: z
    .string()
    .transform((text) => text.split(","))
    .pipe(z.array(z.url()))
    .optional(),
  /** The passwords of the users of helm/files/faults-mysql.sh and faults.acl, which only the coordinator has. */
  ...secretVariables("MYSQL_PASSWORD_FAULTS"),
  ...secretVariables("REDIS_PASSWORD_FAULTS"),
  /** The file from which the kubelet takes the termination message that `kubectl describe pod` shows. */
  HOLDFAST_TERMINATION_LOG: z.string().default("/dev/termination-log"),
});
export type KubernetesSettings = z.infer<typeof KubernetesSettings>;

/** Throws ConfigError with the names of the variables that are missing or wrong. An empty variable counts as not set. */
export function readKubernetesSettings<T>(schema: z.ZodType<T>, variables: NodeJS.ProcessEnv): T {
  return readVariables(schema, variables, "the environment of the pod", "the chart sets these variables");
}

/** Returns the id of the report, which lives as long as the Job: a replacement pod continues the same report. */
export const reportIdOf = (jobUid: string) => jobUid.slice(0, 8);

export const RUN_LABEL = "holdfast.dev/run";
export const STRATEGY_LABEL = "holdfast.dev/strategy";
/** On the pods of workers, and on the ConfigMap of a finished report. */
export const REPORT_LABEL = "holdfast.dev/report";
/** On the ConfigMap of a finished report: the name of its exit status, such as `expected`. */
export const VERDICT_LABEL = "holdfast.dev/verdict";

/** Returns the label selector of the worker Jobs and pods of a release, of every run. */
export const workerSelector = (target: KubernetesTarget) => `${componentSelector(target, "worker")},${RUN_LABEL}`;

/** Returns the label selector of a part of a release, such as `coordinator`. */
export const componentSelector = (target: KubernetesTarget, component: string) =>
  `app.kubernetes.io/instance=${target.HOLDFAST_RELEASE},app.kubernetes.io/component=${component}`;
