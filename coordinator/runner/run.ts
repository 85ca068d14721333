/**
 * One run: one strategy, one fleet, from new rows to verdict.
 *
 *  1. put new rows into the database; nothing that another run uses is touched
 *  2. ask the launcher for the fleet
 *  3. wait until all workers are ready and Prometheus has scraped each once, so that its counts begin at 0
 *  4. start them together, and wait until all are done
 *  5. wait until Prometheus has the final numbers of all
 *  6. read the evidence: Prometheus at one instant, the workers' own numbers, the rows and their ledger
 *  7. judge, release the workers, and hand the evidence to the history
 *
 * A wait that passes its deadline, a lost worker, a server lost after the start of the fleet or a signal does not
 * discard the run: it becomes a problem in the evidence, and the verdict is `unknown` unless a violation was found.
 */
import { WAITING_HEARTBEAT_MS, type WorkerSpec } from "../../worker/contract.ts";
import type { Database, Rows } from "../clients/mysql.ts";
import type { Prometheus } from "../clients/prometheus.ts";
import type { RedisMonitor } from "../clients/redis.ts";
import { ServerError } from "../errors.ts";
import type { Evidence } from "../judge/evidence.ts";
import type { RecordedRun } from "../judge/history.ts";
import { createLedgerBuilder } from "../judge/ledger.ts";
import type { RunReport, ServerStates } from "../judge/report-data.ts";
import { judge } from "../judge/run-verdict.ts";
import { summarize } from "../judge/summarize.ts";
import { usesAllRedis } from "../plan/requirements.ts";
import { REFUSING_FAULT_NAMES, type RunPlan } from "../plan/run-plan.ts";
import type { Fleet, Launcher } from "../platform/launcher.ts";
import { EXTENSION_MS_MAX, type MakeFault } from "../platform/platform.ts";
import { DeadlinePassed, waitUntil } from "../wait.ts";
import { describeMissing, FleetLost, notReady, notScraped } from "./barriers.ts";
import type { CoordinatorServer } from "./http-server.ts";
import type { RunPhase } from "./metrics.ts";
import { createRoster, type Roster } from "./roster.ts";
import { createServerFaults, type ServerFaults } from "./server-faults.ts";
import { collectWorkers, findClaims, findGaleraServers, findUnreachedFault } from "./worker-evidence.ts";

export interface RunServices {
  readonly report: string;
  readonly launcher: Launcher;
  readonly server: CoordinatorServer;
  readonly database: Database;
  readonly prometheus: Prometheus;
  readonly redis: Pick<RedisMonitor, "state">;
  /** Absent where no faults of servers are made. */
  readonly makeFault?: MakeFault | undefined;
  readonly startDeadlineMs: number;
  /** Keeps all that the verdict was made of. Throws ServerError if it cannot. */
  readonly record?: ((recorded: RecordedRun) => Promise<void>) | undefined;
  /** Receives what happens, for the progress lines and the coordinator's own metrics. */
  readonly watch: RunWatcher;
}

export interface RunWatcher {
  phase(plan: RunPlan, phase: RunPhase): void;
  /** About once a second while workers exist. */
  fleet(plan: RunPlan, roster: Roster, elapsedMs: number | undefined): void;
}

/** From the start command to the first operation: several heartbeats of a worker that waits, so that all have the command. */
const START_IN_MS = 5 * WAITING_HEARTBEAT_MS;
const HEARTBEAT_MS = 250;
const LOOK_MS = 1_000;
const STATEMENT_TIMEOUT_MS = 10_000;
/** How long to wait for the last samples: Prometheus may be unavailable for a while and recover. */
const SCRAPE_DEADLINE_MS = 45_000;

