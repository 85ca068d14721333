/**
 * A whole report:
 *
 *  1. wait until the servers answer, and check that each is what a run needs
 *  2. try what the Redis users must not be able to do
 *  3. make each run of the scenario, in order, keeping what is finished
 *  4. judge the runs together
 *
 * From the first run on there is a report whatever happens: what was interrupted or not made stands in it with its reason.
 */

import type { ServerAddresses } from "../clients/addresses.ts";
import { createDatabase } from "../clients/mysql.ts";
import { createPrometheus, type Prometheus } from "../clients/prometheus.ts";
import { createRedisMonitor } from "../clients/redis.ts";
import { checkAccess, probeAcl } from "../clients/redis-acl.ts";
import type { Config } from "../config.ts";
import { ServerError } from "../errors.ts";
import { settingsOf } from "../judge/faults.ts";
import type { Report, RunReport } from "../judge/report-data.ts";
import { judgeAcl, judgeReport } from "../judge/run-verdict.ts";
import { missingFor } from "../plan/requirements.ts";
import type { RunPlan } from "../plan/run-plan.ts";
import { nameRuns } from "../plan/scenarios/index.ts";
import type { Platform } from "../platform/platform.ts";
import { labelsOf } from "../report/describe-run.ts";
import type { Progress } from "../report/progress.ts";
import { waitUntil } from "../wait.ts";
import { serveCoordinator } from "./http-server.ts";
import { createCoordinatorMetrics } from "./metrics.ts";
import { type RunWatcher, run, StrategyUnavailable } from "./run.ts";
import { createSampler } from "./sampler.ts";

