import { ServerError } from "../errors.ts";
import type { Platform } from "../platform/platform.ts";
import type { Progress } from "../report/progress.ts";
import { DeadlinePassed, type WaitOptions, waitUntil } from "../wait.ts";

/**
 * Repeats a question to a server while waiting can help. Throws the ServerError that ended the wait, or the last one at
 * the deadline, or the signal's reason.
 */
export async function waitForAnswer<T>(
  ask: () => Promise<T>,
  within: WaitOptions,
  progress: Progress,
  { explainSilence }: Pick<Platform, "explainSilence">,
): Promise<T> {
  let answer: { value: T } | undefined;
  let last: unknown;
  // A driver may report two errors in turn, such as a failed lookup and a timeout. Each one is said once.
  const said = new Set<string>();
  const look = async () => {
    try {
      answer = { value: await ask() };
      return undefined;
    } catch (error) {
      if (!(error instanceof ServerError) || error.final) throw error;
      const explained = (await explainSilence?.(error)) ?? error;
      last = explained;
      if (!said.has(explained.message)) progress.step(`waiting: ${explained.message}`);
      said.add(explained.message);
      return explained.message;
    }
  };
  await waitUntil(look, within).catch((error) => {
    throw error instanceof DeadlinePassed ? (last ?? error) : error;
  });
  return answer!.value;
}
