/**
 * A whole report:
 *
 *  1. wait until the servers answer, and check that each is what a run needs
 *  2. try what the Redis users must not be allowed to do
 *  3. make each run of the scenario, in order, and save what is finished, with its history where one is wanted
 *  4. judge the runs together
 *
 * Once a run is finished, an unreachable server ends only the current run, and a signal ends in a report: it lists what was
 * interrupted or not made, with the reason.
 */

import { redisAddress, redisKind, redisUsers } from "../../worker/servers/redis.ts";
import { hostAndPort } from "../../worker/servers/url.ts";
import type { ServerAddresses } from "../clients/addresses.ts";
import { createDatabase } from "../clients/mysql.ts";
import { createPrometheus, type Prometheus } from "../clients/prometheus.ts";
import { createRedisMonitor } from "../clients/redis.ts";
import { checkAccess, checkOtherServers, type Granted, probeAcl } from "../clients/redis-acl.ts";
import type { Config } from "../config.ts";
import { ServerError } from "../errors.ts";
import type { Report, RunReport } from "../judge/report-data.ts";
import { concludeReport } from "../judge/report-verdict.ts";
import { nameEach, nameSkipped } from "../plan/repeats.ts";
import { missingFaultsFor, missingFor, usesAllRedis } from "../plan/requirements.ts";
import type { RunPlan } from "../plan/run-plan.ts";
import { nameRuns } from "../plan/scenarios/index.ts";
import { chosenFaults, redraw } from "../plan/scenarios/soak.ts";
import type { Platform } from "../platform/platform.ts";
import type { Progress } from "../report/progress.ts";
import { waitUntil } from "../wait.ts";
import { StrategyUnavailable } from "./barriers.ts";
import { type CoordinatorServer, serveCoordinator } from "./http-server.ts";
import { checkLockServices } from "./lock-services.ts";
import { createCoordinatorMetrics } from "./metrics.ts";
import { describeInterruption, type RunServices, type RunWatcher, run } from "./run.ts";
import { createSampler } from "./sampler.ts";
import { shorten } from "./shorten.ts";
import { waitForAnswer } from "./wait-for-answer.ts";

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
  const { environment, granted, services } = await checkServers(context);

  // 2. The negative probes.
  const ofRedis = await probeUsers(platform.servers, granted, settings.scenario === "acl");
  const probes = { ...ofRedis, acl: [...ofRedis.acl, ...services.acl] };

  // 3. The runs.
  const { runs, skipped } = await makeRuns(context);
  await waitForLastScrape(clients.prometheus, runs.at(-1), signal);

  // 4. The verdict.
  const facts = {
    report: platform.report,
    version,
    scenario: settings.scenario,
    startedAt: startedAt.toISOString(),
    endedAt: new Date().toISOString(),
    where: platform.launcher.where,
    options,
    environment,
    ...probes,
    skipped,
  };
  return concludeReport(facts, runs);
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
      throw new ServerError(`cannot listen on ${hostAndPort(listen.host, listen.port)}`, error.message, fix);
    },
  );
  server.setTargets([...launcher.targets(), hostAndPort(listen.host, server.port)]);
  return server;
}

type Clients = ReturnType<typeof openClients>;

