/**
 * The dashboard's queries on a real Prometheus that has scraped an artificial run: all have data, even after every
 * process of the run is gone, and the headlines agree with the reports.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Registry } from "prom-client";
import type { Report, RunReport } from "../coordinator/judge/report-data.ts";
import { type Servers, startServers } from "../coordinator/platform/local/servers/index.ts";
import { createCoordinatorMetrics, RUN_PHASES } from "../coordinator/runner/metrics.ts";
import { MYSQL_SERIES, REDIS_SERIES } from "../coordinator/runner/server-series.ts";
import type { WorkerSpec } from "../worker/contract.ts";
import { createMetrics } from "../worker/metrics.ts";
import { dashboard, dashboardQueries, substitute } from "./support/dashboard.ts";
import { sampleReport, troubledReport, violatedReport } from "./support/sample-report.ts";

/** As in helm/files/prometheus-local.yml. */
const SCRAPE_MS = 300;
const VARIABLES = { rateInterval: "2s", range: "60s" };
let servers: Servers;
let startedAt: number;

before(async () => {
  const run = makeUpRun("expected", sampleReport());
  const others = [judged("violated", worse(violatedReport())), judged("unknown", troubledReport())];
  const exporters = await Promise.all([...run.registries, ...others].map(serve));
  const targets = exporters.map(({ port }) => `127.0.0.1:${port}`);
  const discovery = createServer((_request, response) =>
    response.setHeader("content-type", "application/json").end(JSON.stringify([{ targets }])),
  );
  await once(discovery.listen(0, "127.0.0.1").unref(), "listening");
  const coordinatorUrl = `http://127.0.0.1:${(discovery.address() as AddressInfo).port}`;
  servers = await startServers({ coordinatorUrl, only: ["prometheus"] });
  const deadline = performance.now() + 60_000;
  while (exporters.some(({ scrapes }) => scrapes() === 0)) {
    assert.ok(performance.now() < deadline, "not scraped in time");
    await sleep(20);
  }
  startedAt = Date.now() / 1_000;
  const coordinator = exporters[0]!;
  for (const phase of RUN_PHASES) {
    const enough = coordinator.scrapes() + (phase === "running" ? 10 : 3);
    while (coordinator.scrapes() < enough) {
      assert.ok(performance.now() < deadline, `${phase} not scraped in time`);
      run.goOn(phase);
      await sleep(20);
    }
  }
  await sleep(SCRAPE_MS);
  for (const exporter of exporters) exporter.close();
  // If a target does not answer, the next scrape ends its series.
  await sleep(2 * SCRAPE_MS);
});

after(() => servers?.[Symbol.asyncDispose]());

describe("after the run", () => {
  for (const panel of dashboard.panels.filter(({ type }) => type !== "row"))
    test(`every query of "${panel.title}" has data`, async () => {
      for (const query of dashboardQueries({ report: "expected", ...VARIABLES }).filter(
        ({ panelId }) => panelId === panel.id,
      ))
        assert.notEqual((await values(query.expr, query.instant)).length, 0, `${query.refId}: ${query.expr}`);
    });

  test("the annotations and the list of reports have data", async () => {
    for (const { name, expr } of dashboard.annotations.list)
      if (expr !== undefined)
        assert.notEqual((await values(substitute(expr, { report: "expected", ...VARIABLES }), false)).length, 0, name);
    const definition = dashboard.templating.list.find(({ name }) => name === "report")!.definition!;
    const reports = await values(
      substitute(definition.replace(/^query_result\((.*)\)$/, "$1"), { report: "", ...VARIABLES }),
      true,
    );
    assert.equal(reports.length, 3);
  });
});

describe("the headlines", () => {
  test("say that everything is as expected, though two controls are violated", async () => {
    assert.deepEqual(await values(only("Against theory", "expected"), true), [1]);
    assert.deepEqual(await values(only("Largest difference between the counts", "expected"), true), [0]);
  });

  test("say that a strategy is not as expected, and how far the counts differ", async () => {
    assert.deepEqual(await values(only("Against theory", "violated"), true), [0]);
    assert.deepEqual(await values(only("Largest difference between the counts", "violated"), true), [1]);
  });

  test("say that a report is unknown, and compare no count that is incomplete", async () => {
    assert.deepEqual(await values(only("Against theory", "unknown"), true), [-1]);
    assert.deepEqual(await values(only("Largest difference between the counts", "unknown"), true), [0]);
  });

  test("follow the chosen strategies", async () => {
    assert.deepEqual(await values(only("Against theory", "violated", "none|memory"), true), [1]);
  });
});

