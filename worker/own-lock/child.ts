import { spawn } from "node:child_process";
import { killWithParent } from "./guardian.ts";
import { KILL_MS, type Link, TERM_MS } from "./link.ts";

export interface ChildOptions {
  /** The program and its arguments. */
  readonly command: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
}

/** Starts the program in a process group of its own. One that cannot be started ends at once. */
export function startChild({ command, env }: ChildOptions): Link {
  const [file, ...args] = command;
  const child = spawn(file, args, { env: { ...env }, detached: true, stdio: ["pipe", "pipe", "pipe"] });
  const guardian = killWithParent(child.pid);
  const atExit = () => kill("SIGKILL");
  process.once("exit", atExit);

  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(`could not be started: ${error.message}`));
    // `close` comes after all output was read; a grandchild can keep the pipes open, so `exit` is not waited for twice.
    child.once("exit", (code, signal) =>
      setImmediate(() => resolve(signal === null ? `exited with ${code}` : `was killed by ${signal}`)),
    );
  });
  void ended.then(() => {
    process.off("exit", atExit);
    guardian?.kill("SIGKILL");
  });

  function kill(signal: NodeJS.Signals): boolean {
    try {
      return child.pid !== undefined && process.kill(-child.pid, signal);
    } catch {
      // The group has ended.
      return false;
    }
  }

  return {
    input: child.stdin,
    output: child.stdout,
    log: child.stderr,
    inputClosed: "closed its standard input",
    ended,
    kill,
    async end() {
      child.stdin.end();
      let forced = false;
      const terminate = setTimeout(() => {
        forced = true;
        kill("SIGTERM");
      }, TERM_MS);
      const destroy = setTimeout(() => kill("SIGKILL"), KILL_MS);
      const how = await ended;
      clearTimeout(terminate);
      clearTimeout(destroy);
      const leftovers = kill("SIGKILL");
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
      return { how, forced, leftovers };
    },
  };
}
