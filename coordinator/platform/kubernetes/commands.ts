import { PatchStrategy, setHeaderOptions, type V1Job } from "@kubernetes/client-node";
import { ConfigError } from "../../errors.ts";
import { EXIT } from "../../judge/report-data.ts";
import { DeadlinePassed, waitUntil } from "../../wait.ts";
import { ask, connectKubernetes, find, type KubernetesApi } from "./api.ts";
import { deleteJob, jobEnd, listCoordinatorJobs, listPods } from "./jobs.ts";
import { createReportStore, type Stored } from "./report-store.ts";
import { KubernetesTarget, readKubernetesSettings, workerSelector } from "./settings.ts";

export interface CommandOptions {
  readonly waitMs: number;
  readonly api?: KubernetesApi;
  readonly print?: (text: string) => void;
}

type Variables = Readonly<Record<string, string | undefined>>;

/** Helm adds this annotation to the objects of a release that are not hooks. */
const HELM_RELEASE = "meta.helm.sh/release-name";

/**
 * Deletes the last coordinator Job, its workers and its report, so that Helm can create the Job anew: the template of a Job
 * cannot be changed. A scheduled run in progress is ended as well, because the upgrade may change the servers under it.
 * Returns the exit status: 0, also when there was no Job, or 3 when objects are left at the deadline.
 * A tool that applies the chart's output without Helm creates the hook's Job together with the coordinator's Job, which
 * must stay. So a Job that Helm did not create is left as it is.
 */
export async function reset(variables: Variables, options: CommandOptions = { waitMs: 120_000 }): Promise<number> {
  const { api = connectKubernetes(), waitMs, print = printLine } = options;
  const target = readKubernetesSettings(KubernetesTarget, variables);
  const namespace = target.HOLDFAST_NAMESPACE;
  const name = target.HOLDFAST_JOB_NAME;
  const last = await findJob(api, target);
  refuseJobOfOtherRelease(last, target);
  if (last !== undefined && last.metadata?.annotations?.[HELM_RELEASE] === undefined) {
    print(
      `Job ${name} was not created by Helm, so nothing would create it again after a deletion: it is left as it is`,
    );
    return EXIT.expected;
  }
  // First, or the end of the other Job would make it the turn of a scheduled run that waits.
  await endScheduledRuns(api, target, print);
  // Foreground: the Job stays until its pod is gone, so that a terminating coordinator cannot start a fleet or write a report.
  const existed = await deleteJob(api, namespace, name, "Foreground");
  print(existed ? `deleting Job ${name}` : `there is no Job ${name}`);
  const look = async () => {
    const scheduled = await endScheduledRuns(api, target, print);
    const job = await findJob(api, target);
    if (job !== undefined) return `Job ${name} still exists`;
    const jobs = await listWorkerJobs(api, target);
    for (const left of jobs) {
      if (left.metadata?.deletionTimestamp === undefined) await deleteJob(api, namespace, left.metadata!.name!);
    }
    const pods = await listPods(api, namespace, workerSelector(target));
    const left = [...scheduled, ...jobs, ...pods].map((object) => object.metadata?.name);
    return left.length === 0 ? undefined : `still existing: ${left.join(", ")}`;
  };
  return untilDeadline(print, async () => {
    await waitUntil(look, { deadlineMs: waitMs, everyMs: 500, signal: new AbortController().signal });
    await createReportStore(api, target).clear();
    print(existed ? `Job ${name} is deleted, with its workers and its report` : "no earlier report is left");
    return EXIT.expected;
  });
}

/**
 * Waits for the report of the current Job, prints it and returns its exit status, or 3 at the deadline. For a coordinator
 * that ended without a report it returns the coordinator's exit status.
 */
export async function verdict(variables: Variables, options: CommandOptions): Promise<number> {
  const { api = connectKubernetes(), waitMs, print = printLine } = options;
  const target = readKubernetesSettings(KubernetesTarget, variables);
  const store = createReportStore(api, target);
  const name = target.HOLDFAST_JOB_NAME;
  let exitCode: number = EXIT.unknown;
  let lastLine = "";
  let owner: string | undefined;
  const printOnce = (line: string) => {
    if (line !== lastLine) print(line);
    lastLine = line;
    return line;
  };
  const look = async () => {
    // Read the Job before the report: a report is complete if the Job had ended before.
    const job = await findJob(api, target);
    if (job === undefined) return printOnce(`no Job ${name} in namespace ${target.HOLDFAST_NAMESPACE}`);
    if (owner !== job.metadata?.uid) await ownBy(api, job, variables.HOLDFAST_POD_NAME);
    owner = job.metadata?.uid;
    const stored = await store.read();
    const state = stored?.state?.jobUid === job.metadata?.uid ? stored?.state : undefined;
    const end = jobEnd(job);
    if (state?.verdict !== undefined && (state.verdict.final || end !== undefined)) {
      print(stored!.files["report.txt"] ?? state.verdict.line);
      exitCode = state.verdict.exitCode;
      return undefined;
    }
    if (end === undefined) return printOnce(describeProgress(name, state));
    const last = await describeCoordinatorEnd(api, job);
    print(
      `Job ${name} ended without a report (${last.text}); kubectl logs job/${name} -n ${target.HOLDFAST_NAMESPACE}`,
    );
    exitCode = last.exitCode;
    return undefined;
  };
  return untilDeadline(print, async () => {
    await waitUntil(look, { deadlineMs: waitMs, everyMs: 1_000, signal: new AbortController().signal });
    return exitCode;
  });
}