export async function run(plan: RunPlan, services: RunServices, signal: AbortSignal): Promise<RunReport> {
  const { database, launcher, prometheus, server, watch } = services;
  const problems: string[] = [];
  const startedAt = new Date();

  // 1. New rows.
  watch.phase(plan, "starting");
  await database.reset(plan.run, plan.rows);
  const initial = await database.employees(plan.run);
  const before = await readServers(plan, services);

  // 2. The fleet.
  const faults = createServerFaults(plan, services, problems);
  const roster = createRoster(plan, faults);
  server.follow(roster);
  await using fleet = await launcher.launch(buildSpec(plan, services));
  using _watching = watchFleet(plan, fleet, roster, watch, problems);

  let waitedFor: string | undefined;
  try {
    // 3. The barrier.
    watch.phase(plan, "warming");
    const startWithin = { deadlineMs: services.startDeadlineMs, signal, everyMs: 100 };
    await waitUntil(() => notReady(plan, roster, prometheus), startWithin);

    // 4. The operations.
    await faults.prepare();
    roster.start(START_IN_MS);
    faults.begin(START_IN_MS);
    watch.phase(plan, "running");
    const longestMs = plan.durationMs + faults.delayMsMax + EXTENSION_MS_MAX;
    const deadlineMs = START_IN_MS + longestMs + plan.lockTimeoutMs + plan.holdMs + STATEMENT_TIMEOUT_MS;
    await waitUntil(() => describeMissing(roster.missing("done"), "not done"), { deadlineMs, signal });

    // 5. The last scrape.
    watch.phase(plan, "draining");
    const scrapeWithin = { deadlineMs: SCRAPE_DEADLINE_MS, signal, everyMs: 100 };
    await waitUntil(() => notScraped(plan, roster, prometheus), scrapeWithin);
  } catch (error) {
    if (error instanceof DeadlinePassed) waitedFor = error.missing;
    if (error instanceof DeadlinePassed || error instanceof FleetLost) problems.push(error.message);
    else if (signal.aborted) problems.push(describeInterruption(signal));
    else throw error;
    roster.abort("the run is over");
    await waitForAborted(roster);
  } finally {
    await faults.end();
  }

  // 6. The evidence.
  watch.phase(plan, "judging");
  const evidence = await readEvidence(plan, services, {
    roster,
    initial,
    before,
    startedAt,
    problems,
    waitedFor,
    faults,
  });

  // 7. The verdict.
  const judgement = judge(evidence);
  const endedAt = new Date();
  const report = summarize(evidence, judgement, startedAt, endedAt);
  roster.release();
  await waitAtMost(() => (roster.unreleased() === 0 ? undefined : "workers not released"), 1_000);
  await services.record?.({ evidence, startedAt, endedAt });
  watch.phase(plan, "finished");
  return report;
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

export const describeInterruption = ({ reason }: AbortSignal) =>
  `interrupted by ${reason instanceof Error ? reason.message : reason}`;

/** In place of rows that could not be read. Half a ledger would look like lost operations. */
const NOT_READ: Rows = { final: [], ledger: createLedgerBuilder().finish(), writers: [] };

/** The plan as the workers get it: with the coordinator's address, and without what only the judge needs. */
function buildSpec(
  { expects, mysqlServers, repeat, serverFaults, ...plan }: RunPlan,
  { report, launcher, startDeadlineMs }: RunServices,
): WorkerSpec {
  return {
    ...plan,
    ...(serverFaults?.some(({ name }) => REFUSING_FAULT_NAMES.includes(name))
      ? { outlastsRefusals: true as const }
      : {}),
    report,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    ledger: true,
    coordinatorUrl: launcher.coordinatorUrl,
    heartbeatMs: HEARTBEAT_MS,
    coordinatorLostMs: launcher.coordinatorLostMs,
    lingerMs: Math.max(startDeadlineMs, SCRAPE_DEADLINE_MS + 15_000),
  };
}

interface Observed {
  readonly roster: Roster;
  readonly initial: Evidence["initial"];
  readonly before: ServerStates;
  readonly startedAt: Date;
  readonly problems: string[];
  /** What a wait that passed its deadline was waiting for. */
  readonly waitedFor: string | undefined;
  readonly faults: Pick<ServerFaults, "times">;
}

/**
 * Reads all sources as of one moment. The workers' reports are frozen before the rows are read, so that anything a
 * given-up worker still commits or reports is ignored by all of them. A source that cannot be read is a problem.
 */
async function readEvidence(
  plan: RunPlan,
  services: RunServices,
  { roster, initial, before, startedAt, problems, waitedFor, faults }: Observed,
): Promise<Evidence> {
  const { database, prometheus } = services;
  const nowMs = Date.now();
  const workers = collectWorkers(plan, roster);
  // Scrapes are dated by the clock of Prometheus. If that is ahead, the last ones are later than this process's time.
  const scrapedUntilMs = await prometheus.nowMs().catch(() => nowMs);
  const rows = await database.snapshot(plan.run).catch((error: unknown) => {
    if (!(error instanceof ServerError)) throw error;
    problems.push(error.message);
    return NOT_READ;
  });
  const read = () => prometheus.read(plan.run, scrapedUntilMs, nowMs - startedAt.getTime() + 60_000);
  // A busy server may fail the first query; the same instant can be queried again.
  const scraped = await read()
    .catch(read)
    .catch((error) => {
      // The wait for the last scrape may have ended with the same error.
      if (error.message !== waitedFor) problems.push(error.message);
      return undefined;
    });
  return {
    plan: { ...plan, ...findGaleraServers(plan, workers), ...findClaims(plan, workers) },
    initial,
    ...rows,
    workers,
    prometheus: scraped,
    servers: { before, after: await readServers(plan, services) },
    ...(plan.serverFaults === undefined ? {} : { serverFaults: faults.times }),
    problems: [...problems, ...roster.unexpectedWorkers(), ...findUnreachedFault(plan, roster)],
  };
}

async function readServers(plan: RunPlan, { database, redis }: RunServices): Promise<ServerStates> {
  const [ofMysql, ofRedis] = await Promise.all([database.state(), redis.state(usesAllRedis(plan) ? "all" : "first")]);
  return { mysql: ofMysql, redis: ofRedis };
}

/** Waits, after an abort, until the workers have reported or exited, so that no statement is running when the ledger is read. */
const waitForAborted = (roster: Roster) =>
  waitAtMost(() => describeMissing(roster.missing("done"), "still at work"), 2_500);

/** A wait whose deadline may pass. */
const waitAtMost = (look: () => string | undefined, deadlineMs: number) =>
  waitUntil(look, { deadlineMs, signal: new AbortController().signal }).catch(() => {});

/** Checks the fleet once a second until disposed. */
function watchFleet(plan: RunPlan, fleet: Fleet, roster: Roster, watch: RunWatcher, problems: string[]): Disposable {
  let startedAtMs: number | undefined;
  let looking = false;
  const look = async () => {
    if (looking) return;
    looking = true;
    try {
      roster.note(await fleet.problems());
    } catch (error) {
      const message = `cannot check the fleet: ${error instanceof Error ? error.message : error}`;
      if (!problems.includes(message)) problems.push(message);
    }
    if (roster.count("running") > 0) startedAtMs ??= performance.now();
    watch.fleet(plan, roster, startedAtMs === undefined ? undefined : performance.now() - startedAtMs);
    looking = false;
  };
  const timer = setInterval(look, LOOK_MS);
  void look();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
