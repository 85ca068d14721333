/** The clock of a server that can be set forward, by libfaketime. */
import { access, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { findProgram } from "./programs.ts";

export interface FakeClock {
  /** The command with which the program runs by this clock. */
  readonly command: string;
  /** What comes before the arguments of the program, its own path included. */
  readonly args: readonly string[];
  /** Sets the clock forward, for good. */
  advance(byMs: number): Promise<void>;
}

/** The libraries that a program with another clock loads first; undefined where libfaketime is not installed. */
export async function findClockLibraries(): Promise<readonly string[] | undefined> {
  const libc = /\s(\/\S+\/libc\.so\.6)$/m.exec(await readFile("/proc/self/maps", "utf8").catch(() => ""))?.[1];
  if (libc === undefined) return undefined;
  // Packages put it beside the C library of the same architecture.
  const library = join(dirname(libc), "faketime/libfaketimeMT.so.1");
  const found = await access(library).then(
    () => true,
    () => false,
  );
  // The C library comes next, so that libfaketime finds in it what it replaces.
  return found ? [library, libc] : undefined;
}

/** A clock for one program, whose offset is in this file. */
export async function createFakeClock(libraries: readonly string[], program: string, file: string): Promise<FakeClock> {
  let offsetMs = 0;
  const write = async () => {
    // The program reads it at any time, and must not find it half written.
    await writeFile(`${file}.new`, `+${(offsetMs / 1_000).toFixed(3)}`);
    await rename(`${file}.new`, file);
  };
  await write();
  return {
    command: await findProgram(["env"], "coreutils"),
    args: [
      `LD_PRELOAD=${libraries.join(":")}`,
      `FAKETIME_TIMESTAMP_FILE=${file}`,
      "FAKETIME_NO_CACHE=1",
      "FAKETIME_DONT_FAKE_MONOTONIC=1",
      "FAKETIME_DISABLE_SHM=1",
      program,
    ],
    async advance(byMs) {
      offsetMs += byMs;
      await write();
    },
  };
}
