/** The process of a private server, which a fault can end and start again. */
import { setTimeout as sleep } from "node:timers/promises";
import { settleAll } from "../../../wait.ts";
import type { KeptProcess } from "./keeper.ts";
import { waitUntilReady } from "./ready.ts";

export interface ServerProcess {
  /** Process id of the process that runs now. */
  readonly pid: number | undefined;
  /** Ends it, by SIGTERM as it ends by itself, by SIGKILL as in a crash. Resolves when the process has ended. */
  stop(signal: "SIGTERM" | "SIGKILL"): Promise<void>;
  /** Starts it again with its arguments and its port, unless it runs. Resolves when it answers. Throws ServerError. */
  start(): Promise<void>;
}

/** `answer` resolves when the server answers it. */
export function serverProcess(
  server: KeptProcess,
  { thing, readyMs, answer }: { thing: string; readyMs: number; answer(): Promise<unknown> },
): ServerProcess {
  return {
    get pid() {
      return server.pid;
    },
    async stop(signal) {
      server.kill(signal);
      await Promise.race([server.ended, sleep(STOP_MS, undefined, { ref: false })]);
      server.kill("SIGKILL");
      await server.ended;
    },
    async start() {
      server.runAgain();
      await waitUntilReady(server, thing, readyMs, answer);
    },
  };
}

/** Starts those that do not run. One that fails keeps no other one from its start. */
export const startAll = (processes: readonly ServerProcess[]): Promise<void> =>
  settleAll(processes.map((each) => each.start()));

/** A server in whose place another process can be put. That one runs in it until it is stopped; then `start` starts the first one. */
export function replaceable(first: ServerProcess) {
  let second: ServerProcess | undefined;
  const process: ServerProcess = {
    get pid() {
      return (second ?? first).pid;
    },
    async stop(signal) {
      await (second ?? first).stop(signal);
      second = undefined;
    },
    async start() {
      if (second === undefined) await first.start();
    },
  };
  return {
    process,
    /** Only once the first one is stopped. */
    replaceBy(other: ServerProcess) {
      second = other;
    },
  };
}

/** A server that takes longer to end by itself is killed. */
const STOP_MS = 20_000;
