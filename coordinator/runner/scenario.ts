/**
 * A whole report:
 *
 *  1. wait until the servers answer, and check that each is what a run needs
 *  2. try what the Redis users must not be allowed to do
 *  3. make each run of the scenario, in order, and save what is finished
 *  4. judge the runs together
 *
 * Once a run is finished, an unreachable server ends only the current run, and a signal ends in a report: it lists what was
 * interrupted or not made, with the reason.
 */

import type { ServerAddresses } from "../clients/addresses.ts";
import { createDatabase } from "../clients/mysql.ts";
import { createPrometheus, type Prometheus } from "../clients/prometheus.ts";
import { createRedisMonitor } from "../clients/redis.ts";
import { checkAccess, probeAcl } from "../clients/redis-acl.ts";
import type { Config } from "../config.ts";
import { ServerError } from "../errors.ts";
import type { Report, RunReport } from "../judge/report-data.ts";
import { judgeAcl, judgeReport } from "../judge/report-verdict.ts";
import { missingFor } from "../plan/requirements.ts";
import { labelsOf } from "../plan/run-names.ts";
import type { RunPlan } from "../plan/run-plan.ts";
import { nameRuns } from "../plan/scenarios/index.ts";
import type { Platform } from "../platform/platform.ts";
import type { Progress } from "../report/progress.ts";
import { waitUntil } from "../wait.ts";
import { type CoordinatorServer, serveCoordinator } from "./http-server.ts";
import { createCoordinatorMetrics } from "./metrics.ts";
import { describeInterruption, type RunWatcher, run, StrategyUnavailable } from "./run.ts";
import { createSampler } from "./sampler.ts";

