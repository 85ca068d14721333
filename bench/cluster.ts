/**
 * Measures the overhead of a run on a cluster: the time from `helm install` to the report and how much of it is not
 * spent in the runs, how far apart the workers start, how long all of them run together, their memory, and whether a
 * worker or a scrape was lost.
 *
 *   HOLDFAST_E2E_CONTEXT=kind-holdfast node bench/cluster.ts [--workers 4] [--strategies ...] [--duration 5s]
 *
 * For fifty workers on two nodes: --workers 50 --strategies none,row-lock --duration 30s
 */
import { parseArgs } from "node:util";
import type { RunReport } from "../coordinator/judge/report-data.ts";
import { mysqlRows } from "../test/e2e/support/mysql.ts";
import { prometheusOf } from "../test/e2e/support/prometheus.ts";
import { createSite, type Site } from "../test/e2e/support/site.ts";
import { OPERATIONS_PER_WRITER } from "../worker/contract.ts";
import { keep, machine, printTable } from "./support.ts";

const { values } = parseArgs({
  options: {
    workers: { type: "string", default: "4" },
    strategies: { type: "string", default: "none,memory,redis,row-lock,version" },
    duration: { type: "string", default: "5s" },
  },
});
const before = machine();
await using site = await createSite("bench");
const workers = Number(values.workers);
const begun = performance.now();
await site.install({
  workers,
  strategies: values.strategies.split(","),
  duration: values.duration,
  // Long, so that a slow start is measured and not aborted.
  startDeadline: "5m",
});
const installed = performance.now();
const { report, exitCode, words } = await site.ended(1_200_000);
const seconds = {
  install: rounded((installed - begun) / 1_000),
  toReport: rounded((performance.now() - begun) / 1_000),
  runs: rounded(report.runs.reduce((sum, run) => sum + run.seconds, 0)),
};
process.stderr.write(`${[words, ...report.verdict.reasons].join("\n")}\n`);

await using prometheus = await prometheusOf(site);
const sinceStart = `${Math.ceil((Date.now() - Date.parse(report.startedAt)) / 1_000)}s`;
const mebibytes = async (job: string) => {
  const [most] = await prometheus.now(
    `max(max_over_time(process_resident_memory_bytes{job="${job}"}[${sinceStart}])) / 2^20`,
  );
  return rounded(Number(most?.value?.[1]));
};
const starts = await firstOperations(site);
const runs = await Promise.all(report.runs.map(figuresOf));
const memory = { workerMebibytes: await mebibytes("worker"), coordinatorMebibytes: await mebibytes("coordinator") };

printTable(
  ["strategy", "overlap", "start skew, ms", "workers lost", "nodes", "scrapes missed, most", "verdict"],
  runs.map((run) => [
    run.strategy,
    run.overlap ?? "no data",
    run.startSkewMs ?? "no data",
    run.lost,
    run.nodes,
    run.missedScrapes,
    run.data,
  ]),
);
printTable(["what", "figure"], [
  ...Object.entries(seconds).map(([what, s]) => [`${what}, s`, s]),
  ...Object.entries(memory),
] as [string, number][]);
await keep(`cluster-${workers}`, {
  ...before,
  options: report.options,
  exitCode,
  seconds: { ...seconds, rest: rounded(seconds.toReport - seconds.runs) },
  memory,
  runs,
});

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** Figures of one run. */
async function figuresOf({ run, strategy, overlap, reconciliation, seconds, data }: RunReport) {
  const selector = `{run="${run}"}`;
  const running = await prometheus.now(`sum_over_time(holdfast_worker_running${selector}[${sinceStart}])`);
  const operationsAt = starts.get(run) ?? [];
  return {
    strategy,
    overlap,
    startSkewMs: operationsAt.length === 0 ? null : rounded(Math.max(...operationsAt) - Math.min(...operationsAt)),
    lost: reconciliation.filter((row) => row.lost !== undefined).length,
    nodes: new Set(reconciliation.map(({ node }) => node)).size,
    /** For the worker with the fewest scrapes while it was running; one scrape per second is intended. */
    missedScrapes: Math.max(0, ...running.map(({ value }) => Math.floor(seconds) - Number(value?.[1]))),
    data: data.value,
  };
}

/** Time of the first read of each worker, by run, in milliseconds of the database's clock. */
async function firstOperations(of: Site): Promise<Map<string, number[]>> {
  const rows = await mysqlRows(
    of,
    `SELECT run, MIN(UNIX_TIMESTAMP(read_at) * 1000) FROM ledger GROUP BY run, op DIV ${OPERATIONS_PER_WRITER} ORDER BY run`,
  );
  const starts = new Map<string, number[]>();
  for (const [run = "", at] of rows) starts.set(run, [...(starts.get(run) ?? []), Number(at)]);
  return starts;
}

function rounded(figure: number): number {
  return Math.round(figure * 10) / 10;
}
