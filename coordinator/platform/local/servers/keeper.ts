import { spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { ServerError } from "../../../errors.ts";
import { entryPoint } from "../../../paths.ts";

/**
 * Runs servers so that neither they nor their files outlive this process. They are children of a small process, the keeper,
 * which notices the end of this process even after kill -9. Its program is keeper-main.ts.
 */
export interface Keeper extends AsyncDisposable {
  /** A new folder for the servers' files. */
  readonly folder: string;
  readonly pid: number;
  run(program: ProgramToRun): KeptProcess;
  /** Stops the servers and removes the folder. Never rejects. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** A program that runs, or ran. After `runAgain`, all of it is about the new process. */
export interface KeptProcess {
  readonly log: string;
  /** Undefined until the process is started. */
  readonly pid: number | undefined;
  /** Undefined while the process is running. */
  readonly ending: Ending | undefined;
  readonly ended: Promise<Ending>;
  /** Sends a signal. Nothing happens if the process has ended. */
  kill(signal: "SIGTERM" | "SIGKILL"): void;
  /** Runs the same program with the same arguments. Only once the process has ended. */
  runAgain(): void;
}

export type ProgramToRun = Omit<Program, "id">;

export interface Program {
  readonly id: number;
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** File for standard output and standard error. */
  readonly log: string;
  /** File to read as standard input. */
  readonly input?: string | undefined;
}

export interface Ending {
  /** `exited with 1`, `was killed by SIGKILL`. */
  readonly how: string;
  readonly code: number | null;
}

/** A line that the keeper reads. */
export type KeeperOrder =
  | { readonly order: "run"; readonly program: Program }
  | { readonly order: "kill"; readonly id: number; readonly signal: "SIGTERM" | "SIGKILL" };

export type KeeperEvent =
  | { readonly event: "folder"; readonly folder: string }
  | { readonly event: "failed"; readonly code: string; readonly message: string }
  | { readonly event: "started"; readonly id: number; readonly pid: number }
  | { readonly event: "ended"; readonly id: number; readonly ending: Ending };

const START_MS = 20_000;
/** The keeper gives servers 5 s to end. */
const STOP_MS = 10_000;

/** Starts a keeper, which creates a folder in `parent`. Throws ServerError when that fails. */
export async function startKeeper(parent: string): Promise<Keeper> {
  // In a session of its own: Ctrl-C in a terminal must reach only the coordinator, whose report still needs the servers.
  const child = spawn(process.execPath, [entryPoint("platform/local/servers/keeper-main.ts", "keeper"), parent], {
    detached: true,
    stdio: ["pipe", "pipe", "ignore"],
    env: { PATH: process.env.PATH },
  });
  const exited = once(child, "close").catch(() => {});
  child.stdin.on("error", () => {});

  const processes = new Map<number, ProcessState>();
  let gone = false;
  const folderMade = Promise.withResolvers<string>();
  createInterface({ input: child.stdout }).on("line", (line) => {
    const event = JSON.parse(line) as KeeperEvent;
    if (event.event === "folder") folderMade.resolve(event.folder);
    else if (event.event === "failed") folderMade.reject(folderError(parent, event));
    else if (event.event === "started") Object.assign(processes.get(event.id)!, { pid: event.pid });
    else processes.get(event.id)?.end(event.ending);
  });
  exited.then(() => {
    gone = true;
    folderMade.reject(
      new ServerError("the keeper of the servers", "it ended while it was starting", "run this command again"),
    );
    killRemaining("was abandoned by its keeper");
  });

  const timer = setTimeout(() => child.kill("SIGKILL"), START_MS);
  const folder = await folderMade.promise.finally(() => clearTimeout(timer));
  return {
    folder,
    pid: child.pid!,
    run(program) {
      return keptProcess(
        program.log,
        () => start(program),
        (id, signal) => send({ order: "kill", id, signal }),
      );
    },
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await Promise.race([exited, sleep(STOP_MS, undefined, { ref: false })]);
      child.kill("SIGKILL");
      await exited;
      await rm(folder, { recursive: true, force: true }).catch(() => {});
    },
  };

  function start(program: ProgramToRun): ProcessState {
    const state = newState(processes.size);
    processes.set(state.id, state);
    if (gone) state.end({ how: "was not started, because its keeper has ended", code: null });
    else send({ order: "run", program: { id: state.id, ...program } });
    return state;
  }

  function send(order: KeeperOrder) {
    child.stdin.write(`${JSON.stringify(order)}\n`);
  }

  /** Ends the servers from this process after the keeper itself was killed. */
  function killRemaining(how: string) {
    for (const { pid, ending, end } of processes.values()) {
      if (ending !== undefined) continue;
      try {
        if (pid !== undefined) process.kill(pid, "SIGKILL");
      } catch {
        // It has ended in the meantime.
      }
      end({ how, code: null });
    }
  }
}

function keptProcess(
  log: string,
  start: () => ProcessState,
  kill: (id: number, signal: "SIGTERM" | "SIGKILL") => void,
): KeptProcess {
  let state = start();
  return {
    log,
    get pid() {
      return state.pid;
    },
    get ending() {
      return state.ending;
    },
    get ended() {
      return state.ended;
    },
    kill(signal) {
      kill(state.id, signal);
    },
    runAgain() {
      if (state.ending !== undefined) state = start();
    },
  };
}

/** One process of a program. */
interface ProcessState {
  readonly id: number;
  pid?: number;
  ending?: Ending;
  readonly ended: Promise<Ending>;
  end(ending: Ending): void;
}

function newState(id: number): ProcessState {
  const { promise: ended, resolve } = Promise.withResolvers<Ending>();
  const state: ProcessState = {
    id,
    ended,
    end(ending) {
      state.ending ??= ending;
      resolve(state.ending);
    },
  };
  return state;
}

function folderError(parent: string, { code, message }: { readonly code: string; readonly message: string }) {
  const reasons: Readonly<Record<string, string>> = {
    EACCES: "it cannot be written",
    EPERM: "it cannot be written",
    EROFS: "it is on a read-only file system",
    ENOENT: "it does not exist",
    ENOTDIR: "it is not a folder",
    ENOSPC: "it is full",
  };
  const fix =
    code === "ENOSPC"
      ? "free some space there or set TMPDIR to another folder"
      : "set TMPDIR to a folder that can be written";
  return new ServerError(`the folder for temporary files, ${parent}`, reasons[code] ?? message, fix);
}
