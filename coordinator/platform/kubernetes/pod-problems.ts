/** Pure: what the status of a pod and the events about it say of a worker that does not run or did not end well. */
import type { CoreV1Event, V1ContainerState, V1ContainerStateTerminated, V1Pod } from "@kubernetes/client-node";

export interface PodProblem {
  readonly reason: string;
  /** `never`: the worker will not come back. `soon`: it may, within seconds. `maybe`: there is no telling. */
  readonly heals: "never" | "soon" | "maybe";
}

export interface Circumstances {
  /** Warning events about the pod. */
  readonly warnings: readonly CoreV1Event[];
  /** Warning events about its Job. */
  readonly jobWarnings: readonly CoreV1Event[];
  /** Last lines of the worker's log, where they are known. */
  readonly log?: string | undefined;
  readonly now: Date;
}

/** A pod may take this long to start before that alone is worth a word. */
const STARTING_MS = 10_000;
/** Characters; enough for a refusal by Pod Security in full. */
const MESSAGE_LENGTH_MAX = 600;

/** What is wrong with this pod; `undefined` where nothing is. */
export function findPodProblem(pod: V1Pod, circumstances: Circumstances): PodProblem | undefined {
  const { status } = pod;
  const ended = mainState(pod)?.terminated;
  if (status?.reason === "NodeLost") return never(`NodeLost: ${status.message ?? `node ${pod.spec?.nodeName}`}`);
  if (wasDeleted(pod, ended)) return never(whyDeleted(pod, ended, circumstances));
  if (status?.phase === "Succeeded") return undefined;
  if (status?.phase === "Failed" || (ended !== undefined && ended.exitCode !== 0)) {
    return never(whyFailed(pod, ended, circumstances.log));
  }
  if (status?.phase === "Running") return ended === undefined ? findRunningProblem(pod) : undefined;
  return findPendingProblem(pod, circumstances);
}

