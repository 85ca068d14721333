/** The worker's own Prometheus registry, served at /metrics. Outcomes are at 0 from the start. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { listenHost, METRICS, OUTCOMES, type Outcome, SECONDS_BUCKETS, type WorkerSpec } from "./contract.ts";

export interface WorkerMetrics {
  operation(outcome: Outcome, seconds: number, raise: number): void;
  error(errorClass: string): void;
  lockWait(seconds: number): void;
  naive(): void;
  releaseFailed(): void;
  phase(phase: "ready" | "running" | "done"): void;
  readonly registry: Registry;
}

export function createMetrics(spec: WorkerSpec, index: number, uid: string): WorkerMetrics {
  const registry = new Registry();
  registry.setDefaultLabels({
    report: spec.report,
    run: spec.run,
    strategy: spec.ownLock?.name ?? spec.strategy,
    worker: `worker-${index}`,
    uid,
  });
  collectDefaultMetrics({ register: registry });

  const counter = ({ name, help, labels }: Metric) =>
    new Counter({ name, help, labelNames: [...labels], registers: [registry] });
  const gauge = ({ name, help }: Metric) => new Gauge({ name, help, registers: [registry] });
  const histogram = ({ name, help }: Metric) =>
    new Histogram({ name, help, buckets: SECONDS_BUCKETS, registers: [registry] });

  const operations = counter(METRICS.operations);
  const byOutcome = Object.fromEntries(OUTCOMES.map((outcome) => [outcome, operations.labels(outcome)]));
  for (const outcome of OUTCOMES) byOutcome[outcome]?.inc(0);
  const raised = counter(METRICS.raised);
  const errors = counter(METRICS.errors);
  const naive = counter(METRICS.naive);
  const releaseFailures = counter(METRICS.releaseFailures);
  const operationSeconds = histogram(METRICS.operationSeconds);
  const lockWaitSeconds = histogram(METRICS.lockWaitSeconds);
  const phases = { ready: gauge(METRICS.ready), running: gauge(METRICS.running), done: gauge(METRICS.done) };

  return {
    registry,
    operation(outcome, seconds, raise) {
      byOutcome[outcome]?.inc();
      operationSeconds.observe(seconds);
      if (outcome === "committed") raised.inc(raise);
    },
    error: (errorClass) => errors.labels(errorClass).inc(),
    lockWait: (seconds) => lockWaitSeconds.observe(seconds),
    naive: () => naive.inc(),
    releaseFailed: () => releaseFailures.inc(),
    phase(phase) {
      phases[phase].set(1);
      if (phase === "done") phases.running.set(0);
    },
  };
}

type Metric = (typeof METRICS)[keyof typeof METRICS];

/** Serves /metrics and /healthz. Rejects when the port is taken. */
export async function serveMetrics(registry: Registry, host: string, port: number) {
  const server = createServer(async (request, response) => {
    if (request.url === "/healthz") return response.end("ok\n");
    if (request.url !== "/metrics") return response.writeHead(404).end("try /metrics or /healthz\n");
    response.setHeader("content-type", registry.contentType);
    response.end(await registry.metrics());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(port, listenHost(host), resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
