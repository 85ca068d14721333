/** Makes the operations and counts them. Knows a session, and no strategy by its name. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Outcome, operationId, type WorkerFinal, type WorkerSpec, type WriterFinal } from "./contract.ts";
import type { WorkerMetrics } from "./metrics.ts";
import { outcomeOf } from "./row.ts";
import type { Operation, Session } from "./strategy.ts";

export interface LoopOptions {
  readonly spec: WorkerSpec;
  readonly session: Session;
  readonly metrics: WorkerMetrics;
  /** One writer a loop, as the database numbered them. */
  readonly writers: readonly number[];
  readonly random: () => number;
  /** Aborted when no further operation may begin; the one in flight is finished. */
  readonly stop: AbortSignal;
  /** Aborted when even waiting must end. */
  readonly abort: AbortSignal;
}

export type LoopResult = Pick<WorkerFinal, "committed" | "rejected" | "unknown" | "raised" | "writers" | "errors">;

/** Where a server cannot be reached, the next attempt waits this long instead of spinning. */
const AFTER_CONNECTION_ERROR_MS = 100;

/** Runs all loops for the run's duration. `result()` may be called at any time; it is final once `finished` resolves. */
export function runLoops(options: LoopOptions): { finished: Promise<void>; result(): LoopResult } {
  const tally = createTally();
  const books = options.writers.map((writer) => createBook(writer));
  const deadline = performance.now() + options.spec.durationMs;
  const finished = Promise.all(books.map((book) => loop(options, book, tally, deadline))).then(() => {});
  return { finished, result: () => ({ ...tally.result(), writers: books.map((book) => book.result()) }) };
}

async function loop(options: LoopOptions, book: Book, tally: Tally, deadline: number) {
  const { spec, session, metrics, random, stop, abort } = options;
  while (performance.now() < deadline && !stop.aborted && !abort.aborted) {
    const sequence = book.begin();
    const raise = 1 + Math.floor(random() * 100);
    const begun = performance.now();
    const operation: Operation = {
      id: operationId(book.writer, sequence),
      employeeId: spec.rows === 1 ? 1 : 1 + Math.floor(random() * spec.rows),
      signal: abort,
      entered: () => metrics.lockWait((performance.now() - begun) / 1_000),
      async compute(employee) {
        if (spec.holdMs > 0) await sleep(spec.holdMs);
        return employee.salary + raise;
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
    metrics.operation(outcome, (performance.now() - begun) / 1_000, raise);
    tally.operation(outcome, raise);
    book.end(sequence, outcome);
    if (spec.pauseMs > 0) await sleep(spec.pauseMs, undefined, { signal: stop }).catch(() => {});
  }
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

type Tally = ReturnType<typeof createTally>;
type Book = ReturnType<typeof createBook>;

function createTally() {
  const counts = { committed: 0, rejected: 0, unknown: 0 };
  const errors = new Map<string, WorkerFinal["errors"][number]>();
  let raised = 0;
  return {
    operation(outcome: Outcome, raise: number) {
      counts[outcome] += 1;
      if (outcome === "committed") raised += raise;
    },
    error(errorClass: string, outcome: Outcome, example: string) {
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
  return {
    writer,
    begin: () => ++attempted,
    end(sequence: number, outcome: Outcome) {
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
    result: (): WriterFinal => ({
      writer,
      attempted,
      acknowledged: Buffer.from(acknowledged.subarray(0, (attempted + 7) >> 3)).toString("base64"),
      unknown: [...unknown],
    }),
  };
}