/** Why there is no pod for an index: the Job's own events are the only place where a refused creation is told. */
export function explainMissingPod(jobWarnings: readonly CoreV1Event[], waitedMs: number): PodProblem | undefined {
  const failed = newest(jobWarnings, ["FailedCreate"]);
  if (failed === undefined && waitedMs < STARTING_MS) return undefined;
  if (failed === undefined) return { reason: "no pod was created for it yet", heals: "maybe" };
  // The name is that of one attempt out of many, for whichever index came first.
  const text = short(failed.message ?? "").replace(/^Error creating: (pods "[^"]*" is )?/, "");
  // A refusal by Pod Security repeats until somebody changes the template; a quota may become free.
  return { reason: `FailedCreate: ${text}`, heals: /violates PodSecurity/.test(text) ? "never" : "maybe" };
}

/** A pod that was there and is not any more. `last` is how it was last seen. */
export function explainDeletedPod(last: V1Pod, jobWarnings: readonly CoreV1Event[]): PodProblem {
  const where = last.spec?.nodeName === undefined ? "" : ` on ${last.spec.nodeName}`;
  const seen = `pod ${last.metadata?.name} was deleted (last seen ${last.status?.phase ?? "Pending"}${where})`;
  return never(deadlineExceeded(jobWarnings) ?? seen);
}

export const indexOf = (pod: V1Pod) =>
  Number(
    pod.metadata?.labels?.["batch.kubernetes.io/job-completion-index"] ??
      pod.metadata?.annotations?.["batch.kubernetes.io/job-completion-index"],
  );

const never = (reason: string): PodProblem => ({ reason, heals: "never" });

/** State of the first container: a worker's or the coordinator's own. */
export function mainState(pod: V1Pod): V1ContainerState | undefined {
  return pod.status?.containerStatuses?.find((container) => container.name === pod.spec?.containers[0]?.name)?.state;
}

// --- Ended ----------------------------------------------------------------------------------------------------------

/** A worker may end with 0 because its pod is being deleted; a pod deleted after its worker's own end is no loss. */
function wasDeleted({ metadata }: V1Pod, ended: V1ContainerStateTerminated | undefined): boolean {
  if (metadata?.deletionTimestamp === undefined) return false;
  // The timestamp is the end of the grace period.
  const askedAt = metadata.deletionTimestamp.getTime() - 1000 * (metadata.deletionGracePeriodSeconds ?? 0);
  return ended?.finishedAt === undefined || ended.finishedAt.getTime() >= askedAt;
}

function whyDeleted(pod: V1Pod, ended: V1ContainerStateTerminated | undefined, { jobWarnings, log }: Circumstances) {
  const why = disruption(pod) ?? deadlineExceeded(jobWarnings) ?? `pod ${pod.metadata?.name} was deleted`;
  return ended === undefined ? why : `${why}, ${exitText(ended, pod, log)}`;
}

function deadlineExceeded(jobWarnings: readonly CoreV1Event[]): string | undefined {
  const event = newest(jobWarnings, ["DeadlineExceeded"]);
  return event && `DeadlineExceeded: ${short(event.message ?? "")}`;
}

/** Eviction, preemption, a drained or lost node: Kubernetes says itself that the pod is not to blame. */
function disruption(pod: V1Pod): string | undefined {
  const condition = pod.status?.conditions?.find(
    ({ type, status }) => type === "DisruptionTarget" && status === "True",
  );
  return condition && `${condition.reason}: ${short(condition.message ?? "")}`;
}

function whyFailed(pod: V1Pod, ended: V1ContainerStateTerminated | undefined, log: string | undefined): string {
  const { reason, message } = pod.status ?? {};
  // The kubelet's or the node controller's reason: Evicted, Terminated, UnexpectedAdmissionError, OutOfcpu...
  if (reason !== undefined) return `${reason}: ${short(message ?? "")}`;
  const disrupted = disruption(pod);
  if (disrupted !== undefined) return disrupted;
  if (ended !== undefined) return exitText(ended, pod, log);
  const init = pod.status?.initContainerStatuses?.find(
    (container) => (container.state?.terminated?.exitCode ?? 0) !== 0,
  );
  if (init?.state?.terminated === undefined) return "pod failed, and Kubernetes does not say why";
  return `init container ${init.name} ${exitText(init.state.terminated, pod, undefined)}`;
}

const SIGNALS: Readonly<Record<number, string>> = { 134: "SIGABRT", 137: "SIGKILL", 139: "SIGSEGV", 143: "SIGTERM" };

function exitText(ended: V1ContainerStateTerminated, pod: V1Pod, log: string | undefined): string {
  if (ended.reason === "OOMKilled") {
    const limit = pod.spec?.containers[0]?.resources?.limits?.memory;
    return `OOMKilled: it went over its memory limit${limit === undefined ? "" : ` of ${limit}`}`;
  }
  // StartError, ContainerCannotRun, ContainerStatusUnknown: the runtime's words, not the program's.
  const byRuntime = !["Error", "Completed", undefined].includes(ended.reason);
  if (byRuntime) return `${ended.reason}: ${short(ended.message ?? `exit code ${ended.exitCode}`)}`;
  const signal = SIGNALS[ended.exitCode];
  if (signal !== undefined) return `killed by ${signal}`;
  const words = lastLine(ended.message) ?? lastLine(log);
  return `exited with ${ended.exitCode}${words ? `: ${words}` : ""}`;
}

// --- Not running (yet) ----------------------------------------------------------------------------------------------

/** No attempt will fare better than the first one. */
const HOPELESS = ["ErrImageNeverPull", "InvalidImageName"];
const USUAL = ["ContainerCreating", "PodInitializing"];

function findPendingProblem(pod: V1Pod, { warnings, now }: Circumstances): PodProblem | undefined {
  const scheduled = pod.status?.conditions?.find((condition) => condition.type === "PodScheduled");
  if (scheduled?.status === "False") {
    return { reason: `${scheduled.reason}: ${short(scheduled.message ?? "")}`, heals: "maybe" };
  }
  const containers = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  const stuck = containers
    .map(({ state }) => state?.waiting)
    .find((waiting) => !USUAL.includes(waiting?.reason ?? USUAL[0]!));
  if (stuck !== undefined) {
    const pulling = /^(ErrImage|ImagePull|InvalidImage)/.test(stuck.reason ?? "");
    const text = pulling ? pullMessage(stuck.message ?? "", warnings) : stuck.message;
    return {
      reason: `${stuck.reason}: ${short(text ?? "")}`,
      heals: HOPELESS.includes(stuck.reason ?? "") ? "never" : "soon",
    };
  }
  const warning = newest(warnings, ["FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "NetworkNotReady"]);
  if (warning !== undefined) return { reason: `${warning.reason}: ${short(warning.message ?? "")}`, heals: "maybe" };
  const waitedMs = now.getTime() - (pod.metadata?.creationTimestamp ?? now).getTime();
  if (waitedMs < STARTING_MS) return undefined;
  const state = containers[0]?.state?.waiting?.reason ?? "Pending";
  return {
    reason: `${state} for ${Math.round(waitedMs / 1000)} s on ${pod.spec?.nodeName ?? "no node"}`,
    heals: "maybe",
  };
}

/** The image and what became of the attempt, without the layers of programs that each tell it again. */
function pullMessage(message: string, warnings: readonly CoreV1Event[]): string {
  // Before 1.32 the state of an ImagePullBackOff does not tell its cause; the event does.
  const told = /^Back-off pulling image "[^"]*"$/.test(message);
  const full = (told && newest(warnings, ["Failed"], /pull image/)?.message) || message;
  const image = full.match(/image "([^"]+)"/)?.[1];
  const cause = full.replace(PULL_LAYERS, "");
  return image === undefined || cause.includes(image) ? cause : `${image}: ${cause}`;
}

const PULL_LAYERS =
  /(Back-off pulling image "[^"]*": |ErrImagePull: |rpc error: code = \w+ desc = |[Ff]ailed to pull( and unpack)? image "[^"]*": |failed to resolve reference "[^"]*": )/g;

function findRunningProblem(pod: V1Pod): PodProblem | undefined {
  const is = (type: string) => pod.status?.conditions?.find((condition) => condition.type === type)?.status;
  // Of a node that does not answer, the node controller takes only `Ready` away; a failed probe takes both.
  if (is("Ready") !== "False" || is("ContainersReady") !== "True") return undefined;
  return { reason: `NodeNotReady: node ${pod.spec?.nodeName} does not answer`, heals: "maybe" };
}

// --- Texts ----------------------------------------------------------------------------------------------------------

function newest(events: readonly CoreV1Event[], reasons: readonly string[], message = /^/): CoreV1Event | undefined {
  const at = (event: CoreV1Event) =>
    (event.series?.lastObservedTime ?? event.lastTimestamp ?? event.eventTime ?? event.firstTimestamp)?.getTime() ?? 0;
  return events
    .filter((event) => reasons.includes(event.reason ?? "") && message.test(event.message ?? ""))
    .reduce<CoreV1Event | undefined>(
      (best, event) => (best === undefined || at(event) >= at(best) ? event : best),
      undefined,
    );
}

function short(message: string): string {
  const line = message.replace(/\s+/g, " ").trim();
  return line.length <= MESSAGE_LENGTH_MAX ? line : `${line.slice(0, MESSAGE_LENGTH_MAX - 1)}…`;
}

function lastLine(text: string | undefined): string | undefined {
  const line = text?.trim().split("\n").at(-1)?.trim();
  return line ? short(line) : undefined;
}