function openClients(servers: ServerAddresses) {
  const database = createDatabase(servers.variables);
  const prometheus = createPrometheus(servers.variables);
  const redis = createRedisMonitor(servers.variables);
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

/**
 * Waits until all servers answer. Returns their versions, the settings that change what a lock can promise, and the
 * commands that Redis granted.
 */
async function checkServers({ config, platform, progress, signal, clients }: Context) {
  const { database, prometheus, redis } = clients;
  progress.step("checking MySQL, Redis and Prometheus");
  const within = { deadlineMs: platform.serversDeadlineMs, signal, everyMs: 500 };
  const wait = <T>(check: () => Promise<T>) => waitForAnswer(check, within, progress, platform);
  const databaseSettings = await wait(() => database.check());
  const prometheusVersion = await wait(() => prometheus.check());
  const redisVersion = await wait(() => redis.check());
  const { variables, notes } = platform.servers;
  const granted = await wait(() => checkAccess(variables));
  if (config.plans.some(usesAllRedis)) await checkOtherServers(variables);
  if (platform.earlier.finished.length === 0) await database.purge();
  const services = await checkLockServices(config.plans, variables, platform.servers.missingServices, wait);
  const versions = { redis: redisVersion, prometheus: prometheusVersion, ...services.versions };
  return { environment: { ...databaseSettings, ...versions, ...notes, node: process.version }, granted, services };
}

/** The runs that were made, those of an earlier coordinator first, and those that were not, each with the reason. */
async function makeRuns(context: Context): Promise<Pick<Report, "runs" | "skipped">> {
  const { config, platform, progress, metrics } = context;
  const runs: RunReport[] = [...platform.earlier.finished];
  const skipped = new Map<RunPlan, NonNullable<Made["skipped"]>>();
  for (const finished of runs) {
    metrics.runJudged(finished);
    metrics.setPhase(finished, "finished");
  }
  const possible = possibleFaults(context);
  const plans = nameRuns(
    platform.report,
    config.plans.map((plan) => redraw(plan, possible)),
  );
  const names = nameEach(plans);
  for (const plan of plans) {
    if (runs.some((finished) => finished.run === plan.run)) continue;
    const name = names.get(plan) ?? plan.strategy;
    const { finished, skipped: reason } = await makeRun(plan, name, runs, context);
    if (reason !== undefined) skipped.set(plan, reason);
    if (finished === undefined) continue;
    runs.push(finished);
    metrics.runJudged(finished);
    progress.verdict(finished, name);
    const { data, exclusion } = finished;
    platform.recordEvent("StrategyFinished", `${name}: data ${data.value}, exclusion ${exclusion.value}`);
    await platform.saveProgress(runs, undefined);
  }
  return { runs, skipped: nameSkipped(skipped, plans) };
}

const possibleFaults = ({ config, platform }: Context) => chosenFaults(config.settings, platform.servers.missingFaults);

interface Made {
  readonly finished?: RunReport;
  /** Why the run was not made. */
  readonly skipped?: Omit<Report["skipped"][number], "strategy">;
}

/** Makes one run of the scenario, unless it cannot be made. */
async function makeRun(plan: RunPlan, name: string, runs: readonly RunReport[], context: Context): Promise<Made> {
  const { config, platform, progress, signal, metrics, server, clients } = context;
  const { settings } = config;
  const { database, prometheus, redis } = clients;
  if (platform.earlier.interrupted.includes(plan.run))
    return { skipped: { reason: "the coordinator restarted during this run" } };
  if (signal.aborted) return { skipped: { reason: describeInterruption(signal) } };
  // Skipping what the scenario chose does not affect the verdict. Skipping a strategy or fault that the user named does.
  const named = settings.strategies.length > 0 || plan.ownLock !== undefined;
  const unavailable = named ? {} : { unavailable: true as const };
  const missing = missingFor(plan, platform.servers);
  if (missing !== undefined) return { skipped: { reason: missing, ...unavailable } };
  const missingFault = missingFaultsFor(plan, platform.servers);
  if (missingFault !== undefined)
    return { skipped: { reason: missingFault, ...(settings.faults.length > 0 ? {} : { unavailable: true as const }) } };

  await platform.saveProgress(runs, plan.run);
  platform.recordEvent("RunStarted", `${name}: ${plan.workers} workers for ${plan.durationMs / 1_000} s`);
  await using _sampler = createSampler({ mysqlPool: database.pool, redis, metrics, run: plan });
  const { report, launcher, makeFault } = platform;
  const watch = watcher(name, progress, metrics);
  const services = { report, launcher, server, database, prometheus, redis, makeFault, watch };
  const make = (made: RunPlan, record?: RunServices["record"]) =>
    run(made, { ...services, record, startDeadlineMs: settings.startDeadlineMs }, signal);
  try {
    const finished = await make(plan, platform.saveHistory);
    if (plan.soak === undefined || finished.agreement !== "mismatch") return { finished };
    progress.step(`${name}: violated; repeating it with fewer faults`);
    // The violation is reported, whether or not it can be repeated.
    const again = shorten(plan, possibleFaults(context), (fewer) => make(fewer), signal);
    const shortened = await again.catch((error) => {
      progress.warn(`${name} could not be repeated with fewer faults: ${error.message}`);
      return undefined;
    });
    return { finished: shortened === undefined ? finished : { ...finished, shortened } };
  } catch (error) {
    metrics.setPhase(plan, "finished");
    if (error instanceof StrategyUnavailable) return { skipped: { reason: error.message, ...unavailable } };
    // A server that fails after the first run does not discard the runs that are finished.
    if (error instanceof ServerError && runs.length > 0) return { skipped: { reason: error.message } };
    throw error;
  }
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

/**
 * The probes need Holdfast's own Redis users; other users promise nothing that could be checked.
 * `matrix`: every user tries everything.
 */
async function probeUsers(
  { variables }: ServerAddresses,
  granted: readonly Granted[],
  matrix: boolean,
): Promise<Pick<Report, "acl" | "aclNote" | "aclGranted">> {
  if (redisUsers(variables).length === 0)
    return {
      acl: [],
      aclNote: "not tried: this Redis is used with the user of REDIS_URL, not with the users of helm/files/users.acl",
    };
  const acl = await probeAcl(variables, { matrix });
  const note =
    redisKind(variables) === "cluster"
      ? {
          aclNote: `tried at ${redisAddress(variables)} and, for a key, at the node that has it; the other nodes of the cluster were not asked`,
        }
      : {};
  return matrix ? { acl, ...note, aclGranted: [...granted] } : { acl, ...note };
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
        durationMs: roster.durationMs(),
        workers: counts.running,
        committed,
        committedPerSecond: committed / seconds,
        rejectedPerSecond: rejected / seconds,
        lost,
      });
    },
  };
}
