import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ServerError } from "../../../errors.ts";
import type { Kept } from "./keeper.ts";

const PAUSE_MS = 20;
const LOG_LINES = 3;
const LINE_CHARACTERS_MAX = 300;

/**
 * Asks until the server answers, by speaking its protocol. Throws ServerError with the end of its log when it ends
 * before, or when the deadline passes.
 */
export async function waitUntilReady<T>(
  server: Kept,
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

/** For a program that makes something and ends. Throws ServerError unless it exits with 0. */
export async function waitUntilDone(program: Kept, thing: string, deadlineMs: number): Promise<void> {
  const ending = await Promise.race([program.ended, sleep(deadlineMs, undefined, { ref: false })]);
  if (ending?.code === 0) return;
  throw await explainStartFailure(program, thing, ending?.how ?? `was not done within ${deadlineMs / 1_000} s`);
}

/** What the log says about the cause, and what to do about it. */
export async function explainStartFailure(server: Kept, thing: string, how: string): Promise<ServerError> {
  const folder = dirname(server.log);
  const lines = await readLines(server.log);
  const text = lines.join("\n");
  if (/No space left on device|out of disk space|error:? 28\b|Errcode: 28\b/i.test(text))
    return new ServerError(
      thing,
      `there is no space left in ${folder}`,
      "make room there or set TMPDIR to another folder",
    );
  if (/address already in use/i.test(text))
    return new ServerError(thing, "its port was taken by another program as it started", "run this again");
  const denied = lines.find((line) => /Permission denied|Operation not permitted|Errcode: 13\b/i.test(line));
  if (denied !== undefined)
    return new ServerError(
      thing,
      `it may not do what it needs to: ${denied}`,
      "look for a security profile of this program (AppArmor, SELinux) or set TMPDIR to a folder that it may use",
    );
  // The first errors are the cause, what follows them the consequence.
  const errors = lines.filter((line) => /\[ERROR\]|level=error/.test(line)).slice(0, LOG_LINES);
  const told = errors.length > 0 ? errors : lines.slice(-LOG_LINES);
  const said = told.length === 0 ? "and wrote nothing" : `and wrote: ${told.join(" | ")}`;
  return new ServerError(thing, `${how} ${said}`, "see whether the program starts by itself");
}

/** Of a client's error the reason alone: its fix is about a server that somebody else runs. */
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
