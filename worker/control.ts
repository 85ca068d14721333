import type { Command } from "./contract.ts";

/** How long an aborted worker may take to finish what is in flight. */
const ABORT_MS = 2_000;

export type Control = ReturnType<typeof createControl>;

/**
 * Turns the coordinator's commands and the signals of the process into what the worker waits for. `overdue` is called
 * if the worker is still running a while after it was aborted.
 */
export function createControl(overdue: (reason: string) => void) {
  const stop = new AbortController();
  const abort = new AbortController();
  const started = Promise.withResolvers<number>();
  const released = Promise.withResolvers<void>();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stop.abort(new Error(signal)));

  return {
    /** Aborted when no further operation may begin, by a signal or by the coordinator. */
    stop: stop.signal,
    /** Aborted by the coordinator alone, when even waiting must end. */
    abort: abort.signal,
    /** Why the worker was stopped. */
    stopReason: () => (stop.signal.reason as Error).message,
    /** Resolves when the coordinator releases or aborts the worker. */
    released: released.promise,
    /** Resolves with the delay until the start, milliseconds. Rejects if the worker is stopped first. */
    waitForStart: (): Promise<number> => Promise.race([started.promise, rejectWhenAborted(stop.signal)]),
    obey(command: Command) {
      if (command.command === "start") started.resolve(command.inMs);
      if (command.command === "release") released.resolve();
      if (command.command !== "abort" || abort.signal.aborted) return;
      // Operations in flight are finished and reported; waits end at once.
      const reason = `aborted: ${command.reason}`;
      stop.abort(new Error(reason));
      abort.abort(stop.signal.reason);
      released.resolve();
      setTimeout(() => overdue(reason), ABORT_MS).unref();
    },
  };
}

function rejectWhenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    if (signal.aborted) reject(signal.reason);
  });
}
