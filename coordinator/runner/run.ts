/**
 * One run: one strategy, one fleet, from new rows to verdict.
 *
 *  1. put new rows into the database; nothing that another run uses is touched
 *  2. ask the launcher for the fleet
 *  3. wait until all workers are ready and Prometheus has scraped each once, so that its counts begin at 0
 *  4. start them together, and wait until all are done
 *  5. wait until Prometheus has the final numbers of all
 *  6. read the evidence: Prometheus at one instant, the workers' own numbers, the rows and their ledger
 *  7. judge, then release the workers
 *
 * A wait that passes its deadline, a lost worker, a server lost after the start of the fleet or a signal does not discard the run: it becomes
 * a problem in the evidence, and the verdict is `unknown` unless a violation was found as well.
 */
import type { WorkerSpec } from "../../worker/contract.ts";
import type { Database, Rows } from "../clients/mysql.ts";
import type { Prometheus } from "../clients/prometheus.ts";
import { ServerError } from "../errors.ts";
import type { Evidence, WorkerEvidence } from "../judge/evidence.ts";
import { createLedgerBuilder } from "../judge/ledger.ts";
import type { RunReport } from "../judge/report-data.ts";
import { judge } from "../judge/run-verdict.ts";
import { summarize } from "../judge/summarize.ts";
import { type RunPlan, workerIndexes } from "../plan/run-plan.ts";
import type { Fleet, Launcher } from "../platform/launcher.ts";
import { DeadlinePassed, waitUntil } from "../wait.ts";
import type { CoordinatorServer } from "./http-server.ts";
import type { RunPhase } from "./metrics.ts";
import { createRoster, type Roster } from "./roster.ts";

export interface RunServices {
  readonly report: string;
  readonly launcher: Launcher;
  readonly server: CoordinatorServer;
  readonly database: Database;
  readonly prometheus: Prometheus;
  readonly startDeadlineMs: number;
  /** Receives what happens, for the progress lines and the coordinator's own metrics. */
  readonly watch: RunWatcher;
}

export interface RunWatcher {
  phase(plan: RunPlan, phase: RunPhase): void;
  /** About once a second while workers exist. */
  fleet(plan: RunPlan, roster: Roster, elapsedMs: number | undefined): void;
}

/** From the start command to the first operation: longer than two heartbeats, so that every worker has received it. */
const START_IN_MS = 600;
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

  // 2. The fleet.
  const roster = createRoster(plan.run, plan.workers);
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
    roster.start(START_IN_MS);
    watch.phase(plan, "running");
    const drainMs = plan.durationMs + plan.lockTimeoutMs + plan.holdMs + STATEMENT_TIMEOUT_MS + START_IN_MS;
    await waitUntil(() => describeMissing(roster.missing("done"), "not done"), { deadlineMs: drainMs, signal });

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
  }

  // 6. The evidence.
  watch.phase(plan, "judging");
  const evidence = await readEvidence(plan, services, { roster, initial, startedAt, problems, waitedFor });

  // 7. The verdict.
  const report = summarize(evidence, judge(evidence), startedAt, new Date());
  roster.release();
  await waitAtMost(() => (roster.unreleased() === 0 ? undefined : "workers not released"), 1_000);
  watch.phase(plan, "finished");
  return report;
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

export const describeInterruption = ({ reason }: AbortSignal) =>
  `interrupted by ${reason instanceof Error ? reason.message : reason}`;

/** The strategy cannot be used where the workers are: there is no run, and the message is the reason. */
export class StrategyUnavailable extends Error {
  override name = "StrategyUnavailable";
}

/** In place of rows that could not be read. Half a ledger would look like lost operations. */
const NOT_READ: Rows = { final: [], ledger: createLedgerBuilder().finish(), writers: [] };

/** No worker is left to wait for. */
class FleetLost extends Error {
  override name = "FleetLost";
}

/** The plan as the workers get it: with the servers' addresses, and without what theory expects. */
function buildSpec({ expects, ...plan }: RunPlan, { report, launcher, startDeadlineMs }: RunServices): WorkerSpec {
  return {
    ...plan,
    report,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    ledger: true,
    coordinatorUrl: launcher.coordinatorUrl,
    heartbeatMs: HEARTBEAT_MS,
    coordinatorLostMs: launcher.coordinatorLostMs,
    lingerMs: Math.max(startDeadlineMs, SCRAPE_DEADLINE_MS + 15_000),
  };
}

