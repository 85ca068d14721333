import { writeFileSync } from "node:fs";
import { V1MicroTime } from "@kubernetes/client-node";
import { ask, type KubernetesApi } from "./api.ts";
import type { KubernetesSettings } from "./settings.ts";

export type EventReason = "RunStarted" | "StrategyFinished" | "Verdict";

/**
 * Writes Events about the coordinator's Job, which `kubectl describe job` shows. `record` returns at once and never throws:
 * the first failure is passed to `warn`, later ones are ignored. `flush` waits until all Events are written.
 */
export function createEventRecorder(api: KubernetesApi, settings: KubernetesSettings, warn: (line: string) => void) {
  const namespace = settings.HOLDFAST_NAMESPACE;
  const name = settings.HOLDFAST_JOB_NAME;
  let writing: Promise<unknown> = Promise.resolve();
  let warned = false;

  async function write(reason: EventReason, note: string, type: "Normal" | "Warning"): Promise<void> {
    const body = {
      metadata: { generateName: `${name}-`, namespace },
      eventTime: new V1MicroTime(),
      reportingController: "holdfast.dev/coordinator",
      reportingInstance: settings.HOLDFAST_POD_NAME,
      action: "Report",
      reason,
      // The API server rejects a longer note.
      note: note.slice(0, 1000),
      type,
      regarding: { apiVersion: "batch/v1", kind: "Job", name, namespace, uid: settings.HOLDFAST_JOB_UID },
    };
    try {
      await ask("write an event", () => api.events.createNamespacedEvent({ namespace, body }), 2_000);
    } catch (error) {
      if (!warned) warn(`${(error as Error).message} (the report does not depend on it)`);
      warned = true;
    }
  }

  return {
    record(reason: EventReason, note: string, type: "Normal" | "Warning" = "Normal"): void {
      // One after another, so that they are listed in the order in which they happened.
      writing = writing.then(() => write(reason, note, type));
    },
    async flush(): Promise<void> {
      await writing;
    },
  };
}

/** Writes the message that `kubectl describe pod` shows. Does nothing outside a container, where there is no such file. */
export function writeTerminationMessage(path: string, line: string): void {
  try {
    // The kubelet reads no more than 4096 bytes.
    writeFileSync(path, Buffer.from(line).subarray(0, 4096), { flag: "r+" });
  } catch {}
}
