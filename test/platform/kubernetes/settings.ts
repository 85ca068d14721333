import { randomUUID } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KubernetesSettings } from "../../../coordinator/platform/kubernetes/settings.ts";
import type { FakeApi } from "./fake-api.ts";
import { type Wire, wirePod } from "./fixtures.ts";
import { TEMPLATE } from "./spec.ts";

/** The environment that the chart sets in the coordinator's pod, with the worker template in a file. */
export function variables(changes: Record<string, string> = {}): Record<string, string> {
  const template = join(mkdtempSync(join(tmpdir(), "holdfast-")), "worker.yaml");
  writeFileSync(template, TEMPLATE);
  return {
    HOLDFAST_NAMESPACE: "demo",
    HOLDFAST_JOB_NAME: "coordinator",
    HOLDFAST_JOB_UID: "0a1b2c3d-0000-4000-8000-000000000000",
    HOLDFAST_RELEASE: "demo",
    HOLDFAST_REPORT_CONFIGMAP: "demo-report",
    HOLDFAST_POD_NAME: "coordinator-me",
    HOLDFAST_WORKER_TEMPLATE: template,
    HOLDFAST_COORDINATOR_URL: "http://coordinator:8080",
    ...changes,
  };
}

export const settings = (changes?: Record<string, string>) => KubernetesSettings.parse(variables(changes));

/** The coordinator's own Job, as in the chart, and its empty ConfigMap. */
export function putCoordinator(fake: FakeApi, status: Wire = {}): Wire {
  fake.put("configmaps", { metadata: { name: "demo-report" } });
  return fake.put("jobs", {
    metadata: {
      name: "coordinator",
      uid: variables().HOLDFAST_JOB_UID,
      labels: { "app.kubernetes.io/instance": "demo", "app.kubernetes.io/component": "coordinator" },
      annotations: { "meta.helm.sh/release-name": "demo" },
    },
    status,
  });
}

/** A pod of this Job with this status. */
export function putPod(fake: FakeApi, job: Wire, index: number, status: Wire, metadata: Wire = {}): Wire {
  const made = wirePod(index, status, { uid: randomUUID(), ...metadata });
  made.metadata.labels = {
    ...made.metadata.labels,
    ...job.metadata.labels,
    "batch.kubernetes.io/controller-uid": job.metadata.uid,
  };
  made.metadata.ownerReferences = [{ uid: job.metadata.uid }];
  return fake.put("pods", made);
}
