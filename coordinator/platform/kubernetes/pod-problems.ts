/** Pure: derives from a pod's status and events why a worker is not running or did not complete. */
import type { CoreV1Event, V1ContainerState, V1ContainerStateTerminated, V1Pod } from "@kubernetes/client-node";

export interface PodProblem {
  readonly reason: string;
  /** `never`: the worker will not come back. `soon`: it may, within seconds. `maybe`: it may, at an unknown time. */
  readonly heals: "never" | "soon" | "maybe";
}

export interface Circumstances {
  /** Warning events about the pod. */
  readonly warnings: readonly CoreV1Event[];
  /** Warning events about its Job. */
  readonly jobWarnings: readonly CoreV1Event[];
  /** Last lines of the worker's log, if known. */
  readonly log?: string | undefined;
  readonly now: Date;
}

/** A pod that is still starting after this time has a problem, whatever the reason. */
const STARTING_MS = 10_000;
/** Characters. Enough for the full text of a refusal by Pod Security. */
const MESSAGE_LENGTH_MAX = 600;

/** Returns the problem of this pod, or `undefined` if it has none. */
export function findPodProblem(pod: V1Pod, circumstances: Circumstances): PodProblem | undefined {
  const { status } = pod;
  const ended = firstContainerState(pod)?.terminated;
  if (status?.reason === "NodeLost") return never(`NodeLost: ${status.message ?? `node ${pod.spec?.nodeName}`}`);
  if (isDeletedEarly(pod, ended)) return never(describeDeletion(pod, ended, circumstances));
  if (status?.phase === "Succeeded") return undefined;
  if (status?.phase === "Failed" || (ended !== undefined && ended.exitCode !== 0)) {
    return never(describeFailure(pod, ended, circumstances.log));
  }
  if (status?.phase === "Running") {
    return ended === undefined ? (findRunningProblem(pod) ?? findSidecarProblem(pod)) : undefined;
  }
  return findPendingProblem(pod, circumstances);
}

