import { abortedWait, closedWait, DEFAULT_TIMEOUT_MS, type LockError, timedOut, type Wait } from "./lock.ts";

export interface Attempts<T> {
  /**
   * Tries once to acquire; undefined if others hold the lock. An error that it throws ends the wait. An attempt that
   * waits itself, for a message of the server, returns once `over` is aborted.
   */
  readonly attempt: (over: AbortSignal) => Promise<T | undefined>;
  /** Releases what an attempt acquired after the wait had ended. */
  readonly undo: (result: T) => unknown;
  /** How long to wait before the next attempt, milliseconds. */
  readonly delayMs: () => number;
  /** The error when the deadline passes, if the reason is not that others held the lock. */
  readonly late?: () => LockError | undefined;
}

/** The wait of all locks that do not notify their waiters: repeats the attempt until the deadline. */
export function poll<T>(
  key: string,
  { signal, timeoutMs }: Wait,
  closing: AbortSignal,
  { attempt, undo, delayMs, late = () => undefined }: Attempts<T>,
): Promise<T> {
  if (closing.aborted) return Promise.reject(closedWait(key));
  return new Promise((resolve, reject) => {
    const once = timeoutMs === 0;
    const over = new AbortController();
    let next: NodeJS.Timeout | undefined;
    const deadline = setTimeout(
      () => refuse(late() ?? timedOut(key, timeoutMs)),
      once ? DEFAULT_TIMEOUT_MS : timeoutMs,
    );
    signal?.addEventListener("abort", aborted, { once: true });
    closing.addEventListener("abort", closed, { once: true });
    void tryOnce();

    async function tryOnce() {
      let result: T | undefined;
      try {
        result = await attempt(over.signal);
      } catch (error) {
        return refuse(error);
      }
      if (result !== undefined) {
        if (over.signal.aborted) return undo(result);
        end();
        return resolve(result);
      }
      if (over.signal.aborted) return;
      if (once) return refuse(late() ?? timedOut(key, timeoutMs));
      next = setTimeout(tryOnce, delayMs());
    }

    function aborted() {
      refuse(abortedWait(key, signal!));
    }
    function closed() {
      refuse(closedWait(key));
    }
    function refuse(error: unknown) {
      if (over.signal.aborted) return;
      end();
      reject(error);
    }
    function end() {
      over.abort();
      clearTimeout(next);
      clearTimeout(deadline);
      signal?.removeEventListener("abort", aborted);
      closing.removeEventListener("abort", closed);
    }
  });
}
