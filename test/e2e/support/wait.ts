import { setTimeout as sleep } from "node:timers/promises";

/** Thrown if the awaited event can no longer happen. */
export class Hopeless extends Error {
  override name = "Hopeless";
}

/**
 * Polls about once per second until there is a result. Fails after `timeoutMs` with what it waited for and why it did
 * not happen.
 */
export async function until<T>(
  what: string,
  timeoutMs: number,
  look: () => Promise<T | undefined | false>,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  let reason = "it did not come";
  for (;;) {
    try {
      const found = await look();
      if (found !== undefined && found !== false) return found;
    } catch (error) {
      reason = (error as Error).message;
      if (error instanceof Hopeless) throw new Error(`no ${what}: ${reason}`);
    }
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs / 1_000} s for ${what}: ${reason}`);
    await sleep(1_000);
  }
}
