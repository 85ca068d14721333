import { spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { ServerError } from "../../../errors.ts";
import { entryPoint } from "../../../paths.ts";

/**
 * Runs servers so that none of them, and nothing that they wrote, outlives this process. They are children of a small
 * process, the keeper, which also sees this one end by kill -9; keeper-main.ts is its program.
 */
export interface Keeper extends AsyncDisposable {
  /** A new folder for the servers' files. */
  readonly folder: string;
  readonly pid: number;
  run(program: Omit<Program, "id">): Kept;
  /** Stops the servers and removes the folder. Never rejects. */
  [Symbol.asyncDispose](): Promise<void>;
}

export interface Kept {
  readonly log: string;
  /** Undefined until it is started. */
  readonly pid: number | undefined;
  /** Undefined while it runs. */
  readonly ending: Ending | undefined;
  readonly ended: Promise<Ending>;
}

export interface Program {
  readonly id: number;
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** File that takes standard output and standard error. */
  readonly log: string;
  /** File that is standard input. */
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

/** Makes a folder in `parent`. Throws ServerError where that is not possible. */
export async function startKeeper(parent: string): Promise<Keeper> {
  // A session of its own: Ctrl-C in a terminal is for the coordinator, whose report still needs the servers.
  const child = spawn(process.execPath, [entryPoint("platform/local/servers/keeper-main.ts", "keeper"), parent], {
    detached: true,
    stdio: ["pipe", "pipe", "ignore"],
    env: { PATH: process.env.PATH },
  });
  const exited = once(child, "close").catch(() => {});
  child.stdin.on("error", () => {});

  const kept = new Map<number, { pid?: number; ending?: Ending; end(ending: Ending): void }>();
  const folderMade = Promise.withResolvers<string>();
  createInterface({ input: child.stdout }).on("line", (line) => {
    const event = JSON.parse(line) as KeeperEvent;
    if (event.event === "folder") folderMade.resolve(event.folder);
    else if (event.event === "failed") folderMade.reject(folderError(parent, event));
    else if (event.event === "started") Object.assign(kept.get(event.id)!, { pid: event.pid });
    else kept.get(event.id)?.end(event.ending);
  });
  exited.then(() => {
    folderMade.reject(new ServerError("the keeper of the servers", "ended as it started", "run this again"));
    killRest("was left by its keeper");
  });

  const timer = setTimeout(() => child.kill("SIGKILL"), START_MS);
  const folder = await folderMade.promise.finally(() => clearTimeout(timer));
  return {
    folder,
    pid: child.pid!,
    run(program) {
      const id = kept.size;
      const ended = Promise.withResolvers<Ending>();
      const state: { pid?: number; ending?: Ending; end(ending: Ending): void } = {
        end(ending) {
          state.ending ??= ending;
          ended.resolve(ending);
        },
      };
      kept.set(id, state);
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

  /** When the keeper itself was killed, its servers are ended from here. */
  function killRest(how: string) {
    for (const { pid, ending, end } of kept.values()) {
      if (ending !== undefined) continue;
      try {
        if (pid !== undefined) process.kill(pid, "SIGKILL");
      } catch {
        // It has ended meanwhile.
      }
      end({ how, code: null });
    }
  }
}

function folderError(parent: string, { code, message }: { readonly code: string; readonly message: string }) {
  const reasons: Readonly<Record<string, string>> = {
    EACCES: "cannot be written",
    EPERM: "cannot be written",
    EROFS: "is on a file system that is read-only",
    ENOENT: "does not exist",
    ENOTDIR: "is not a folder",
    ENOSPC: "is full",
  };
  const fix =
    code === "ENOSPC" ? "make room there or set TMPDIR to another folder" : "set TMPDIR to one that can be written";
  return new ServerError(`the folder for temporary files, ${parent}`, reasons[code] ?? message, fix);
}
