/**
 * Reads the results of a run from Prometheus. Counts are raw counter values by `last_over_time` at one instant: `increase`
 * and `rate` extrapolate, and a plain selector returns nothing soon after a target has disappeared.
 */
import * as z from "zod";
import { METRICS } from "../../worker/contract.ts";
import type { PrometheusVariables } from "../../worker/servers/prometheus.ts";
import { ServerError } from "../errors.ts";
import type { PrometheusEvidence } from "../judge/evidence.ts";
import type { Quantiles } from "../judge/report-data.ts";
import { connectPrometheus } from "./prometheus-http.ts";

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

export function createPrometheus(variables: PrometheusVariables) {
  const { where, ask } = connectPrometheus(variables);

  /** Makes an instant query. Throws ServerError. */
  async function query(expression: string, atMs?: number): Promise<readonly Sample[]> {
    const form = new URLSearchParams({
      query: expression,
      ...(atMs === undefined ? {} : { time: (atMs / 1_000).toFixed(3) }),
    });
    const content = await ask("api/v1/query", form);
    const answer = Answer.safeParse(content);
    if (!answer.success)
      throw new ServerError(
        where,
        `unexpected answer ${JSON.stringify(content).slice(0, 200)}`,
        "check that PROMETHEUS_URL is a Prometheus of version 2.42 or later",
      );
    return answer.data.data.result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
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
    const [operations, raised, naive, ready, operation, lockWait] = await Promise.all([
      query(newest("worker, uid, outcome", last(METRICS.operations.name)), atMs),
      query(newest("uid", last(METRICS.raised.name)), atMs),
      query(newest("uid", last(METRICS.naive.name)), atMs),
      query(last(METRICS.ready.name), atMs),
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
    const duplicates = findDuplicates(ready);
    return {
      workers: workers.sort((a, b) => a.worker - b.worker),
      ...(duplicates === undefined ? {} : { duplicates }),
      operation,
      lockWait,
    };
  }

  async function quantiles(name: string, last: (name: string) => string, atMs: number): Promise<Quantiles> {
    const one = async (expression: string) => (await query(expression, atMs))[0]?.value;
    const quantile = (q: number) =>
      one(`histogram_quantile(${q}, sum by (le) (${newest("uid, le", last(`${name}_bucket`))}))`);
    const [count, sum, buckets, p50, p95, p99] = await Promise.all([
      one(`sum(${newest("uid", last(`${name}_count`))})`),
      one(`sum(${newest("uid", last(`${name}_sum`))})`),
      query(`sum by (le) (${newest("uid, le", last(`${name}_bucket`))})`, atMs).then(readBuckets),
      quantile(0.5),
      quantile(0.95),
      quantile(0.99),
    ]);
    if (!count || sum === undefined || p50 === undefined || p95 === undefined || p99 === undefined) return { count: 0 };
    return { count, average: sum / count, p50, p95, p99, buckets };
  }

  return {
    query,
    workersWith,
    read,
    /** Returns the time by the clock of the server, which may differ from that of this process. Throws ServerError. */
    async nowMs(): Promise<number> {
      const [now] = await query("vector(time())");
      return (now?.value ?? Number.NaN) * 1_000;
    },
    /** Returns the version. Throws ServerError unless Prometheus answers queries. */
    async check(): Promise<string> {
      await query("vector(1)");
      const info = await ask("api/v1/status/buildinfo").catch(() => undefined);
      return (
        z.object({ data: z.object({ version: z.string() }) }).safeParse(info).data?.data.version ?? "unknown version"
      );
    },
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/**
 * One series for each combination of these labels. A worker has several series where two jobs scrape it, or where two
 * servers do and one answers for both. All count the same process, whose counters only grow, so the largest is the newest:
 * every counter and bucket then comes from the same scrape.
 */
const newest = (labels: string, expression: string) => `max by (${labels}) (${expression})`;

/** The buckets of a histogram that are not empty. Those of Prometheus are cumulative. */
function readBuckets(samples: readonly Sample[]): NonNullable<Quantiles["buckets"]> {
  const sorted = samples
    .map(({ labels, value }) => ({ bound: Number(labels.le?.replace("+Inf", "Infinity")), value }))
    .sort((a, b) => a.bound - b.bound);
  return sorted
    .map(({ bound, value }, index) => ({
      atMost: Number.isFinite(bound) ? bound : null,
      count: value - (sorted[index - 1]?.value ?? 0),
    }))
    .filter(({ count }) => count > 0);
}

/** How many series there are of one worker, and the labels in which they differ; undefined where each worker has one. */
function findDuplicates(samples: readonly Sample[]): PrometheusEvidence["duplicates"] {
  const byWorker = [...Map.groupBy(samples, ({ labels }) => labels.uid).values()];
  const series = Math.max(0, ...byWorker.map(({ length }) => length));
  if (series <= 1) return undefined;
  const names = new Set(samples.flatMap(({ labels }) => Object.keys(labels)));
  const differs = (name: string) => byWorker.some((alike) => new Set(alike.map(({ labels }) => labels[name])).size > 1);
  return { series, labels: [...names].filter(differs).sort() };
}

const workerIndex = (labels: Readonly<Record<string, string>>) => Number(labels.worker?.replace("worker-", ""));
