import { kubectl } from "./cluster.ts";
import type { Site } from "./site.ts";

/** Kinds that record the past and expire by themselves. */
const HISTORY = ["events", "events.events.k8s.io"];

/** Every object of a namespace, of every kind that the API server lists, as kind/name. */
export async function objectsOf(site: Site): Promise<string[]> {
  const kinds = (await kubectl(["api-resources", "--namespaced", "--verbs=list", "--output=name"])).trim().split("\n");
  const asked = kinds.filter((kind) => !HISTORY.includes(kind)).join(",");
  const names = await site.kubectl(["get", asked, "--output=name", "--ignore-not-found"], { timeoutMs: 120_000 });
  return names.split("\n").filter(Boolean).sort();
}

/** Objects outside of namespaces with the chart's label. */
export async function clusterObjects(): Promise<string[]> {
  const kinds = (await kubectl(["api-resources", "--namespaced=false", "--verbs=list", "--output=name"]))
    .trim()
    .split("\n");
  const selector = ["--selector", "app.kubernetes.io/part-of=holdfast"];
  const names = await kubectl(["get", kinds.join(","), ...selector, "--output=name", "--ignore-not-found"], {
    timeoutMs: 120_000,
  });
  return names.split("\n").filter(Boolean);
}
