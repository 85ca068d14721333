/** Pure: makes one Indexed Job of the pod template that Helm rendered, the worker's spec and the Job that owns it. */
import { loadYaml, type V1Job, type V1PodTemplate, type V1PodTemplateSpec } from "@kubernetes/client-node";
import type { WorkerSpec } from "../../../worker/contract.ts";
import { ConfigError } from "../../errors.ts";
import { EXTENSION_MS_MAX, SERVER_BACK_WITHIN_MS } from "../platform.ts";
import { REPORT_LABEL, RUN_LABEL, STRATEGY_LABEL } from "./settings.ts";

/** The limit of Kubernetes for the name of a pod and for its host name, which is the Job's name and `-<index>`. */
const NAME_LENGTH_MAX = 63;
/** Begins the name of a container with the program of a user's own lock; the name of the lock follows. */
const SIDECAR = "lock-";
/** Added to the lifetime of a fleet for slow machines, and for what may make a run longer than planned. */
const SLACK_MS = 60_000 + SERVER_BACK_WITHIN_MS + EXTENSION_MS_MAX;

export interface WorkerJobSettings {
  readonly namespace: string;
  readonly release: string;
  readonly annotations: Readonly<Record<string, string>>;
  /** The coordinator's Job, which owns the worker Jobs. */
  readonly ownerName: string;
  readonly ownerUid: string;
  /** How long the fleet may take to become ready. */
  readonly startDeadlineMs: number;
}

export function workerJob(template: V1PodTemplateSpec, spec: WorkerSpec, settings: WorkerJobSettings): V1Job {
  const ours = {
    "app.kubernetes.io/instance": settings.release,
    "app.kubernetes.io/component": "worker",
    "app.kubernetes.io/managed-by": "holdfast-coordinator",
    [REPORT_LABEL]: toLabelValue(spec.report),
    [RUN_LABEL]: toLabelValue(spec.run),
    [STRATEGY_LABEL]: spec.ownLock?.name ?? spec.strategy,
  };
  const labels = {
    "app.kubernetes.io/name": "holdfast",
    "app.kubernetes.io/part-of": "holdfast",
    ...template.metadata?.labels,
  };
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: {
      name: workerJobName(settings.release, spec.run, spec.workers),
      namespace: settings.namespace,
      labels: { ...labels, ...ours },
      annotations: { ...settings.annotations },
      ownerReferences: [
        {
          apiVersion: "batch/v1",
          kind: "Job",
          name: settings.ownerName,
          uid: settings.ownerUid,
          controller: true,
          // `true` needs the right to update finalizers on clusters with OwnerReferencesPermissionEnforcement.
          blockOwnerDeletion: false,
        },
      ],
    },
    spec: {
      completionMode: "Indexed",
      completions: spec.workers,
      parallelism: spec.workers,
      // Per index, because with a plain backoffLimit of 0 the first dead worker ends the whole fleet and its evidence.
      // 0, because a replacement would write into a run that was planned without it.
      backoffLimitPerIndex: 0,
      podReplacementPolicy: "Failed",
      activeDeadlineSeconds: Math.ceil(lifetimeMs(spec, settings.startDeadlineMs) / 1000),
      ttlSecondsAfterFinished: 600,
      template: {
        metadata: { ...template.metadata, labels: { ...labels, ...ours } },
        spec: { ...withSpec(template, spec), restartPolicy: "Never" },
      },
    },
  };
}

/** Parses the file that Helm rendered. Throws ConfigError, which names `path`. */
export function parseWorkerTemplate(text: string, path: string): V1PodTemplateSpec {
  // loadYaml knows whole objects only. Without it, fields such as `exec` would be lost on the way to the API server.
  const object = `apiVersion: v1\nkind: PodTemplate\ntemplate:\n${text.replace(/^---\s*$/m, "").replace(/^/gm, "  ")}`;
  let template: V1PodTemplateSpec | undefined;
  try {
    template = loadYaml<V1PodTemplate>(object).template;
  } catch (cause) {
    throw new ConfigError(`worker template ${path} is not YAML: ${(cause as Error).message.split("\n")[0]}`);
  }
  const first = template?.spec?.containers?.[0]?.name;
  if (first !== "worker") {
    const found = first === undefined ? "no container" : `\`${first}\``;
    throw new ConfigError(`worker template ${path}: the first container must be called \`worker\`, found ${found}`);
  }
  return template!;
}

/** Returns `<release>-<run>`. A name that is too long loses the end of the release, never the run, which makes it unique. */
export function workerJobName(release: string, run: string, workers: number): string {
  const suffix = `-${toDnsLabel(run)}`;
  const room = NAME_LENGTH_MAX - `-${workers - 1}`.length;
  const name = `${toDnsLabel(release).slice(0, Math.max(0, room - suffix.length))}${suffix}`.slice(-room);
  return name.replace(/^-+|-+$/g, "");
}

export const toLabelValue = (text: string) =>
  text
    .replace(/[^A-Za-z0-9_.-]/g, "-")
    .slice(0, NAME_LENGTH_MAX)
    .replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, "");

const toDnsLabel = (text: string) => text.toLowerCase().replace(/[^a-z0-9-]/g, "-");

function withSpec(template: V1PodTemplateSpec, spec: WorkerSpec): NonNullable<V1PodTemplateSpec["spec"]> {
  const [worker, ...others] = template.spec!.containers;
  const env = (worker!.env ?? []).filter((variable) => variable.name !== "HOLDFAST_SPEC");
  env.push({ name: "HOLDFAST_SPEC", value: JSON.stringify(spec) });
  const { initContainers = [], ...rest } = template.spec!;
  // The template has the sidecars of all locks, and a run needs only that of its own.
  const kept = initContainers.filter(({ name }) => !name.startsWith(SIDECAR) || name === SIDECAR + spec.ownLock?.name);
  const before = kept.length === 0 ? {} : { initContainers: kept };
  return { ...rest, ...before, containers: [{ ...worker!, env }, ...others] };
}

/** After this time Kubernetes ends the fleet, even when the coordinator is gone. */
function lifetimeMs(spec: WorkerSpec, startDeadlineMs: number): number {
  // One operation in flight: its wait, its critical section, and its few statements.
  const drainMs = spec.lockTimeoutMs + spec.holdMs + 4 * spec.statementTimeoutMs;
  return startDeadlineMs + spec.durationMs + drainMs + spec.lingerMs + SLACK_MS;
}
