/** Makes the operations and counts them. Knows only the session of a strategy, not which strategy it is. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Outcome, operationId, type WorkerSpec, type WriterFinal } from "./contract.ts";
import type { WorkerMetrics } from "./metrics.ts";
import { outcomeOf } from "./outcome.ts";
import type { Operation, Session } from "./strategy.ts";
import { type Counts, createTally, type Tally } from "./tally.ts";

export interface LoopOptions {
  readonly spec: WorkerSpec;
  readonly session: Session;
  readonly metrics: WorkerMetrics;
  /** One writer for each loop, as the database numbered them. */
  readonly writers: readonly number[];
  readonly random: () => number;
  /** The counts to add to; a new tally by default. */
  readonly tally?: Tally;
  /** Aborted when no further operation may begin; operations in flight are finished. */
  readonly stop: AbortSignal;
  /** Aborted when even waiting must end. */
  readonly abort: AbortSignal;
}

export type LoopResult = Counts & { readonly writers: WriterFinal[] };

/** Errors that come at once and again: of a server that is unreachable, or that refuses the lock's user. */
const AFTER_PAUSE: readonly string[] = ["connection", "LockUnreachable", "LockDenied"];
/** Pause after such an error, so that a loop does not spin. */
const AFTER_CONNECTION_ERROR_MS = 100;

export interface Loops {
  /**
   * Sets the time from now on in which operations may begin, milliseconds. It can be later than the planned end, never
   * earlier, and has no effect on a loop that has ended.
   */
  continueFor(ms: number): void;
  /** Resolves when all loops have ended. */
  readonly finished: Promise<void>;
  /** May be called at any time; final once `finished` has resolved. */
  result(): LoopResult;
  /** What is known if the process ends now: the outcome of operations in flight is unknown. */
  interrupted(): LoopResult;
}

/** Runs all loops for the run's duration, or for longer if they are told to. */
export function runLoops(options: LoopOptions): Loops {
  const { tally = createTally() } = options;
  const histories = options.writers.map((writer) => createHistory(writer));
  const startedMs = performance.now();
  const plannedMs = startedMs + options.spec.durationMs;
  const time: LoopTime = { startedMs, untilMs: plannedMs };
  const finished = Promise.all(histories.map((history) => loop(options, history, tally, time))).then(() => {});
  return {
    finished,
    continueFor(ms) {
      time.untilMs = Math.max(plannedMs, performance.now() + ms);
    },
    result: () => ({ ...tally.result(), writers: histories.map((history) => history.result()) }),
    interrupted() {
      const counts = tally.result();
      const writers = histories.map((history) => history.interrupted());
      const open = histories.filter((history) => history.isOpen()).length;
      return { ...counts, unknown: counts.unknown + open, writers };
    },
  };
}

/** By `performance.now()`. */
interface LoopTime {
  readonly startedMs: number;
  untilMs: number;
}

async function loop(options: LoopOptions, history: History, tally: Tally, time: LoopTime) {
  const { spec, session, metrics, random, stop, abort } = options;
  const msToNextBeat = createBeat(spec.intervalMs);
  while (performance.now() < time.untilMs && !stop.aborted && !abort.aborted) {
    const sequence = history.begin();
    const raise = 1 + Math.floor(random() * 100);
    const begun = performance.now();
    const employeeId = spec.rows === 1 ? 1 : 1 + Math.floor(random() * spec.rows);
    let granted = raise;
    const operation: Operation = {
      id: operationId(history.writer, sequence),
      employeeId,
      lockKey: spec.keyScope === "global" ? spec.run : `${spec.run}/${employeeId}`,
      signal: abort,
      entered: () => metrics.lockWait((performance.now() - begun) / 1_000),
      raise,
      async work() {
        if (spec.holdMs > 0) await sleep(spec.holdMs);
      },
      async compute(employee) {
        await operation.work();
        return employee.salary + raise;
      },
      grantedNothing() {
        granted = 0;
      },
    };
    let outcome: Outcome = "committed";
    try {
      await session.mutate(operation);
    } catch (error) {
      const failed = outcomeOf(error, spec);
      outcome = failed.outcome;
      metrics.error(failed.class);
      tally.error(failed.class, outcome, failed.message);
      if (AFTER_PAUSE.includes(failed.class)) await sleep(AFTER_CONNECTION_ERROR_MS);
    }
    metrics.operation(outcome, (performance.now() - begun) / 1_000, granted);
    tally.operation(outcome, granted, (performance.now() - time.startedMs) / spec.durationMs);
    history.end(sequence, outcome);
    const restMs = msToNextBeat?.() ?? spec.pauseMs;
    if (restMs > 0) await sleep(restMs, undefined, { signal: stop }).catch(() => {});
  }
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** For a fixed rate: returns a function that gives the time until the next beat. Beats that were missed are skipped. */
function createBeat(intervalMs: number | undefined): (() => number) | undefined {
  if (intervalMs === undefined || intervalMs <= 0) return undefined;
  const begun = performance.now();
  return () => intervalMs - ((performance.now() - begun) % intervalMs);
}

type History = ReturnType<typeof createHistory>;

/** Which operations one writer has begun and which were acknowledged, one bit for each operation. */
function createHistory(writer: number) {
  let attempted = 0;
  let acknowledged = new Uint8Array(1_024);
  const unknown: number[] = [];
  let open = false;
  const result = (): WriterFinal => ({
    writer,
    attempted,
    acknowledged: Buffer.from(acknowledged.subarray(0, (attempted + 7) >> 3)).toString("base64"),
    unknown: [...unknown],
  });
  return {
    writer,
    begin() {
      open = true;
      attempted += 1;
      return attempted;
    },
    end(sequence: number, outcome: Outcome) {
      open = false;
      if (outcome === "unknown") unknown.push(sequence);
      if (outcome !== "committed") return;
      const byte = (sequence - 1) >> 3;
      if (byte >= acknowledged.length) {
        const larger = new Uint8Array(acknowledged.length * 2);
        larger.set(acknowledged);
        acknowledged = larger;
      }
      acknowledged[byte]! |= 1 << ((sequence - 1) & 7);
    },
    isOpen: () => open,
    result,
    interrupted: (): WriterFinal => (open ? { ...result(), unknown: [...unknown, attempted] } : result()),
  };
}
