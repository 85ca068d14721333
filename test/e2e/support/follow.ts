import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { CONTEXT } from "./cluster.ts";

/**
 * Reads the output of `kubectl logs --follow` and the like until a line matches. Returns undefined if the output ends
 * or the time is up.
 */
export async function follow(args: readonly string[], pattern: RegExp, timeoutMs: number): Promise<string | undefined> {
  const child = spawn("kubectl", ["--context", CONTEXT, ...args], { stdio: ["ignore", "pipe", "ignore"] });
  const late = setTimeout(() => child.kill(), timeoutMs);
  try {
    for await (const line of createInterface({ input: child.stdout })) if (pattern.test(line)) return line;
    return undefined;
  } finally {
    clearTimeout(late);
    child.kill();
  }
}
