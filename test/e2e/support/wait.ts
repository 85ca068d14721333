import { setTimeout as sleep } from "node:timers/promises";

/** What is waited for will not come any more. */
export class Hopeless extends Error {
  override name = "Hopeless";
}

/** Looks about once a second until there is something; fails after `timeoutMs`, saying what was waited for and why not. */
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
