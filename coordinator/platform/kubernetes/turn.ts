/**
 * One coordinator of a release runs at a time: that of the release, or one of its schedule. They share the Service at which
 * workers send heartbeats, and would slow each other's runs down.
 *
 * An annotation of the report's ConfigMap names the Job whose turn it is, until that Job has ended. A coordinator takes its
 * turn by a patch that names the version that it has read, so that of two at once only one succeeds.
 */
import { PatchStrategy, setHeaderOptions } from "@kubernetes/client-node";
import { DeadlinePassed, waitUntil } from "../../wait.ts";
import { ask, find, type KubernetesApi, KubernetesError } from "./api.ts";
import { jobIsLive } from "./jobs.ts";
import type { KubernetesSettings } from "./settings.ts";

/** Name and UID of a Job. */
const TURN_ANNOTATION = "holdfast.dev/turn";

export interface TurnOptions {
  /** How long another coordinator may run, milliseconds. */
  readonly deadlineMs?: number;
  /** Ends the wait. */
  readonly signal: AbortSignal;
  /** Called with what is waited for, whenever it changes. */
  readonly say: (waiting: string) => void;
}

/** Waits until no other coordinator of the release has its turn, and takes it. Throws KubernetesError at the deadline. */
export async function takeTurn(
  api: KubernetesApi,
  settings: KubernetesSettings,
  { deadlineMs = 3_600_000, signal, say }: TurnOptions,
): Promise<void> {
  let last: string | undefined;
  const look = async () => {
    const waiting = await tryTurn(api, settings);
    if (waiting !== undefined && waiting !== last) say(waiting);
    last = waiting;
    return waiting;
  };
  try {
    await waitUntil(look, { deadlineMs, everyMs: 1_000, signal });
  } catch (error) {
    if (!(error instanceof DeadlinePassed)) throw error;
    throw new KubernetesError(error.message, "wait for its end, or delete that Job", { cause: error });
  }
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** Returns what is waited for; undefined if it is now the turn of this coordinator's Job. */
async function tryTurn(api: KubernetesApi, settings: KubernetesSettings): Promise<string | undefined> {
  const { HOLDFAST_NAMESPACE: namespace, HOLDFAST_REPORT_CONFIGMAP: name, HOLDFAST_JOB_NAME: job } = settings;
  const map = await ask(`read ConfigMap ${name}`, () => api.core.readNamespacedConfigMap({ name, namespace }));
  const [holder = "", uid] = map.metadata?.annotations?.[TURN_ANNOTATION]?.split(" ") ?? [];
  if (uid === settings.HOLDFAST_JOB_UID) return undefined;
  if (uid !== undefined) {
    const other = await find(`read Job ${holder}`, () => api.batch.readNamespacedJob({ name: holder, namespace }));
    if (other?.metadata?.uid === uid && jobIsLive(other)) return `Job ${holder} of this release is running`;
  }
  const annotations = { [TURN_ANNOTATION]: `${job} ${settings.HOLDFAST_JOB_UID}` };
  const body = { metadata: { annotations, resourceVersion: map.metadata?.resourceVersion } };
  const merge = setHeaderOptions("Content-Type", PatchStrategy.MergePatch);
  try {
    await ask(`write ConfigMap ${name}`, () => api.core.patchNamespacedConfigMap({ name, namespace, body }, merge));
  } catch (error) {
    if (error instanceof KubernetesError && error.status === 409) return `ConfigMap ${name} was changed meanwhile`;
    throw error;
  }
  return undefined;
}
