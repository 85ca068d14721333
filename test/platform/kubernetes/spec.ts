import { WorkerSpec } from "../../../worker/contract.ts";

export const SPEC = WorkerSpec.parse({
  report: "0a1b2c3d",
  run: "0a1b2c3d-3-row-lock",
  strategy: "row-lock",
  guard: "none",
  workers: 4,
  concurrency: 1,
  rows: 1,
  durationMs: 5_000,
  holdMs: 2,
  pauseMs: 0,
  lockTtlMs: 2_000,
  extend: true,
  lockTimeoutMs: 10_000,
  statementTimeoutMs: 10_000,
  seed: 1,
  ledger: true,
  coordinatorUrl: "http://coordinator:8080",
  heartbeatMs: 250,
  coordinatorLostMs: 5_000,
  lingerMs: 60_000,
});

export const TEMPLATE = `---
metadata:
  labels:
    app.kubernetes.io/name: holdfast
    app.kubernetes.io/instance: demo
    app.kubernetes.io/component: worker
    team: storage
  annotations:
    note: kept
spec:
  automountServiceAccountToken: false
  containers:
    - name: worker
      image: holdfast:0.1.0
      args: [worker.js]
      env:
        - name: HOLDFAST_SPEC
          value: replaced
        - name: HOLDFAST_UID
          valueFrom:
            fieldRef:
              fieldPath: metadata.uid
      readinessProbe:
        exec:
          command: ["true"]
`;
