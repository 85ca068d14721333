/**
 * Reads the results of a run from Prometheus. Counts are raw counter values by `last_over_time` at one instant: `increase`
 * and `rate` extrapolate, and a plain selector returns nothing soon after a target has disappeared.
 */
import * as z from "zod";
import { METRICS } from "../../worker/contract.ts";
import { ServerError } from "../errors.ts";
import type { PrometheusEvidence } from "../judge/evidence.ts";
import type { Quantiles } from "../judge/report-data.ts";

const Answer = z.object({
  status: z.literal("success"),
  data: z.object({
    resultType: z.literal("vector"),
    result: z.array(z.object({ metric: z.record(z.string(), z.string()), value: z.tuple([z.number(), z.string()]) })),
  }),
});

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export type Prometheus = ReturnType<typeof createPrometheus>;

export function createPrometheus(url: string) {
  /** Makes an instant query. Throws ServerError. */
  async function query(expression: string, atMs?: number): Promise<readonly Sample[]> {
    const target = new URL("api/v1/query", url.endsWith("/") ? url : `${url}/`);
    const body = new URLSearchParams({
      query: expression,
      ...(atMs === undefined ? {} : { time: (atMs / 1_000).toFixed(3) }),
    });
    const content = await post(target, body);
    const answer = Answer.safeParse(content);
    if (!answer.success)
      throw new ServerError(
        `Prometheus at ${url}`,
        `unexpected answer ${JSON.stringify(content).slice(0, 200)}`,
        "check that PROMETHEUS_URL is a Prometheus of version 2.42 or later",
      );
    return answer.data.data.result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
  }

  async function post(target: URL, body: URLSearchParams): Promise<unknown> {
    try {
      const response = await fetch(target, { method: "POST", body, signal: AbortSignal.timeout(5_000) });
      return await response.json();
    } catch (error) {
      throw new ServerError(`Prometheus at ${url}`, describeCause(error), "start it or correct PROMETHEUS_URL", {
        cause: error,
      });
    }
  }

  /** Returns the indexes of the workers whose gauge was 1 in their last scrape. */
  async function workersWith(gauge: "ready" | "done", run: string): Promise<readonly number[]> {
    const samples = await query(`${METRICS[gauge].name}{run="${run}"} == 1`);
    return [...new Set(samples.map(({ labels }) => workerIndex(labels)))].sort((a, b) => a - b);
  }

  /** Returns all that the report takes from Prometheus, at one instant. `windowMs` reaches back before the run's start. */
  async function read(run: string, atMs: number, windowMs: number): Promise<PrometheusEvidence> {
    const window = `${Math.ceil(windowMs / 1_000)}s`;
    const last = (name: string) => `last_over_time(${name}{run="${run}"}[${window}])`;
    const [operations, raised, naive, operation, lockWait] = await Promise.all([
      query(last(METRICS.operations.name), atMs),
      query(last(METRICS.raised.name), atMs),
      query(last(METRICS.naive.name), atMs),
      quantiles(METRICS.operationSeconds.name, last, atMs),
      quantiles(METRICS.lockWaitSeconds.name, last, atMs),
    ]);
    const findCounter = (samples: readonly Sample[], uid: string, outcome?: string) =>
      samples.find(({ labels }) => labels.uid === uid && (outcome === undefined || labels.outcome === outcome))
        ?.value ?? Number.NaN;
    const uids = new Map(operations.map(({ labels }) => [labels.uid ?? "", workerIndex(labels)]));
    const workers = [...uids].map(([uid, worker]) => ({
      worker,
      uid,
      committed: findCounter(operations, uid, "committed"),
      rejected: findCounter(operations, uid, "rejected"),
      unknown: findCounter(operations, uid, "unknown"),
      raised: findCounter(raised, uid),
      naive: findCounter(naive, uid),
    }));
    return { workers: workers.sort((a, b) => a.worker - b.worker), operation, lockWait };
  }

  async function quantiles(name: string, last: (name: string) => string, atMs: number): Promise<Quantiles> {
    const one = async (expression: string) => (await query(expression, atMs))[0]?.value;
    const quantile = (q: number) => one(`histogram_quantile(${q}, sum by (le) (${last(`${name}_bucket`)}))`);
    const [count, sum, p50, p95, p99] = await Promise.all([
      one(`sum(${last(`${name}_count`)})`),
      one(`sum(${last(`${name}_sum`)})`),
      quantile(0.5),
      quantile(0.95),
      quantile(0.99),
    ]);
    if (!count || sum === undefined || p50 === undefined || p95 === undefined || p99 === undefined) return { count: 0 };
    return { count, average: sum / count, p50, p95, p99 };
  }

  return {
    query,
    workersWith,
    read,
    /** Returns the version. Throws ServerError unless Prometheus answers queries. */
    async check(): Promise<string> {
      await query("vector(1)");
      const info = await fetch(new URL("/api/v1/status/buildinfo", url), { signal: AbortSignal.timeout(5_000) })
        .then((response) => response.json())
        .catch(() => undefined);
      return (
        z.object({ data: z.object({ version: z.string() }) }).safeParse(info).data?.data.version ?? "unknown version"
      );
    },
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const workerIndex = (labels: Readonly<Record<string, string>>) => Number(labels.worker?.replace("worker-", ""));

/** `fetch` reports only "fetch failed"; the reason is in its cause. */
function describeCause(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? error.cause : error;
  return cause.message || ("code" in cause ? String(cause.code) : cause.name);
}