/** Returns why an index has no pod. A refused creation is reported only in the events of the Job. */
export function explainMissingPod(jobWarnings: readonly CoreV1Event[], waitedMs: number): PodProblem | undefined {
  const failed = findNewest(jobWarnings, ["FailedCreate"]);
  if (failed === undefined && waitedMs < STARTING_MS) return undefined;
  if (failed === undefined) return { reason: "no pod has been created for it yet", heals: "maybe" };
  // The name in the message belongs to one of many attempts, for another index.
  const text = shorten(failed.message ?? "").replace(/^Error creating: (pods "[^"]*" is )?/, "");
  // Pod Security refuses every attempt until the template is changed; a quota may become free.
  return { reason: `FailedCreate: ${text}`, heals: /violates PodSecurity/.test(text) ? "never" : "maybe" };
}

/** Returns why a pod that was seen before no longer exists. `last` is how it was last seen. */
export function explainDeletedPod(last: V1Pod, jobWarnings: readonly CoreV1Event[]): PodProblem {
  const where = last.spec?.nodeName === undefined ? "" : ` on ${last.spec.nodeName}`;
  const seen = `pod ${last.metadata?.name} was deleted (last seen ${last.status?.phase ?? "Pending"}${where})`;
  return never(describeDeadline(jobWarnings) ?? seen);
}

export const completionIndexOf = (pod: V1Pod) =>
  Number(
    pod.metadata?.labels?.["batch.kubernetes.io/job-completion-index"] ??
      pod.metadata?.annotations?.["batch.kubernetes.io/job-completion-index"],
  );

const never = (reason: string): PodProblem => ({ reason, heals: "never" });

/** The state of the first container, which is the worker or the coordinator. */
export function firstContainerState(pod: V1Pod): V1ContainerState | undefined {
  return pod.status?.containerStatuses?.find((container) => container.name === pod.spec?.containers[0]?.name)?.state;
}

// --- Ended ----------------------------------------------------------------------------------------------------------

/** Whether the pod was deleted before its worker ended. A worker may exit with 0 because its pod is being deleted. */
function isDeletedEarly({ metadata, spec }: V1Pod, ended: V1ContainerStateTerminated | undefined): boolean {
  if (metadata?.deletionTimestamp === undefined) return false;
  if (ended?.finishedAt === undefined) return true;
  // The timestamp is the end of the grace period. Once the containers of a deleted pod have ended, the kubelet deletes it
  // again without a grace period: then the first deletion may be as old as the grace period of the pod.
  const isDeletedAgain = metadata.deletionGracePeriodSeconds === 0 && ended.exitCode !== 0;
  const graceSeconds = isDeletedAgain
    ? (spec?.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS)
    : (metadata.deletionGracePeriodSeconds ?? 0);
  return ended.finishedAt.getTime() >= metadata.deletionTimestamp.getTime() - 1_000 * graceSeconds;
}

/** The default of Kubernetes. */
const DEFAULT_GRACE_SECONDS = 30;

function describeDeletion(
  pod: V1Pod,
  ended: V1ContainerStateTerminated | undefined,
  { jobWarnings, log }: Circumstances,
) {
  const why = describeDisruption(pod) ?? describeDeadline(jobWarnings) ?? `pod ${pod.metadata?.name} was deleted`;
  return ended === undefined ? why : `${why}, ${describeExit(ended, pod, log)}`;
}

function describeDeadline(jobWarnings: readonly CoreV1Event[]): string | undefined {
  const event = findNewest(jobWarnings, ["DeadlineExceeded"]);
  return event && `DeadlineExceeded: ${shorten(event.message ?? "")}`;
}

/** Eviction, preemption, a drained or lost node: the condition by which Kubernetes reports that it ended the pod itself. */
function describeDisruption(pod: V1Pod): string | undefined {
  const condition = pod.status?.conditions?.find(
    ({ type, status }) => type === "DisruptionTarget" && status === "True",
  );
  return condition && `${condition.reason}: ${shorten(condition.message ?? "")}`;
}

function describeFailure(pod: V1Pod, ended: V1ContainerStateTerminated | undefined, log: string | undefined): string {
  const { reason, message } = pod.status ?? {};
  // A reason of the kubelet or the node controller: Evicted, Terminated, UnexpectedAdmissionError, OutOfcpu...
  if (reason !== undefined) return `${reason}: ${shorten(message ?? "")}`;
  const disrupted = describeDisruption(pod);
  if (disrupted !== undefined) return disrupted;
  if (ended !== undefined) return describeExit(ended, pod, log);
  const init = pod.status?.initContainerStatuses?.find(
    (container) => (container.state?.terminated?.exitCode ?? 0) !== 0,
  );
  if (init?.state?.terminated === undefined) return "the pod failed, and its status has no reason";
  return `init container ${init.name} ${describeExit(init.state.terminated, pod, undefined, init.name)}`;
}

const SIGNALS: Readonly<Record<number, string>> = { 134: "SIGABRT", 137: "SIGKILL", 139: "SIGSEGV", 143: "SIGTERM" };

/** Without a name, of the first container. */
function describeExit(ended: V1ContainerStateTerminated, pod: V1Pod, log: string | undefined, name?: string): string {
  if (ended.reason === "OOMKilled") {
    const other = pod.spec?.initContainers?.find((container) => container.name === name);
    const limit = (other ?? pod.spec?.containers[0])?.resources?.limits?.memory;
    return `OOMKilled: it exceeded its memory limit${limit === undefined ? "" : ` of ${limit}`}`;
  }
  // StartError, ContainerCannotRun, ContainerStatusUnknown: the message is the runtime's, not the program's.
  const byRuntime = !["Error", "Completed", undefined].includes(ended.reason);
  if (byRuntime) return `${ended.reason}: ${shorten(ended.message ?? `exit code ${ended.exitCode}`)}`;
  const signal = SIGNALS[ended.exitCode];
  if (signal !== undefined) return `killed by ${signal}`;
  const message = shortenLastLine(ended.message) ?? shortenLastLine(log);
  return `exited with ${ended.exitCode}${message ? `: ${message}` : ""}`;
}

// --- Not running (yet) ----------------------------------------------------------------------------------------------

/** Reasons for which every further attempt fails like the first one. */
const PERMANENT_REASONS = ["ErrImageNeverPull", "InvalidImageName"];
const STARTING_REASONS = ["ContainerCreating", "PodInitializing"];

function findPendingProblem(pod: V1Pod, { warnings, now }: Circumstances): PodProblem | undefined {
  const scheduled = pod.status?.conditions?.find((condition) => condition.type === "PodScheduled");
  if (scheduled?.status === "False") {
    return { reason: `${scheduled.reason}: ${shorten(scheduled.message ?? "")}`, heals: "maybe" };
  }
  const containers = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  const stuck = containers
    .map(({ state }) => state?.waiting)
    .find((waiting) => !STARTING_REASONS.includes(waiting?.reason ?? STARTING_REASONS[0]!));
  if (stuck !== undefined) {
    const pulling = /^(ErrImage|ImagePull|InvalidImage)/.test(stuck.reason ?? "");
    const text = pulling ? pullMessage(stuck.message ?? "", warnings) : stuck.message;
    return {
      reason: `${stuck.reason}: ${shorten(text ?? "")}`,
      heals: PERMANENT_REASONS.includes(stuck.reason ?? "") ? "never" : "soon",
    };
  }
  const warning = findNewest(warnings, [
    "FailedMount",
    "FailedAttachVolume",
    "FailedCreatePodSandBox",
    "NetworkNotReady",
  ]);
  if (warning !== undefined) return { reason: `${warning.reason}: ${shorten(warning.message ?? "")}`, heals: "maybe" };
  const waitedMs = now.getTime() - (pod.metadata?.creationTimestamp ?? now).getTime();
  if (waitedMs < STARTING_MS) return undefined;
  const state = containers[0]?.state?.waiting?.reason ?? "Pending";
  return {
    reason: `${state} for ${Math.round(waitedMs / 1000)} s on ${pod.spec?.nodeName ?? "no node"}`,
    heals: "maybe",
  };
}

/** Returns the image and the cause of the failure, without the prefixes that each layer of programs adds. */
function pullMessage(message: string, warnings: readonly CoreV1Event[]): string {
  // Before 1.32 the state of an ImagePullBackOff does not contain the cause; the event does.
  const lacksCause = /^Back-off pulling image "[^"]*"$/.test(message);
  const full = (lacksCause && findNewest(warnings, ["Failed"], /pull image/)?.message) || message;
  const image = full.match(/image "([^"]+)"/)?.[1];
  const cause = full.replace(PULL_LAYERS, "");
  return image === undefined || cause.includes(image) ? cause : `${image}: ${cause}`;
}

