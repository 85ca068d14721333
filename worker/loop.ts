/** Makes the operations and counts them. Knows a session, and no strategy by its name. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Outcome, operationId, type WorkerFinal, type WorkerSpec, type WriterFinal } from "./contract.ts";
import type { WorkerMetrics } from "./metrics.ts";
import { outcomeOf } from "./outcome.ts";
import type { Operation, Session } from "./strategy.ts";

export interface LoopOptions {
  readonly spec: WorkerSpec;
  readonly session: Session;
  readonly metrics: WorkerMetrics;
  /** One writer a loop, as the database numbered them. */
  readonly writers: readonly number[];
  readonly random: () => number;
  /** Where others count beside the loops; by default the loops' own. */
  readonly tally?: Tally;
  /** Aborted when no further operation may begin; the one in flight is finished. */
  readonly stop: AbortSignal;
  /** Aborted when even waiting must end. */
  readonly abort: AbortSignal;
}

export type LoopResult = Pick<WorkerFinal, "committed" | "rejected" | "unknown" | "raised" | "writers" | "errors">;

/** Where a server cannot be reached, the next attempt waits this long instead of spinning. */
const AFTER_CONNECTION_ERROR_MS = 100;

export interface Loops {
  /** Resolves when all loops have ended. */
  readonly finished: Promise<void>;
  /** May be called at any time; final once `finished` has resolved. */
  result(): LoopResult;
  /** What is known if the process ends now: operations under way are of unknown outcome. */
  interrupted(): LoopResult;
}

/** Runs all loops for the run's duration. */
export function runLoops(options: LoopOptions): Loops {
  const { tally = createTally() } = options;
  const books = options.writers.map((writer) => createBook(writer));
  const deadline = performance.now() + options.spec.durationMs;
  const finished = Promise.all(books.map((book) => loop(options, book, tally, deadline))).then(() => {});
  return {
    finished,
    result: () => ({ ...tally.result(), writers: books.map((book) => book.result()) }),
    interrupted() {
      const counts = tally.result();
      const writers = books.map((book) => book.interrupted());
      const open = books.filter((book) => book.isOpen()).length;
      return { ...counts, unknown: counts.unknown + open, writers };
    },
  };
}

async function loop(options: LoopOptions, book: Book, tally: Tally, deadline: number) {
  const { spec, session, metrics, random, stop, abort } = options;
  const beat = createBeat(spec.intervalMs);
  while (performance.now() < deadline && !stop.aborted && !abort.aborted) {
    const sequence = book.begin();
    const raise = 1 + Math.floor(random() * 100);
    const begun = performance.now();
    const employeeId = spec.rows === 1 ? 1 : 1 + Math.floor(random() * spec.rows);
    let granted = raise;
    const operation: Operation = {
      id: operationId(book.writer, sequence),
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
      const failed = outcomeOf(error);
      outcome = failed.outcome;
      metrics.error(failed.class);
      tally.error(failed.class, outcome, failed.message);
      if (failed.class === "connection" || failed.class === "LockUnreachable") await sleep(AFTER_CONNECTION_ERROR_MS);
    }
    metrics.operation(outcome, (performance.now() - begun) / 1_000, granted);
    tally.operation(outcome, granted);
    book.end(sequence, outcome);
    const restMs = beat?.() ?? spec.pauseMs;
    if (restMs > 0) await sleep(restMs, undefined, { signal: stop }).catch(() => {});
  }
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** Says how long it is to the next beat, from one beat to the next; beats that have passed are left out. */
function createBeat(intervalMs: number | undefined): (() => number) | undefined {
  if (intervalMs === undefined || intervalMs <= 0) return undefined;
  const begun = performance.now();
  return () => intervalMs - ((performance.now() - begun) % intervalMs);
}

export type Tally = ReturnType<typeof createTally>;
type Book = ReturnType<typeof createBook>;

/** The worker's own counts, beside those of its metrics. */
export function createTally() {
  const counts = { committed: 0, rejected: 0, unknown: 0 };
  const errors = new Map<string, WorkerFinal["errors"][number]>();
  let raised = 0;
  return {
    operation(outcome: Outcome, raise: number) {
      counts[outcome] += 1;
      if (outcome === "committed") raised += raise;
    },
    error(errorClass: string, outcome: Outcome | "retried", example: string) {
      const key = `${errorClass} ${outcome}`;
      const seen = errors.get(key);
      if (seen === undefined) errors.set(key, { class: errorClass, outcome, count: 1, example });
      else seen.count += 1;
    },
    result: () => ({ ...counts, raised, errors: [...errors.values()] }),
  };
}

/** What one writer has begun and what was acknowledged, a bit for each operation. */
function createBook(writer: number) {
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
