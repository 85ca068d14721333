import assert from "node:assert/strict";
import type { Registry } from "prom-client";

/**
 * Value of the one series of this name with (at least) these labels, as it would be scraped; undefined if there is
 * none.
 */
export async function seriesValue(registry: Registry, name: string, labels: Record<string, string> = {}) {
  const metric = (await registry.getMetricsAsJSON()).find((candidate) => candidate.name === name);
  assert.ok(metric, `no metric ${name}`);
  const values = metric.values as { labels: Record<string, string | number>; value: number }[];
  const found = values.filter((sample) =>
    Object.entries(labels).every(([label, text]) => sample.labels[label] === text),
  );
  assert.ok(found.length <= 1, `${found.length} series of ${name} with ${JSON.stringify(labels)}`);
  return found[0]?.value;
}