const PULL_LAYERS =
  /(Back-off pulling image "[^"]*": |ErrImagePull: |rpc error: code = \w+ desc = |[Ff]ailed to pull( and unpack)? image "[^"]*": |failed to resolve reference "[^"]*": )/g;

function findRunningProblem(pod: V1Pod): PodProblem | undefined {
  const is = (type: string) => pod.status?.conditions?.find((condition) => condition.type === type)?.status;
  // For a node that does not answer, the node controller sets only `Ready` to False; a failed probe sets both.
  if (is("Ready") !== "False" || is("ContainersReady") !== "True") return undefined;
  return { reason: `NodeNotReady: node ${pod.spec?.nodeName} does not answer`, heals: "maybe" };
}

/** A sidecar that ends again and again: the worker waits for it. */
function findSidecarProblem(pod: V1Pod): PodProblem | undefined {
  const stuck = pod.status?.initContainerStatuses?.find(({ state }) => state?.waiting?.reason === "CrashLoopBackOff");
  const ended = stuck?.lastState?.terminated;
  if (stuck === undefined || ended === undefined) return undefined;
  return { reason: `sidecar ${stuck.name} ${describeExit(ended, pod, undefined, stuck.name)}`, heals: "soon" };
}

// --- Texts ----------------------------------------------------------------------------------------------------------

function findNewest(
  events: readonly CoreV1Event[],
  reasons: readonly string[],
  message = /^/,
): CoreV1Event | undefined {
  const at = (event: CoreV1Event) =>
    (event.series?.lastObservedTime ?? event.lastTimestamp ?? event.eventTime ?? event.firstTimestamp)?.getTime() ?? 0;
  return events
    .filter((event) => reasons.includes(event.reason ?? "") && message.test(event.message ?? ""))
    .reduce<CoreV1Event | undefined>(
      (best, event) => (best === undefined || at(event) >= at(best) ? event : best),
      undefined,
    );
}

function shorten(message: string): string {
  const line = message.replace(/\s+/g, " ").trim();
  return line.length <= MESSAGE_LENGTH_MAX ? line : `${line.slice(0, MESSAGE_LENGTH_MAX - 1)}…`;
}

function shortenLastLine(text: string | undefined): string | undefined {
  const line = text?.trim().split("\n").at(-1)?.trim();
  return line ? shorten(line) : undefined;
}
