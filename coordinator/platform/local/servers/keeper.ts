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
  run(program: Omit<Program, "id">): KeptProcess;
  /** Stops the servers and removes the folder. Never rejects. */
  [Symbol.asyncDispose](): Promise<void>;
}

export interface KeptProcess {
  readonly log: string;
  /** Undefined until the process is started. */
  readonly pid: number | undefined;
  /** Undefined while the process is running. */
  readonly ending: Ending | undefined;
  readonly ended: Promise<Ending>;
}

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

  const processes = new Map<number, { pid?: number; ending?: Ending; end(ending: Ending): void }>();
  const folderMade = Promise.withResolvers<string>();
  createInterface({ input: child.stdout }).on("line", (line) => {
    const event = JSON.parse(line) as KeeperEvent;
    if (event.event === "folder") folderMade.resolve(event.folder);
    else if (event.event === "failed") folderMade.reject(folderError(parent, event));
    else if (event.event === "started") Object.assign(processes.get(event.id)!, { pid: event.pid });
    else processes.get(event.id)?.end(event.ending);
  });
  exited.then(() => {
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
      const id = processes.size;
      const ended = Promise.withResolvers<Ending>();
      const state: { pid?: number; ending?: Ending; end(ending: Ending): void } = {
        end(ending) {
          state.ending ??= ending;
          ended.resolve(ending);
        },
      };
      processes.set(id, state);
      child.stdin.write(`${JSON.stringify({ id, ...program } satisfies Program)}\n`);
      return {
        log: program.log,
        get pid() {
          return state.pid;
        },
        get ending() {
          return state.ending;
        },
        ended: ended.promise,
      };
    },
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await Promise.race([exited, sleep(STOP_MS, undefined, { ref: false })]);
      child.kill("SIGKILL");
      await exited;
      await rm(folder, { recursive: true, force: true }).catch(() => {});
    },
  };

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
