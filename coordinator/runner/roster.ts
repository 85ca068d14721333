/** What the workers of one run have said, and what each is told: the start barrier and the end of a run. Workers pull. */
import type { Command, Heartbeat, Phase, WorkerFinal } from "../../worker/contract.ts";
import type { WorkerProblem } from "../platform/launcher.ts";

export interface Seen {
  readonly index: number;
  readonly uid: string;
  readonly node: string;
  readonly metricsPort: number;
  phase: Phase;
  committed: number;
  rejected: number;
  readyMs?: number | undefined;
  final?: WorkerFinal | undefined;
  failure?: string | undefined;
  unavailable?: string | undefined;
  /** Which server it cannot reach yet, and why. */
  waitingFor?: string | undefined;
  /** It was told that the run is over, so that it ends is no news. */
  aborted?: boolean;
  /** It was told that it may end. */
  released?: boolean;
  /** By this process's monotonic clock. */
  heardAtMs: number;
}

export type Roster = ReturnType<typeof createRoster>;

/** Workers that are named where many wait alike. */
const TOLD = 8;

/** A worker that has not been heard for this long is lost, if nothing better is known about it. */
export const SILENCE_MS_MAX = 10_000;

export function createRoster(run: string, workers: number) {
  const seen = new Map<string, Seen>();
  const lost = new Map<number, WorkerProblem>();
  const waiting = new Map<number, WorkerProblem>();
  const unexpectedWorkers = new Set<string>();
  let startAtMs: number | undefined;
  let released = false;
  let abortReason: string | undefined;

  const byIndex = (index: number) => [...seen.values()].filter((worker) => worker.index === index);
  const indexes = Array.from({ length: workers }, (_, index) => index);

  function hear(beat: Heartbeat): Command {
    if (beat.run !== run) return { command: "abort", reason: `run ${beat.run} is over; ${run} is on` };
    if (beat.index >= workers)
      return { command: "abort", reason: `worker-${beat.index} is not of this fleet of ${workers}` };
    const { index, uid, node, metricsPort } = beat;
    if (startAtMs !== undefined && !seen.has(uid)) {
      // Too late to be counted, and another pod under an index that already works would add mutations unseen.
      unexpectedWorkers.add(`worker-${index} came a second time, as ${uid}, after the start`);
      return { command: "abort", reason: "the run has started without this worker" };
    }
    const worker: Seen = seen.get(uid) ?? {
      index,
      uid,
      node,
      metricsPort,
      phase: beat.phase,
      committed: 0,
      rejected: 0,
      heardAtMs: 0,
    };
    Object.assign(worker, {
      phase: beat.phase,
      committed: beat.committed,
      rejected: beat.rejected,
      heardAtMs: performance.now(),
      waitingFor: beat.waitingFor,
    });
    worker.readyMs ??= beat.readyMs;
    worker.final ??= beat.final;
    worker.failure ??= beat.failure;
    worker.unavailable ??= beat.unavailable;
    seen.set(uid, worker);
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
    return { command: "wait" };
  }

  /** Indexes of workers that are not in one of these phases and not lost. */
  const missing = (...phases: Phase[]) =>
    indexes.filter((index) => !lost.has(index) && !byIndex(index).some((worker) => phases.includes(worker.phase)));

  return {
    run,
    workers,
    hear,
    missing,
    all: (): readonly Seen[] => [...seen.values()].sort((a, b) => a.index - b.index),
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
    /** Takes in what the launcher knows, and what silence says. */
    note(problems: readonly WorkerProblem[]) {
      waiting.clear();
      for (const problem of problems) {
        const ended = byIndex(problem.index).filter((worker) => worker.final !== undefined);
        const known = lost.get(problem.index);
        // Of a worker that was stopped, the launcher may know by whom.
        const vague = ended.some(({ failure }) => failure !== undefined && failure === known?.reason);
        const obeyed = byIndex(problem.index).some(({ aborted, failure }) => aborted === true && failure === undefined);
        if (!problem.fatal) waiting.set(problem.index, problem);
        else if (ended.every(({ failure }) => failure !== undefined) && (known === undefined ? !obeyed : vague))
          lost.set(problem.index, problem);
      }
      for (const worker of seen.values()) {
        if (worker.waitingFor !== undefined && !waiting.has(worker.index))
          waiting.set(worker.index, { index: worker.index, reason: worker.waitingFor, fatal: false });
        const known = lost.get(worker.index);
        const said = worker.final === undefined ? known?.log !== undefined : known !== undefined;
        if (worker.failure !== undefined && !said) {
          lost.set(worker.index, { index: worker.index, reason: worker.failure, fatal: true });
          continue;
        }
        const silentMs = performance.now() - worker.heardAtMs;
        if (worker.final !== undefined || lost.has(worker.index) || silentMs < SILENCE_MS_MAX) continue;
        const reason = `no heartbeat for ${Math.round(silentMs / 1_000)} s (node ${worker.node})`;
        // Before the start nothing is lost, and nodes on which a fleet starts may stand still: the start deadline decides.
        if (startAtMs === undefined) waiting.set(worker.index, { index: worker.index, reason, fatal: false });
        else lost.set(worker.index, { index: worker.index, reason, fatal: true });
      }
    },
    lost: (): readonly WorkerProblem[] => [...lost.values()].sort((a, b) => a.index - b.index),
    /** Why the strategy cannot be used where the workers are, by the first of them that says so. */
    unavailable: () => [...seen.values()].find((worker) => worker.unavailable !== undefined)?.unavailable,
    /** What may still heal, worker by worker, of the first few. */
    waiting(): readonly string[] {
      const told = [...waiting.values()].slice(0, TOLD).map(({ index, reason }) => `worker-${index}: ${reason}`);
      return waiting.size > TOLD ? [...told, `and ${waiting.size - TOLD} more`] : told;
    },
    unexpectedWorkers: (): readonly string[] => [...unexpectedWorkers],
  };
}