export async function makeReport(
  config: Config,
  platform: Platform,
  progress: Progress,
  version: string,
  signal: AbortSignal,
): Promise<Report> {
  const { settings, options } = config;
  const startedAt = new Date();
  const metrics = createCoordinatorMetrics(platform.report);
  using server = await listen(platform, metrics);
  await using clients = openClients(platform.servers);
  const context: Context = { config, platform, progress, signal, metrics, server, clients };

  // 1. The servers.
  const environment = await checkServers(context);

  // 2. The negative probes.
  const probes = await probeUsers(platform.servers, settings.scenario === "acl");

  // 3. The runs.
  const { runs, skipped } = await makeRuns(context);
  await waitForLastScrape(clients.prometheus, runs.at(-1), signal);

  // 4. The verdict.
  const { acl, aclNote } = probes;
  return {
    schema: "holdfast/report/v2",
    report: platform.report,
    version,
    scenario: settings.scenario,
    startedAt: startedAt.toISOString(),
    endedAt: new Date().toISOString(),
    where: platform.launcher.where,
    options,
    environment,
    ...probes,
    runs,
    skipped,
    verdict: config.plans.length === 0 ? judgeAcl(acl, aclNote) : judgeReport(runs, skipped, acl),
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

type Metrics = ReturnType<typeof createCoordinatorMetrics>;

/** What every step of a report uses. */
interface Context {
  readonly config: Config;
  readonly platform: Platform;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  readonly metrics: Metrics;
  readonly server: CoordinatorServer;
  readonly clients: Clients;
}

async function listen({ listen, token, launcher }: Platform, metrics: Metrics): Promise<CoordinatorServer> {
  const server = await serveCoordinator({ ...listen, token, metrics: () => metrics.registry.metrics() }).catch(
    (error) => {
      const fix = "free the port or set HOLDFAST_LISTEN";
      throw new ServerError(`cannot listen on ${listen.host}:${listen.port}`, error.message, fix);
    },
  );
  server.setTargets([...launcher.targets(), `${listen.host}:${server.port}`]);
  return server;
}

type Clients = ReturnType<typeof openClients>;

function openClients(servers: ServerAddresses) {
  const database = createDatabase(servers.mysqlUrl, servers.mysqlPassword);
  const prometheus = createPrometheus(servers.prometheusUrl);
  const redis = createRedisMonitor(servers);
  return {
    database,
    prometheus,
    redis,
    async [Symbol.asyncDispose]() {
      redis.close();
      await database.close().catch(() => {});
    },
  };
}

/** Waits until all servers answer. Returns their versions and the settings that change what a lock can promise. */
async function checkServers({ platform, progress, signal, clients }: Context): Promise<Report["environment"]> {
  const { database, prometheus, redis } = clients;
  progress.step("checking MySQL, Redis and Prometheus");
  const within = { deadlineMs: platform.serversDeadlineMs, signal, everyMs: 500 };
  const databaseSettings = await waitForAnswer(() => database.check(), within, progress);
  const prometheusVersion = await waitForAnswer(() => prometheus.check(), within, progress);
  const redisVersion = await waitForAnswer(() => redis.check(), within, progress);
  if (platform.earlier.finished.length === 0) await database.purge();
  return {
    ...databaseSettings,
    redis: redisVersion,
    prometheus: prometheusVersion,
    ...platform.servers.notes,
    node: process.version,
  };
}

/** The runs that were made, those of an earlier coordinator first, and those that were not, each with the reason. */
async function makeRuns(context: Context): Promise<Pick<Report, "runs" | "skipped">> {
  const { config, platform, progress, metrics } = context;
  const runs: RunReport[] = [...platform.earlier.finished];
  const skipped: Report["skipped"] = [];
  for (const finished of runs) {
    metrics.runJudged(finished);
    metrics.setPhase(finished, "finished");
  }
  const plans = nameRuns(platform.report, config.plans);
  const names = nameEach(plans);
  for (const plan of plans) {
    if (runs.some((finished) => finished.run === plan.run)) continue;
    const name = names.get(plan.run) ?? plan.strategy;
    const { finished, skipped: reason } = await makeRun(plan, name, runs, context);
    if (reason !== undefined) skipped.push({ strategy: name, ...reason });
    if (finished === undefined) continue;
    runs.push(finished);
    metrics.runJudged(finished);
    progress.verdict(finished, name);
    const { data, exclusion } = finished;
    platform.recordEvent("StrategyFinished", `${name}: data ${data.value}, exclusion ${exclusion.value}`);
    await platform.saveProgress(runs, undefined);
  }
  return { runs, skipped };
}

interface Made {
  readonly finished?: RunReport;
  /** Why the run was not made. */
  readonly skipped?: Omit<Report["skipped"][number], "strategy">;
}

/** Makes one run of the scenario, unless it cannot be made. */
async function makeRun(
  plan: RunPlan,
  name: string,
  runs: readonly RunReport[],
  { config, platform, progress, signal, metrics, server, clients }: Context,
): Promise<Made> {
  const { settings } = config;
  const { database, prometheus, redis } = clients;
  if (platform.earlier.interrupted.includes(plan.run))
    return { skipped: { reason: "the coordinator restarted during this run" } };
  if (signal.aborted) return { skipped: { reason: describeInterruption(signal) } };
  // Skipping a strategy that the scenario chose does not affect the verdict. Skipping one that the user named does.
  const unavailable = settings.strategies.length > 0 ? {} : { unavailable: true as const };
  const missing = missingFor(plan, platform.servers);
  if (missing !== undefined) return { skipped: { reason: missing, ...unavailable } };

  await platform.saveProgress(runs, plan.run);
  platform.recordEvent("RunStarted", `${name}: ${plan.workers} workers for ${plan.durationMs / 1_000} s`);
  await using _sampler = createSampler({ mysqlPool: database.pool, redis: redis.connection, metrics, run: plan });
  const { report, launcher } = platform;
  const watch = watcher(name, progress, metrics);
  const services = { report, launcher, server, database, prometheus, watch };
  try {
    return { finished: await run(plan, { ...services, startDeadlineMs: settings.startDeadlineMs }, signal) };
  } catch (error) {
    metrics.setPhase(plan, "finished");
    if (error instanceof StrategyUnavailable) return { skipped: { reason: error.message, ...unavailable } };
    // A server that fails after the first run does not discard the runs that are finished.
    if (error instanceof ServerError && runs.length > 0) return { skipped: { reason: error.message } };
    throw error;
  }
}

/** Asks until the server answers. An answer that waiting cannot change (a refused user, a missing table) is thrown at once. */
async function waitForAnswer<T>(
  ask: () => Promise<T>,
  within: Parameters<typeof waitUntil>[1],
  progress: Progress,
): Promise<T> {
  let answer: { value: T } | undefined;
  let last: unknown;
  const look = async () => {
    try {
      answer = { value: await ask() };
      return undefined;
    } catch (error) {
      if (!(error instanceof ServerError) || error.final) throw error;
      last = error;
      progress.step(`waiting: ${error.message}`);
      return error.message;
    }
  };
  await waitUntil(look, within).catch((error) => {
    throw within.signal.aborted ? error : (last ?? error);
  });
  return answer!.value;
}

/** Waits a little for Prometheus to scrape the last verdict, which the dashboard shows: this process exits soon. */
async function waitForLastScrape(prometheus: Prometheus, last: RunReport | undefined, signal: AbortSignal) {
  if (last === undefined || signal.aborted) return;
  const look = async () => {
    const scraped = await prometheus.query(`holdfast_agreement{run="${last.run}"}`).catch(() => []);
    return scraped.length > 0 ? undefined : "the last verdict is not scraped";
  };
  await waitUntil(look, { deadlineMs: 3_000, signal, everyMs: 100 }).catch(() => {});
}

/** The name of each run while it is made: the one that the report will use if all runs are made. */
function nameEach(plans: readonly RunPlan[]): ReadonlyMap<string, string> {
  const named = plans.map((plan) => ({ ...plan, plan }));
  const labels = labelsOf(named);
  return new Map(named.map((plan) => [plan.run, labels.get(plan) ?? plan.strategy]));
}

/**
 * The probes need Holdfast's own Redis users; other users promise nothing that could be checked.
 * `matrix`: every user tries everything.
 */
async function probeUsers(
  { redisUrl, redisPasswords: passwords }: ServerAddresses,
  matrix: boolean,
): Promise<Pick<Report, "acl" | "aclNote" | "aclGranted">> {
  if (Object.keys(passwords).length === 0)
    return {
      acl: [],
      aclNote: "not tried: this Redis is used with the user of REDIS_URL, not with the users of helm/files/users.acl",
    };
  const granted = await checkAccess({ redisUrl, passwords });
  const acl = await probeAcl({ redisUrl, passwords, matrix });
  return matrix ? { acl, aclGranted: granted } : { acl };
}

function watcher(name: string, progress: Progress, metrics: ReturnType<typeof createCoordinatorMetrics>): RunWatcher {
  return {
    phase(plan: RunPlan, phase) {
      metrics.setPhase(plan, phase);
      if (phase === "draining") progress.step(`${name}: waiting for the last scrape`);
    },
    fleet(plan, roster, elapsedMs) {
      const lost = roster.lost().length;
      const counts = { ready: roster.count("ready"), running: roster.count("running"), done: roster.count("done") };
      metrics.setWorkers(plan, { expected: plan.workers, ...counts, lost });
      if (counts.running + counts.done === 0) {
        const waiting = `${name}: waiting for ${plan.workers} workers (${counts.ready} ready)`;
        progress.step([waiting, ...roster.waiting()].join("; "));
        return;
      }
      if (counts.running === 0 || elapsedMs === undefined) return;
      const committed = roster.all().reduce((total, worker) => total + worker.committed, 0);
      const rejected = roster.all().reduce((total, worker) => total + worker.rejected, 0);
      const seconds = Math.max(elapsedMs / 1_000, 0.1);
      progress.rate({
        strategy: name,
        elapsedMs,
        durationMs: plan.durationMs,
        workers: counts.running,
        committed,
        committedPerSecond: committed / seconds,
        rejectedPerSecond: rejected / seconds,
        lost,
      });
    },
  };
}
