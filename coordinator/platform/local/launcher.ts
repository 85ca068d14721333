/** Runs workers as child processes, with the command and the environment that a pod has. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import type { WorkerSpec } from "../../../worker/contract.ts";
import { hostAndPort } from "../../../worker/servers/url.ts";
import { entryPoint } from "../../paths.ts";
import type { Launcher, WorkerProblem } from "../launcher.ts";
import { freePort } from "./servers/ports.ts";

export interface LocalLauncherOptions {
  readonly coordinatorUrl: string;
  readonly token: string;
  /** Where Prometheus scrapes the workers, by default 127.0.0.1. */
  readonly host?: string;
  /** Addresses and passwords of the servers, as environment variables of the worker. */
  readonly servers: Readonly<Record<string, string | undefined>>;
  /** Size of the largest fleet that will be requested. */
  readonly workersMax: number;
  /** Further options of node, such as a module to import first. Tests use them to plant a bug in a strategy. */
  readonly nodeOptions?: readonly string[];
}

/** How long a worker may take to end after SIGTERM. */
const END_MS = 3_000;
const LOG_LINES_MAX = 20;
/** As in helm/templates/worker/configmap.yaml: a worker makes little garbage at a time, and a fleet has many workers. */
export const YOUNG_HEAP = "--max-semi-space-size=2";

export async function createLocalLauncher(options: LocalLauncherOptions): Promise<Launcher> {
  // All runs use the same ports: Prometheus looks for new targets only every few seconds.
  const ports = await freePorts(options.workersMax);
  const { host = "127.0.0.1" } = options;

  return {
    where: "processes on this machine",
    coordinatorUrl: options.coordinatorUrl,
    // After a kill -9 of the coordinator, workers end only by themselves.
    coordinatorLostMs: 10_000,
    targets: () => ports.map((port) => hostAndPort(host, port)),
    async launch(spec: WorkerSpec) {
      const children = ports.slice(0, spec.workers).map((port, index) => start(spec, index, port));
      return {
        async problems() {
          return children.flatMap(({ problem }) => problem() ?? []);
        },
        async [Symbol.asyncDispose]() {
          await Promise.all(children.map(({ end }) => end()));
        },
      };
    },
  };

  function start(spec: WorkerSpec, index: number, port: number) {
    const child = spawn(
      process.execPath,
      [YOUNG_HEAP, ...(options.nodeOptions ?? []), entryPoint("../worker/main.ts", "worker")],
      {
        // In a process group of its own: Ctrl-C in a terminal must reach only the coordinator, which then ends the workers.
        detached: true,
        stdio: ["ignore", "ignore", "pipe"],
        env: {
          ...withoutOwnVariables(process.env),
          ...Object.fromEntries(Object.entries(options.servers).filter(([, value]) => value !== undefined)),
          NODE_ENV: "production",
          HOLDFAST_SPEC: JSON.stringify(spec),
          HOLDFAST_INDEX: String(index),
          HOLDFAST_UID: randomUUID(),
          HOLDFAST_NODE: "local",
          HOLDFAST_TOKEN: options.token,
          HOLDFAST_METRICS_HOST: host,
          HOLDFAST_METRICS_PORT: String(port),
        },
      },
    );
    const log = collectLog(child);
    const ended = once(child, "exit").catch((error) => log.push(String(error)));
    return {
      problem(): WorkerProblem | undefined {
        const { exitCode, signalCode } = child;
        if (exitCode === null && signalCode === null && child.pid !== undefined) return undefined;
        if (exitCode === 0) return undefined;
        const how =
          signalCode !== null
            ? `killed by ${signalCode}`
            : child.pid === undefined
              ? "could not be started"
              : `exited with ${exitCode}`;
        const last = log.at(-1);
        return {
          index,
          reason: last === undefined ? how : `${how}: ${last}`,
          fatal: true,
          log: log.join("\n") || undefined,
        };
      },
      async end() {
        if (child.exitCode !== null || child.signalCode !== null) return;
        child.kill("SIGTERM");
        const hard = setTimeout(() => child.kill("SIGKILL"), END_MS);
        await ended;
        clearTimeout(hard);
      },
    };
  }
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/**
 * What Node and the command of a secret may need, such as NODE_EXTRA_CA_CERTS or AWS_PROFILE. Workers get no secrets but
 * those of `servers`; what a lock of the user's own may see begins with HOLDFAST_LOCK_.
 */
const withoutOwnVariables = (variables: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(variables).filter(
      ([name]) =>
        name.startsWith("HOLDFAST_LOCK_") ||
        !/^(HOLDFAST|MYSQL|REDIS|PROMETHEUS|ZOOKEEPER|CONSUL|ETCD|JOB_COMPLETION)_/.test(name),
    ),
  );

/** Returns the last lines of standard error, in an array that grows with it. */
function collectLog(child: ChildProcess): string[] {
  const lines: string[] = [];
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    lines.push(...text.split("\n").filter((line) => line.trim() !== ""));
    lines.splice(0, Math.max(0, lines.length - LOG_LINES_MAX));
  });
  return lines;
}

async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await freePort());
  return [...ports];
}
