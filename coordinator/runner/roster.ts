/** What the coordinator knows about each worker of one run, and the command that each heartbeat is answered with. */
import type { Command, Heartbeat, Phase, WorkerFinal } from "../../worker/contract.ts";
import { OPERATIONS_MIN } from "../judge/checks/vacuity.ts";
import { type RunPlan, workerIndexes } from "../plan/run-plan.ts";
import { type Setting, theoryOf } from "../plan/theory.ts";
import type { WorkerProblem } from "../platform/launcher.ts";
import { EXTENSION_MS_MAX } from "../platform/platform.ts";

export interface SeenWorker {
  readonly index: number;
  readonly uid: string;
  readonly node: string;
  readonly metricsPort: number;
  phase: Phase;
  committed: number;
  rejected: number;
  readyMs?: number | undefined;
  /** When its operations began, by this process's monotonic clock; late by the latency of its fastest heartbeat. */
  startedAtMs?: number;
  final?: WorkerFinal | undefined;
  failure?: string | undefined;
  unavailable?: string | undefined;
  /** Which server the worker cannot reach yet, and why. */
  waitingFor?: string | undefined;
  /** It was answered with `abort`, so the end of its process is expected. */
  aborted?: boolean;
  /** It was answered with `release`. */
  released?: boolean;
  /** By this process's monotonic clock. */
  lastHeartbeatMs: number;
}

export type Roster = ReturnType<typeof createRoster>;

/** Workers that `waiting` lists by name. */
const WAITING_LISTED_MAX = 8;

/** After the start, a worker without a heartbeat for this long is lost, unless a better reason is known. */
export const SILENCE_MS_MAX = 10_000;

/**
 * How far ahead of time the end of a run is moved that has committed too few operations, milliseconds: several
 * heartbeats, so that a worker whose answer is late does not end.
 */
const EXTENSION_STEP_MS = 5_000;