export async function makeReport(
  config: Config,
  platform: Platform,
  progress: Progress,
  version: string,
  signal: AbortSignal,
): Promise<Report> {
  const { settings, options } = config;
  const { servers } = platform;
  const startedAt = new Date();

  const metrics = createCoordinatorMetrics(platform.report);
  using server = await serveCoordinator({
    ...platform.listen,
    token: platform.token,
    metrics: () => metrics.registry.metrics(),
  }).catch((error) => {
    throw new ServerError(
      `cannot listen on ${platform.listen.host}:${platform.listen.port}`,
      error.message,
      "free the port or set HOLDFAST_LISTEN",
    );
  });
  server.setTargets([...platform.launcher.targets(), `${platform.listen.host}:${server.port}`]);

  // 1. The servers.
  const database = createDatabase(servers.mysqlUrl, servers.mysqlPassword);
  const prometheus = createPrometheus(servers.prometheusUrl);
  const redis = createRedisMonitor(servers);
  try {
    progress.step("checking MySQL, Redis and Prometheus");
    const within = { deadlineMs: platform.serversDeadlineMs, signal, everyMs: 500 };
    const settingsOfDatabase = await answered(() => database.check(), within, progress);
    const prometheusVersion = await answered(() => prometheus.check(), within, progress);
    const redisVersion = await answered(() => redis.check(), within, progress);
    if (platform.earlier.finished.length === 0) await database.purge();

    // 2. The negative probes.
    const { acl, aclNote, aclGranted } = await aclOf(servers, settings.scenario === "acl");
    const environment = {
      ...settingsOfDatabase,
      redis: redisVersion,
      prometheus: prometheusVersion,
      ...servers.notes,
      node: process.version,
    };

    // 3. The runs.
    const runs: RunReport[] = [...platform.earlier.finished];
    const skipped: Report["skipped"] = [];
    for (const finished of runs) {
      metrics.runJudged(finished);
      metrics.setPhase(finished, "finished");
    }
    const plans = nameRuns(platform.report, config.plans);
    const names = namesOfPlans(plans);
    for (const plan of plans) {
      const name = names.get(plan.run) ?? plan.strategy;
      if (runs.some((finished) => finished.run === plan.run)) continue;
      const reason = platform.earlier.interrupted.includes(plan.run)
        ? "coordinator restarted while it ran"
        : signal.aborted
          ? `not made: ${reasonOf(signal)}`
          : undefined;
      if (reason !== undefined) {
        skipped.push({ strategy: name, reason });
        continue;
      }
      // What the scenario chose and cannot be had here leaves no doubt about the rest; what the user asked for does.
      const skip = (why: string) =>
        skipped.push({
          strategy: name,
          reason: why,
          ...(settings.strategies.length > 0 ? {} : { unavailable: true as const }),
        });
      const missing = missingFor(plan, servers);
      if (missing !== undefined) {
        skip(missing);
        continue;
      }
      await platform.saveProgress(runs, plan.run);
      platform.recordEvent("RunStarted", `${name}: ${plan.workers} workers for ${plan.durationMs / 1_000} s`);
      await using _sampler = createSampler({ mysqlPool: database.pool, redis: redis.connection, metrics, run: plan });
      const finished = await run(
        plan,
        {
          report: platform.report,
          launcher: platform.launcher,
          server,
          database,
          prometheus,
          startDeadlineMs: settings.startDeadlineMs,
          watch: watcher(name, progress, metrics),
        },
        signal,
      ).catch((error) => {
        if (error instanceof StrategyUnavailable) skip(error.message);
        // Once there is something to report, a server that is gone does not take it along.
        else if (error instanceof ServerError && runs.length > 0)
          skipped.push({ strategy: name, reason: error.message });
        else throw error;
        metrics.setPhase(plan, "finished");
        return undefined;
      });
      if (finished === undefined) continue;
      runs.push(finished);
      metrics.runJudged(finished);
      progress.verdict(finished, name);
      platform.recordEvent(
        "StrategyFinished",
        `${name}: data ${finished.data.value}, exclusion ${finished.exclusion.value}`,
      );
      await platform.saveProgress(runs, undefined);
    }

    await lastVerdictScraped(prometheus, runs.at(-1), signal);

    // 4. The verdict.
    return {
      schema: "holdfast/report/v1",
      report: platform.report,
      version,
      scenario: settings.scenario,
      startedAt: startedAt.toISOString(),
      endedAt: new Date().toISOString(),
      where: platform.launcher.where,
      options,
      environment,
      acl: [...acl],
      ...(aclGranted === undefined ? {} : { aclGranted }),
      ...(aclNote === undefined ? {} : { aclNote }),
      runs,
      skipped,
      verdict: plans.length === 0 ? judgeAcl(acl, aclNote) : judgeReport(runs, skipped, acl),
    };
  } finally {
    redis.close();
    await database.close().catch(() => {});
  }
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const reasonOf = (signal: AbortSignal) =>
  `interrupted by ${signal.reason instanceof Error ? signal.reason.message : signal.reason}`;

/** Asks until the server answers; an answer that will not change by waiting (a refused user, a missing table) is final. */
async function answered<T>(
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

/** The dashboard shows what Prometheus has, and this process ends soon. That it has the last verdict is worth a moment. */
async function lastVerdictScraped(prometheus: Prometheus, last: RunReport | undefined, signal: AbortSignal) {
  if (last === undefined || signal.aborted) return;
  const look = async () => {
    const scraped = await prometheus.query(`holdfast_agreement{run="${last.run}"}`).catch(() => []);
    return scraped.length > 0 ? undefined : "the last verdict is not scraped";
  };
  await waitUntil(look, { deadlineMs: 3_000, signal, everyMs: 100 }).catch(() => {});
}

/** What each run is called while it is made: as the report will call it, if all of them are made. */
function namesOfPlans(plans: readonly RunPlan[]): ReadonlyMap<string, string> {
  const named = plans.map((plan) => ({ ...plan, mix: plan.mix && [...plan.mix], plan: settingsOf(plan) }));
  const labels = labelsOf(named);
  return new Map(named.map((plan) => [plan.run, labels.get(plan) ?? plan.strategy]));
}

/**
 * The probes are for servers with Holdfast's own users; another server's users promise nothing that could be checked.
 * `matrix`: every user tries everything.
 */
async function aclOf(
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
