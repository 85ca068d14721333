/** The private servers of one report on one machine. They are removed with their data when the report ends. */
import { statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { type RedisPasswords, randomPasswords } from "../../../clients/redis-users.ts";
import { ServerError } from "../../../errors.ts";
import { startKeeper } from "./keeper.ts";
import { startMysql } from "./start-mysql.ts";
import { startPrometheus } from "./start-prometheus.ts";
import { startRedis } from "./start-redis.ts";

export type ServerName = "mysql" | "redis" | "prometheus";

export interface ServersOptions {
  /** Where Prometheus gets its targets. The coordinator need not listen there yet. */
  readonly coordinatorUrl: string;
  /** The servers to start, by default all. */
  readonly only?: readonly ServerName[];
  /** Further options of the MySQL server: how tests start one that is configured differently. */
  readonly mysqlOptions?: readonly string[];
  /** Independent Redis servers, all with the same passwords. */
  readonly redisServers?: number;
  /** Parent of the temporary folder, by default TMPDIR. */
  readonly folder?: string;
  readonly log?: (text: string) => void;
}

export interface Servers extends AsyncDisposable {
  readonly mysql?: { readonly url: string } | undefined;
  /** `url` is the first of `urls`. The URLs contain no password, because each user has its own. */
  readonly redis?:
    | { readonly url: string; readonly urls: readonly string[]; readonly passwords: RedisPasswords }
    | undefined;
  readonly prometheus?: { readonly url: string } | undefined;
  /** Shown in the report. */
  readonly notes: Readonly<Record<string, string>>;
  /** Contains everything that the servers write; undefined if none was started. */
  readonly folder?: string | undefined;
  /** Process ids of the servers and their keeper. */
  readonly pids: readonly number[];
  /** Stops the servers and removes the folder. Never rejects. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Size of new data, with room for the rows and series of a report. */
const SPACE_MIB = { mysql: 320, redis: 1, prometheus: 32 } as const satisfies Record<ServerName, number>;

/** Resolves when all servers answer. Throws ServerError and leaves nothing behind when one does not start. */
export async function startServers(options: ServersOptions): Promise<Servers> {
  const { only = ["mysql", "redis", "prometheus"], redisServers = 1, folder = tmpdir(), log = () => {} } = options;
  if (only.length === 0) return { notes: {}, pids: [], async [Symbol.asyncDispose]() {} };
  const startedAt = performance.now();
  log(`starting ${only.join(", ")}`);
  const keeper = await startKeeper(folder);
  try {
    await checkSpace(keeper.folder, only);
    const passwords = randomPasswords();
    const has = (name: ServerName) => only.includes(name);
    const [prometheus, mysql, ...redis] = await Promise.all([
      has("prometheus") ? startPrometheus(keeper, options.coordinatorUrl) : undefined,
      has("mysql") ? startMysql(keeper, options.mysqlOptions) : undefined,
      ...(has("redis")
        ? Array.from({ length: redisServers }, (_, index) => startRedis(keeper, `redis-${index}`, passwords))
        : []),
    ]);
    const seconds = (performance.now() - startedAt) / 1_000;
    const versions = [mysql?.version, redis[0]?.version, prometheus && `Prometheus ${prometheus.version}`].filter(
      (version) => version !== undefined,
    );
    log(`${versions.join(", ")} ready after ${seconds.toFixed(1)} s`);
    return {
      mysql: mysql && { url: mysql.url },
      redis: redis[0] && { url: redis[0].url, urls: redis.map(({ url }) => url), passwords },
      prometheus: prometheus && { url: prometheus.url },
      notes: { "private servers": versions.join(", ") },
      folder: keeper.folder,
      pids: [keeper.pid, ...[mysql, prometheus, ...redis].flatMap((server) => server?.pid ?? [])],
      [Symbol.asyncDispose]: () => keeper[Symbol.asyncDispose](),
    };
  } catch (error) {
    await keeper[Symbol.asyncDispose]();
    throw error;
  }
}

async function checkSpace(folder: string, names: readonly ServerName[]) {
  const { bavail, bsize } = await statfs(folder);
  const freeMib = (bavail * bsize) / 2 ** 20;
  const neededMib = names.reduce((total, name) => total + SPACE_MIB[name], 0);
  if (freeMib >= neededMib) return;
  throw new ServerError(
    `the folder for temporary files, ${folder}`,
    `it has ${Math.floor(freeMib)} MiB left, and the servers need ${neededMib} MiB`,
    "free some space there or set TMPDIR to another folder",
  );
}