test("the phases of the run follow each other", async () => {
  const queries = dashboardQueries({ report: "expected", strategy: "none", ...VARIABLES });
  const seen = await values(queries.find(({ panel }) => panel === "Phase of each run")!.expr, false);
  assert.deepEqual(seen, [...seen].sort(), "in order");
  const number = (phase: (typeof RUN_PHASES)[number]) => RUN_PHASES.indexOf(phase) + 1;
  assert.ok(seen.includes(number("running")) && seen.includes(number("finished")), `${seen}`);
});

/** Two strategies with two workers each, and a coordinator; every count grows with each call. */
function makeUpRun(report: string, { runs }: Report) {
  const coordinator = createCoordinatorMetrics(report);
  const judgedRuns = runs.filter(({ strategy }) => strategy === "none" || strategy === "redis");
  const workers = judgedRuns.flatMap(({ run, strategy }) =>
    [0, 1].map((index) => createMetrics({ report, run, strategy } as WorkerSpec, index, `${strategy}-${index}`)),
  );
  let calls = 0;
  const status = (series: typeof REDIS_SERIES) => new Map(series.map(({ field }) => [field, calls * 10]));
  return {
    registries: [coordinator.registry, ...workers.map(({ registry }) => registry)],
    goOn(phase: (typeof RUN_PHASES)[number]) {
      calls += 1;
      for (const run of judgedRuns) {
        coordinator.setPhase(run, phase);
        coordinator.setWorkers(run, { expected: 2, ready: 2, running: 2, done: 0, lost: 0 });
        coordinator.setRowState(run, { version: calls, ledgerRows: calls, staleWrites: calls, moneyLost: calls * 50 });
        if (phase === "finished") coordinator.runJudged(run);
      }
      coordinator.setServerStatus("redis", status(REDIS_SERIES));
      coordinator.setServerStatus("mysql", status(MYSQL_SERIES));
      for (const worker of workers) {
        worker.operation("committed", 0.005, 50);
        worker.operation("rejected", 0.002, 0);
        worker.error("conflict");
        worker.lockWait(0.003);
        worker.naive();
      }
    },
  };
}

function judged(report: string, { runs }: Report): Registry {
  const { registry, runJudged } = createCoordinatorMetrics(report);
  for (const run of runs) runJudged(run);
  return registry;
}

/**
 * One count of each run is short by one operation. In addition to the mismatch there is an unknown run, which must not
 * hide it.
 */
function worse(report: Report): Report {
  const worsen = (run: RunReport): RunReport => ({
    ...run,
    agreement: run.strategy === "version" ? "unknown" : run.agreement,
    reconciliation: run.reconciliation.map((row) => (row.worker === 0 ? { ...row, prometheus: row.ledger - 1 } : row)),
  });
  return { ...report, runs: report.runs.map(worsen) };
}

async function serve(registry: Registry) {
  let scrapes = 0;
  const server = createServer(async (_request, response) => {
    response.end(await registry.metrics());
    scrapes += 1;
  });
  await once(server.listen(0, "127.0.0.1").unref(), "listening");
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { port: (server.address() as AddressInfo).port, scrapes: () => scrapes, close };
}

function only(panel: string, report: string, strategy = ".+") {
  const queries = dashboardQueries({ report, strategy, ...VARIABLES }).filter((query) => query.panel === panel);
  assert.equal(queries.length, 1);
  return queries[0]!.expr;
}

/** The numbers of all series, in order of time, without NaN, which a panel cannot show. */
async function values(expr: string, instant: boolean): Promise<number[]> {
  const now = Date.now() / 1_000;
  const parameters = instant ? { time: `${now}` } : { start: `${startedAt}`, end: `${now}`, step: "0.5" };
  const body = new URLSearchParams({ query: expr, ...parameters });
  const url = `${servers.prometheus!.url}/api/v1/query${instant ? "" : "_range"}`;
  const response = await fetch(url, { method: "POST", body, signal: AbortSignal.timeout(5_000) });
  const answer = (await response.json()) as Answer;
  assert.equal(answer.status, "success", `${answer.error}: ${expr}`);
  const samples = answer.data!.result.flatMap(({ value, values = [] }) => (value ? [value] : values));
  return samples.map(([, text]) => Number(text)).filter((number) => !Number.isNaN(number));
}

interface Answer {
  readonly status: string;
  readonly error?: string;
  readonly data?: { readonly result: readonly { value?: [number, string]; values?: [number, string][] }[] };
}
