/** Generates docs/metrics.md from the exported metrics. */
import { markdownTable } from "markdown-table";
import type { Registry } from "prom-client";
import { createCoordinatorMetrics } from "../../coordinator/runner/metrics.ts";
import { MYSQL_SERIES, REDIS_SERIES } from "../../coordinator/runner/server-series.ts";
import { METRIC_LABELS, type WorkerSpec } from "../../worker/contract.ts";
import { createMetrics } from "../../worker/metrics.ts";

export async function metricsPage(): Promise<string> {
  const spec = { report: "", run: "", strategy: "none" } satisfies Partial<WorkerSpec>;
  const worker = createMetrics(spec as WorkerSpec, 0, "").registry;
  const coordinator = createCoordinatorMetrics("").registry;
  return `# Metrics

This page is generated from the two registries by \`UPDATE=1 node --test test/runner/metrics.test.ts\`; a test compares
them. Both processes also serve prom-client's default metrics (\`process_*\`, \`nodejs_*\`).
An unknown number has no series, so 0 always means 0.

## Workers

Each series also has the labels ${METRIC_LABELS.map(code).join(", ")}. \`run\` is unique and each
process makes one run, so a counter is never reset within a run.

${await table(worker)}

## Coordinator

Each series also has the label \`report\`. The figures of \`holdfast_run_*\` and the verdicts are those of the report, and
appear when the run is judged. Verdicts are numbers because Prometheus stores nothing else. The controls \`none\` and
\`memory\` are expected to be violated, so look at \`holdfast_agreement\` before \`holdfast_verdict\`.

${await table(coordinator)}
`;
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const code = (text: string) => `\`${text}\``;

async function table(registry: Registry) {
  const metrics = (await registry.getMetricsAsJSON()).filter(({ name }) => name.startsWith("holdfast_"));
  const rows = metrics.map(({ name, type, help }) => {
    const { labelNames } = registry.getSingleMetric(name) as unknown as { labelNames: readonly string[] };
    return [code(name), String(type), labelNames.map(code).join(", "), `${help}${sourceOf(name)}`];
  });
  return markdownTable([["Metric", "Type", "Labels", "What"], ...rows]);
}

function sourceOf(name: string) {
  const fields = (series: typeof REDIS_SERIES) =>
    series.filter((one) => one.name === name).map(({ field }) => code(field));
  const redis = fields(REDIS_SERIES);
  const mysql = fields(MYSQL_SERIES);
  if (redis.length > 0) return ` (\`INFO\`: ${redis.join(", ")})`;
  if (mysql.length > 0) return ` (\`SHOW GLOBAL STATUS\`: ${mysql.join(", ")})`;
  return "";
}
