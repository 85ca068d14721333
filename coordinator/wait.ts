import { setTimeout as sleep } from "node:timers/promises";

/** A wait passed its deadline; the message says what was waited for and what is missing. */
export class DeadlinePassed extends Error {
  override name = "DeadlinePassed";
}

export interface WaitOptions {
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
  /** Between two looks. */
  readonly everyMs?: number;
}

/**
 * Looks until `look` says that nothing is missing. It answers with undefined when done, or with what is still missing.
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
    if (performance.now() > end) throw new DeadlinePassed(`${missing} (waited ${(deadlineMs / 1_000).toFixed(0)} s)`);
    await sleep(everyMs, undefined, { signal }).catch(() => {});
  }
}
