import { setTimeout as sleep } from "node:timers/promises";

/** A wait passed its deadline. The message says what was still missing and how long the wait took. */
export class DeadlinePassed extends Error {
  override name = "DeadlinePassed";
  /** What the last look returned. */
  readonly missing: string;
  constructor(missing: string, waitedMs: number) {
    super(`${missing} (waited ${(waitedMs / 1_000).toFixed(0)} s)`);
    this.missing = missing;
  }
}

/**
 * Waits until all are settled, and then throws the first failure. After Promise.all some may still be at work, and undo what
 * a clean-up does.
 */
export async function settleAll(work: Iterable<Promise<unknown>>): Promise<void> {
  const settled = await Promise.allSettled(work);
  for (const one of settled) if (one.status === "rejected") throw one.reason;
}

export interface WaitOptions {
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
  /** Pause between two calls of `look`. */
  readonly everyMs?: number;
}

/**
 * Calls `look` until it returns undefined. As long as the wait goes on, `look` returns what is still missing.
 * Throws DeadlinePassed, or the signal's reason.
 */
export async function waitUntil(
  look: () => Promise<string | undefined> | string | undefined,
  options: WaitOptions,
): Promise<void> {
  const { deadlineMs, signal, everyMs = 50 } = options;
  const end = performance.now() + deadlineMs;
  for (;;) {
    signal.throwIfAborted();
    const missing = await look();
    if (missing === undefined) return;
    if (performance.now() > end) throw new DeadlinePassed(missing, deadlineMs);
    await sleep(everyMs, undefined, { signal }).catch(() => {});
  }
}