/** `durationMs`: the planned duration of the run. `delayMs`: how much longer the run takes, by what has happened in it. */
export function createRoster(
  plan: Setting & Pick<RunPlan, "run" | "durationMs">,
  { delayMs }: { readonly delayMs: () => number } = { delayMs: () => 0 },
) {
  const { run, workers, durationMs, mix } = plan;
  const { data, exclusion } = theoryOf(plan);
  const seen = new Map<string, SeenWorker>();
  const lost = new Map<number, WorkerProblem>();
  const waiting = new Map<number, WorkerProblem>();
  const unexpectedWorkers = new Set<string>();
  let startAtMs: number | undefined;
  let released = false;
  let abortReason: string | undefined;

  let firstLossMs: number | undefined;

  const indexes = workerIndexes({ workers });
  const byIndex = (index: number) => [...seen.values()].filter((worker) => worker.index === index);

  /** Records a heartbeat and returns the command to answer it with. */
  function receive(beat: Heartbeat): Command {
    if (beat.run !== run) return { command: "abort", reason: `run ${beat.run} is over; the current run is ${run}` };
    if (beat.index >= workers)
      return { command: "abort", reason: `worker-${beat.index} does not belong to this fleet of ${workers}` };
    if (startAtMs !== undefined && !seen.has(beat.uid)) {
      // Too late to be counted, and a second pod with the index of a running worker would write unnoticed.
      unexpectedWorkers.add(`an unexpected worker-${beat.index} (${beat.uid}) appeared after the start`);
      return { command: "abort", reason: "the run has started without this worker" };
    }
    const worker = record(beat);
    if (abortReason !== undefined) {
      worker.aborted = true;
      return { command: "abort", reason: abortReason };
    }
    if (worker.phase === "done" && released) {
      worker.released = true;
      return { command: "release" };
    }
    if (worker.phase === "ready" && startAtMs !== undefined)
      return { command: "start", inMs: Math.max(0, startAtMs - performance.now()) };
    if (worker.phase === "running") return { command: "continue", forMs: Math.max(0, endsAtMs() - performance.now()) };
    return { command: "wait" };
  }

  const lastStartMs = () =>
    Math.max(...[...seen.values()].map((worker) => worker.startedAtMs ?? Number.NEGATIVE_INFINITY));

  /**
   * When the worker that started last has run for the planned duration and the delay. The others continue until then: a
   * worker that a busy node has started late does not shorten the time in which all of them run. While too few operations
   * have been committed for a verdict, the end is put off.
   */
  function endsAtMs(): number {
    const plannedMs = lastStartMs() + durationMs + delayMs();
    if (!hasTooFew()) return plannedMs;
    return Math.max(plannedMs, Math.min(plannedMs + EXTENSION_MS_MAX, performance.now() + EXTENSION_STEP_MS));
  }

  /**
   * Whether the run needs more operations to show that something holds. In a mix, a strategy that retries may starve next
   * to one that waits. Where most operations are rejected, more time would not help.
   */
  function hasTooFew(): boolean {
    if (data !== "holds" && exclusion !== "holds") return false;
    const all = [...seen.values()];
    const sum = (count: "committed" | "rejected") => all.reduce((total, worker) => total + worker[count], 0);
    if (sum("rejected") > sum("committed")) return false;
    const anyIdle = mix === undefined && all.some(({ phase, committed }) => phase === "running" && committed === 0);
    return sum("committed") < OPERATIONS_MIN || anyIdle;
  }

  function record({ index, uid, node, metricsPort, ...beat }: Heartbeat): SeenWorker {
    const { phase, committed, rejected, waitingFor, runningMs } = beat;
    const lastHeartbeatMs = performance.now();
    const current = { phase, committed, rejected, waitingFor, lastHeartbeatMs };
    const worker: SeenWorker = Object.assign(seen.get(uid) ?? { index, uid, node, metricsPort }, current);
    worker.readyMs ??= beat.readyMs;
    if (runningMs !== undefined)
      worker.startedAtMs = Math.min(worker.startedAtMs ?? lastHeartbeatMs, lastHeartbeatMs - runningMs);
    worker.final ??= beat.final;
    worker.failure ??= beat.failure;
    worker.unavailable ??= beat.unavailable;
    seen.set(uid, worker);
    return worker;
  }

  /**
   * Updates the state of each worker from the launcher's reports and from the heartbeats so far. A worker is in one of
   * these states:
   *
   * - expected: it has sent no heartbeat, and the launcher reports no problem.
   * - present: its heartbeats arrive.
   * - waiting: something is wrong that may heal. The launcher reports a problem that is not fatal, or the worker reports
   *   a server that it cannot reach yet, or, before the start, its heartbeats have stopped: before the start no worker is
   *   lost by silence, because the nodes may be stalled while a fleet starts, and the start deadline decides. The state
   *   is computed anew in each call, so a worker leaves it as soon as the problem is no longer reported.
   * - finished: it has sent its final numbers and no failure. What happens to its process or pod then does not matter.
   * - aborted: it was answered with `abort` and has sent no failure. That the launcher reports its end is expected.
   * - lost: the launcher reports a fatal problem of a worker that is neither finished nor aborted, or the worker has sent
   *   a failure, or, after the start, its heartbeats have stopped for SILENCE_MS_MAX. A lost worker stays lost.
   *
   * The first reason of a loss stays, with two exceptions:
   *
   * - The failure that a worker has sent without final numbers replaces the reason of the launcher, whose log stays or is
   *   added when it is there: "MySQL: refused" says more than "exited with 1".
   * - A fatal problem from the launcher replaces the failure that a worker has sent with its final numbers. Such a worker
   *   was stopped, and the launcher may know by whom.
   */
  function note(problems: readonly WorkerProblem[]) {
    waiting.clear();
    for (const problem of problems) noteProblem(problem);
    for (const worker of seen.values()) noteHeartbeats(worker);
  }

  function lose(problem: WorkerProblem) {
    firstLossMs ??= performance.now();
    lost.set(problem.index, problem);
  }

  function noteProblem(problem: WorkerProblem) {
    if (!problem.fatal) {
      waiting.set(problem.index, problem);
      return;
    }
    const sameIndex = byIndex(problem.index);
    const ended = sameIndex.filter(({ final }) => final !== undefined);
    if (ended.some(({ failure }) => failure === undefined)) return;
    const known = lost.get(problem.index);
    const wasStopped = ended.some(({ failure }) => failure === known?.reason);
    const wasAborted = sameIndex.some(({ aborted, failure }) => aborted === true && failure === undefined);
    if (known === undefined ? !wasAborted : wasStopped) return lose(problem);
    // A worker sends its failure before it ends, and its log can be read after its end.
    if (known !== undefined && known.log === undefined) lost.set(problem.index, { ...known, log: problem.log });
  }

  function noteHeartbeats({ index, node, final, failure, waitingFor, lastHeartbeatMs }: SeenWorker) {
    if (waitingFor !== undefined && !waiting.has(index))
      waiting.set(index, { index, reason: waitingFor, fatal: false });
    const known = lost.get(index);
    if (failure !== undefined && (final === undefined || known === undefined)) {
      lose({ index, reason: failure, fatal: true, log: known?.log });
      return;
    }
    const silentMs = performance.now() - lastHeartbeatMs;
    if (final !== undefined || known !== undefined || silentMs < SILENCE_MS_MAX) return;
    const reason = `no heartbeat for ${Math.round(silentMs / 1_000)} s (node ${node})`;
    if (startAtMs === undefined) waiting.set(index, { index, reason, fatal: false });
    else lose({ index, reason, fatal: true });
  }

  return {
    run,
    workers,
    /** With the delay and the extension so far. */
    durationMs() {
      const plannedMs = durationMs + delayMs();
      const startedAtMs = lastStartMs();
      // A worker may say that it is running before it says since when.
      if (!Number.isFinite(startedAtMs)) return plannedMs;
      return Math.max(plannedMs, Math.min(performance.now(), endsAtMs()) - startedAtMs);
    },
    receive,
    note,
    /** Returns the indexes of the workers that are in none of these phases and not lost. */
    missing: (...phases: Phase[]) =>
      indexes.filter((index) => !lost.has(index) && !byIndex(index).some((worker) => phases.includes(worker.phase))),
    all: (): readonly SeenWorker[] => [...seen.values()].sort((a, b) => a.index - b.index),
    count: (...phases: Phase[]) => [...seen.values()].filter((worker) => phases.includes(worker.phase)).length,
    start(inMs: number) {
      startAtMs = performance.now() + inMs;
    },
    release() {
      released = true;
    },
    unreleased: () => [...seen.values()].filter((worker) => worker.phase === "done" && worker.released !== true).length,
    abort(reason: string) {
      abortReason = reason;
    },
    lost: (): readonly WorkerProblem[] => [...lost.values()].sort((a, b) => a.index - b.index),
    /** Returns how long ago the first worker was lost, milliseconds; undefined if none was. */
    lostForMs: () => (firstLossMs === undefined ? undefined : performance.now() - firstLossMs),
    /** Returns why the strategy cannot be used where the workers are, as the first worker that reports it says. */
    unavailable: () => [...seen.values()].find((worker) => worker.unavailable !== undefined)?.unavailable,
    /** Returns the first few workers that are waiting with their reasons, and the number of the others. */
    waiting(): readonly string[] {
      const listed = [...waiting.values()].slice(0, WAITING_LISTED_MAX);
      const lines = listed.map(({ index, reason }) => `worker-${index}: ${reason}`);
      const others = waiting.size - listed.length;
      return others > 0 ? [...lines, `and ${others} more`] : lines;
    },
    unexpectedWorkers: (): readonly string[] => [...unexpectedWorkers],
  };
}
