import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ServerError } from "../../../errors.ts";
import type { KeptProcess } from "./keeper.ts";

const PAUSE_MS = 20;
const LOG_LINES_MAX = 3;
const LINE_CHARACTERS_MAX = 300;

/**
 * Calls `ask` until the server answers it. Throws ServerError with the end of the server's log when the server ends or the
 * deadline passes.
 */
export async function waitUntilReady<T>(
  server: KeptProcess,
  thing: string,
  deadlineMs: number,
  ask: () => Promise<T>,
): Promise<T> {
  const deadline = performance.now() + deadlineMs;
  let lastError: unknown;
  while (performance.now() < deadline) {
    if (server.ending !== undefined) throw await explainStartFailure(server, thing, server.ending.how);
    try {
      return await ask();
    } catch (error) {
      lastError = error;
    }
    await Promise.race([sleep(PAUSE_MS), server.ended]);
  }
  const reason = `did not answer within ${deadlineMs / 1_000} s (${describeCause(lastError)})`;
  throw await explainStartFailure(server, thing, reason);
}

/** Waits for a program that prepares something and exits. Throws ServerError unless it exits with 0. */
export async function waitUntilDone(program: KeptProcess, thing: string, deadlineMs: number): Promise<void> {
  const ending = await Promise.race([program.ended, sleep(deadlineMs, undefined, { ref: false })]);
  if (ending?.code === 0) return;
  throw await explainStartFailure(program, thing, ending?.how ?? `did not finish within ${deadlineMs / 1_000} s`);
}

/** Makes an error of the cause in the server's log and of the fix. `how` describes its end. */
export async function explainStartFailure(server: KeptProcess, thing: string, how: string): Promise<ServerError> {
  const folder = dirname(server.log);
  const lines = await readLines(server.log);
  const text = lines.join("\n");
  if (/No space left on device|out of disk space|error:? 28\b|Errcode: 28\b/i.test(text))
    return new ServerError(
      thing,
      `there is no space left in ${folder}`,
      "free some space there or set TMPDIR to another folder",
    );
  if (/address already in use/i.test(text))
    return new ServerError(thing, "another program took its port while it was starting", "run this command again");
  const denied = lines.find((line) => /Permission denied|Operation not permitted|Errcode: 13\b/i.test(line));
  if (denied !== undefined)
    return new ServerError(
      thing,
      `it lacks a permission: ${denied}`,
      "check the security profile of this program (AppArmor, SELinux) or set TMPDIR to a folder that it may use",
    );
  // The first errors are the cause; later ones follow from it.
  const errors = lines.filter((line) => /\[ERROR\]|level=error/.test(line)).slice(0, LOG_LINES_MAX);
  const shown = errors.length > 0 ? errors : lines.slice(-LOG_LINES_MAX);
  const output = shown.length === 0 ? "and wrote nothing" : `and wrote: ${shown.join(" | ")}`;
  return new ServerError(thing, `${how} ${output}`, "start the program by hand to see why it fails");
}

/** Returns only the reason of a client's error, whose fix is for a server that the user runs. */
function describeCause(error: unknown): string {
  if (error instanceof ServerError) return error.reason;
  return error instanceof Error ? error.message : String(error);
}

async function readLines(file: string): Promise<string[]> {
  const text = await readFile(file, "utf8").catch(() => "");
  return text
    .split("\n")
    .map((line) => line.trim().slice(0, LINE_CHARACTERS_MAX))
    .filter((line) => line !== "");
}