/** What the start still waits for. Throws FleetLost once a worker is lost, because the run cannot be complete then. */
async function notReady(plan: RunPlan, roster: Roster, prometheus: Prometheus): Promise<string | undefined> {
  const unavailable = roster.unavailable();
  if (unavailable !== undefined) throw new StrategyUnavailable(unavailable);
  // The evidence of each lost worker has the reason.
  if (roster.lost().length > 0) throw new FleetLost("the run did not start, because a worker was lost");
  const absentWorkers = describeMissing(roster.missing("ready"), "not ready");
  if (absentWorkers !== undefined) return [absentWorkers, ...roster.waiting()].join("; ");
  const scraped = await prometheus.workersWith("ready", plan.run).catch((error) => error as Error);
  if (scraped instanceof Error) return scraped.message;
  const unscraped = workerIndexes(plan).filter((index) => !scraped.includes(index));
  return describeMissing(unscraped, "not scraped by Prometheus");
}

async function notScraped(plan: RunPlan, roster: Roster, prometheus: Prometheus): Promise<string | undefined> {
  const ended = roster.all().filter(({ final }) => final !== undefined);
  // A worker that died on purpose, or was stopped before the end, serves no last scrape.
  const there = ended.filter(({ final, failure }) => !final?.died && failure === undefined);
  const finished = new Set(there.map(({ index }) => index));
  if (ended.length === 0) throw new FleetLost("no worker finished");
  const scraped = await prometheus.workersWith("done", plan.run).catch((error) => error as Error);
  if (scraped instanceof Error) return scraped.message;
  return describeMissing(
    [...finished].filter((index) => !scraped.includes(index)),
    "without a last scrape by Prometheus",
  );
}

function describeMissing(missing: readonly number[], what: string): string | undefined {
  if (missing.length === 0) return undefined;
  const names = missing.slice(0, 8).map((index) => `worker-${index}`);
  return `${names.join(", ")}${missing.length > 8 ? ` and ${missing.length - 8} more` : ""} ${what}`;
}

interface Observed {
  readonly roster: Roster;
  readonly initial: Evidence["initial"];
  readonly startedAt: Date;
  readonly problems: string[];
  /** What a wait that passed its deadline was waiting for. */
  readonly waitedFor: string | undefined;
}

/**
 * Reads all sources as of one moment. The workers' reports are frozen before the rows are read, so that anything a
 * given-up worker still commits or reports is ignored by all of them. A source that cannot be read is a problem.
 */
async function readEvidence(
  plan: RunPlan,
  { database, prometheus }: RunServices,
  { roster, initial, startedAt, problems, waitedFor }: Observed,
): Promise<Evidence> {
  const nowMs = Date.now();
  const workers = collectWorkers(plan, roster);
  const rows = await database.snapshot(plan.run).catch((error: unknown) => {
    if (!(error instanceof ServerError)) throw error;
    problems.push(error.message);
    return NOT_READ;
  });
  const read = () => prometheus.read(plan.run, nowMs, nowMs - startedAt.getTime() + 60_000);
  // A busy server may fail the first query; the same instant can be queried again.
  const scraped = await read()
    .catch(read)
    .catch((error) => {
      // The wait for the last scrape may have ended with the same error.
      if (error.message !== waitedFor) problems.push(error.message);
      return undefined;
    });
  return {
    plan,
    initial,
    ...rows,
    workers,
    prometheus: scraped,
    problems: [...problems, ...roster.unexpectedWorkers(), ...findUnreachedFault(plan, roster)],
  };
}

/** Waits, after an abort, until the workers have reported or exited, so that no statement is running when the ledger is read. */
const waitForAborted = (roster: Roster) =>
  waitAtMost(() => describeMissing(roster.missing("done"), "still at work"), 2_500);

/** A wait whose deadline may pass. */
const waitAtMost = (look: () => string | undefined, deadlineMs: number) =>
  waitUntil(look, { deadlineMs, signal: new AbortController().signal }).catch(() => {});

function collectWorkers(plan: RunPlan, roster: Roster): Evidence["workers"] {
  const seen = roster.all();
  const lost = new Map(roster.lost().map((problem) => [problem.index, problem]));
  return workerIndexes(plan).flatMap((index): WorkerEvidence[] => {
    const ofIndex = seen.filter((worker) => worker.index === index);
    const { reason, log } = lost.get(index) ?? {};
    if (ofIndex.length === 0) return [{ index, uid: "", node: "", lost: reason ?? "never started", log }];
    return ofIndex.map(({ uid, node, phase, final, failure, readyMs }) => {
      // A worker that was ready but never got a start is not lost: the workers that prevented the start have the reason.
      const silent = phase === "running" || phase === "done" ? "did not finish" : undefined;
      if (final !== undefined && failure === undefined) return { index, uid, node, final, readyMs };
      return { index, uid, node, final, readyMs, lost: reason ?? failure ?? silent, log };
    });
  });
}

/** A problem where the planned fault never happened, so that the run has shown nothing about it. */
function findUnreachedFault({ fault }: RunPlan, roster: Roster): string[] {
  if (fault === undefined || roster.all().some(({ final }) => (final?.faulted ?? 0) > 0)) return [];
  return ["the planned fault never happened: no operation reached its failpoint in time"];
}

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
