import { PatchStrategy, setHeaderOptions, type V1Job } from "@kubernetes/client-node";
import { ConfigError } from "../../config.ts";
import { EXIT } from "../../judge/report-data.ts";
import { DeadlinePassed, waitUntil } from "../../wait.ts";
import { ask, connectKubernetes, find, type KubernetesApi } from "./api.ts";
import { deleteJob, jobEnd, listPods } from "./jobs.ts";
import { createReportStore, type Stored } from "./report-store.ts";
import { KubernetesTarget, readKubernetesSettings, workerSelector } from "./settings.ts";

export interface CommandOptions {
  readonly waitMs: number;
  readonly api?: KubernetesApi;
  readonly print?: (text: string) => void;
}

type Variables = Readonly<Record<string, string | undefined>>;

/**
 * Removes the last coordinator Job, its workers and its report, so that Helm can create the Job anew: the template of a
 * Job cannot be changed. Returns the exit status: 0 also when there was none, 3 when something was still there at the deadline.
 */
export async function reset(variables: Variables, options: CommandOptions = { waitMs: 120_000 }): Promise<number> {
  const { api = connectKubernetes(), waitMs, print = printLine } = options;
  const target = readKubernetesSettings(KubernetesTarget, variables);
  const namespace = target.HOLDFAST_NAMESPACE;
  const name = target.HOLDFAST_JOB_NAME;
  await refuseJobOfOtherRelease(api, target);
  // Foreground: the Job stays until its pod is gone, so that no dying coordinator starts a fleet or writes a report.
  const was = await deleteJob(api, namespace, name, "Foreground");
  print(was ? `deleting Job ${name}` : `there is no Job ${name}`);
  const look = async () => {
    const job = await findJob(api, target);
    if (job !== undefined) return `Job ${name} is still there`;
    const jobs = await listWorkerJobs(api, target);
    for (const left of jobs) {
      if (left.metadata?.deletionTimestamp === undefined) await deleteJob(api, namespace, left.metadata!.name!);
    }
    const pods = await listPods(api, namespace, workerSelector(target));
    const left = [...jobs, ...pods].map((object) => object.metadata?.name);
    return left.length === 0 ? undefined : `still there: ${left.join(", ")}`;
  };
  return untilDeadline(print, async () => {
    await waitUntil(look, { deadlineMs: waitMs, everyMs: 500, signal: new AbortController().signal });
    await createReportStore(api, target).clear();
    print(was ? `Job ${name} is gone, with its workers and its report` : "nothing is left of an earlier report");
    return EXIT.expected;
  });
}

/**
 * Waits for the report of the Job that is there now, prints it and returns its exit status; 3 at the deadline.
 * A coordinator that ended without a report lends its own exit status.
 */
export async function verdict(variables: Variables, options: CommandOptions): Promise<number> {
  const { api = connectKubernetes(), waitMs, print = printLine } = options;
  const target = readKubernetesSettings(KubernetesTarget, variables);
  const store = createReportStore(api, target);
  const name = target.HOLDFAST_JOB_NAME;
  let exitCode: number = EXIT.unknown;
  let said = "";
  let owner: string | undefined;
  const say = (line: string) => {
    if (line !== said) print(line);
    said = line;
    return line;
  };
  const look = async () => {
    // The Job first: whatever it wrote, it wrote before it ended.
    const job = await findJob(api, target);
    if (job === undefined) return say(`no Job ${name} in namespace ${target.HOLDFAST_NAMESPACE}`);
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
    if (end === undefined) return say(describeProgress(name, state));
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

/** The name of the Job is the same for every release by default; deleting another one's run would be unforgivable. */
async function refuseJobOfOtherRelease(api: KubernetesApi, target: KubernetesTarget): Promise<void> {
  const owner = (await findJob(api, target))?.metadata?.labels?.["app.kubernetes.io/instance"];
  if (owner === undefined || owner === target.HOLDFAST_RELEASE) return;
  throw new ConfigError(
    `Job ${target.HOLDFAST_JOB_NAME} belongs to release ${owner}, not ${target.HOLDFAST_RELEASE}; give each release a coordinator name of its own`,
  );
}

/**
 * Makes the Job an owner of this command's own pod. Helm leaves the pod of a test where it is, for its log; owned, it goes
 * when the release does. Nothing depends on it, so a refusal is not worth a word.
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
  return `waiting for the report of Job ${name}: ${finished} runs finished${state.current ? `, ${state.current} is on` : ""}`;
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

/** How a coordinator without a report ended: its exit status and termination message, or the Job's own reason. */
async function describeCoordinatorEnd(api: KubernetesApi, job: V1Job): Promise<{ text: string; exitCode: number }> {
  const pods = await listPods(api, job.metadata!.namespace!, `batch.kubernetes.io/controller-uid=${job.metadata!.uid}`);
  const ends = pods.flatMap((pod) => pod.status?.containerStatuses?.[0]?.state?.terminated ?? []);
  const last = ends.sort((a, b) => (a.finishedAt?.getTime() ?? 0) - (b.finishedAt?.getTime() ?? 0)).at(-1);
  const end = jobEnd(job);
  const known = last !== undefined && (Object.values(EXIT) as number[]).includes(last.exitCode) && last.exitCode !== 0;
  const text = last?.message?.trim() || (last && `exit status ${last.exitCode}`) || `${end?.reason}: ${end?.message}`;
  return { text, exitCode: known ? last.exitCode : EXIT.unknown };
}
