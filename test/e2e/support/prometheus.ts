/** Queries to the Prometheus of a site, through a port-forward. */
import { forward } from "./forward.ts";
import type { Site } from "./site.ts";

export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly value?: readonly [number, string];
  readonly values?: readonly (readonly [number, string])[];
}

export async function prometheusOf(site: Site) {
  const way = await forward(site, `service/${site.release}-holdfast-prometheus`, 9090);
  const get = async (path: string, parameters: Record<string, string>) => {
    const body = new URLSearchParams(parameters);
    const response = await fetch(`${way.url}/api/v1/${path}`, {
      method: "POST",
      body,
      signal: AbortSignal.timeout(30_000),
    });
    const answer = (await response.json()) as { status: string; error?: string; data?: { result: Series[] } };
    if (answer.status !== "success") throw new Error(`${answer.error}: ${parameters.query}`);
    return answer.data!.result;
  };
  return {
    now: (query: string) => get("query", { query }),
    /** Times in seconds since 1970. */
    range: (query: string, start: number, end: number) =>
      get("query_range", { query, start: `${start}`, end: `${end}`, step: "1" }),
    [Symbol.asyncDispose]: () => way[Symbol.asyncDispose](),
  };
}