/** Deletes the Jobs of scheduled runs in progress. Returns those that still exist. */
async function endScheduledRuns(api: KubernetesApi, target: KubernetesTarget, print: (text: string) => void) {
  const jobs = await listCoordinatorJobs(api, target);
  const left = jobs.filter((job) => job.metadata?.name !== target.HOLDFAST_JOB_NAME && jobEnd(job) === undefined);
  for (const { metadata } of left) {
    if (metadata?.deletionTimestamp !== undefined) continue;
    print(`deleting Job ${metadata!.name}, a scheduled run in progress`);
    await deleteJob(api, target.HOLDFAST_NAMESPACE, metadata!.name!, "Foreground");
  }
  return left;
}

/** Throws ConfigError unless the Job belongs to this release: by default the Job has the same name in every release. */
function refuseJobOfOtherRelease(job: V1Job | undefined, target: KubernetesTarget): void {
  const owner = job?.metadata?.labels?.["app.kubernetes.io/instance"];
  if (owner === undefined || owner === target.HOLDFAST_RELEASE) return;
  throw new ConfigError(
    `Job ${target.HOLDFAST_JOB_NAME} belongs to release ${owner}, not ${target.HOLDFAST_RELEASE}; give each release a coordinator name of its own`,
  );
}

/**
 * Makes the Job an owner of this command's own pod. Helm keeps the pod of a test for its log; with an owner, Kubernetes
 * deletes it together with the release. Nothing depends on it, so a refusal is ignored.
 */
async function ownBy(api: KubernetesApi, job: V1Job, pod: string | undefined): Promise<void> {
  if (pod === undefined) return;
  const { name, namespace, uid } = job.metadata!;
  const body = { metadata: { ownerReferences: [{ apiVersion: "batch/v1", kind: "Job", name, uid }] } };
  const merge = setHeaderOptions("Content-Type", PatchStrategy.MergePatch);
  await api.core.patchNamespacedPod({ name: pod, namespace: namespace!, body }, merge).catch(() => {});
}

const printLine = (text: string) => void process.stdout.write(`${text}\n`);

async function untilDeadline(print: (line: string) => void, work: () => Promise<number>): Promise<number> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof DeadlinePassed)) throw error;
    print(`gave up: ${error.message}`);
    return EXIT.unknown;
  }
}

function describeProgress(name: string, state: Stored["state"]): string {
  if (state === undefined) return `waiting for Job ${name} to begin its report`;
  const finished = state.runs?.length ?? 0;
  return `waiting for the report of Job ${name}: ${finished} runs finished${state.current ? `, ${state.current} is running` : ""}`;
}

const findJob = (api: KubernetesApi, target: KubernetesTarget) =>
  find(`read Job ${target.HOLDFAST_JOB_NAME}`, () =>
    api.batch.readNamespacedJob({ name: target.HOLDFAST_JOB_NAME, namespace: target.HOLDFAST_NAMESPACE }),
  );

async function listWorkerJobs(api: KubernetesApi, target: KubernetesTarget): Promise<readonly V1Job[]> {
  const list = () =>
    api.batch.listNamespacedJob({ namespace: target.HOLDFAST_NAMESPACE, labelSelector: workerSelector(target) });
  return (await ask("list Jobs", list)).items;
}

/** Returns how a coordinator without a report ended: its exit status and termination message, or the reason of the Job. */
async function describeCoordinatorEnd(api: KubernetesApi, job: V1Job): Promise<{ text: string; exitCode: number }> {
  const pods = await listPods(api, job.metadata!.namespace!, `batch.kubernetes.io/controller-uid=${job.metadata!.uid}`);
  const ends = pods.flatMap((pod) => pod.status?.containerStatuses?.[0]?.state?.terminated ?? []);
  const last = ends.sort((a, b) => (a.finishedAt?.getTime() ?? 0) - (b.finishedAt?.getTime() ?? 0)).at(-1);
  const end = jobEnd(job);
  const known = last !== undefined && (Object.values(EXIT) as number[]).includes(last.exitCode) && last.exitCode !== 0;
  const text = last?.message?.trim() || (last && `exit status ${last.exitCode}`) || `${end?.reason}: ${end?.message}`;
  return { text, exitCode: known ? last.exitCode : EXIT.unknown };
}
