/** The servers of one report on one machine: real ones, private to it, gone with it. */
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
  /** Where Prometheus will ask for targets; nobody need listen there yet. */
  readonly coordinatorUrl: string;
  /** All of them unless named. */
  readonly only?: readonly ServerName[];
  /** Independent Redis servers, all with the same passwords. */
  readonly redisServers?: number;
  /** The temporary folder is made in this one, by default in TMPDIR. */
  readonly folder?: string;
  readonly log?: (text: string) => void;
}

export interface Servers extends AsyncDisposable {
  readonly mysql?: { readonly url: string } | undefined;
  /** `url` is the first of `urls`. They carry no password: there is one for each user. */
  readonly redis?:
    | { readonly url: string; readonly urls: readonly string[]; readonly passwords: RedisPasswords }
    | undefined;
  readonly prometheus?: { readonly url: string } | undefined;
  /** For the report. */
  readonly notes: Readonly<Record<string, string>>;
  /** Everything that the servers write is in it; undefined where none was started. */
  readonly folder?: string | undefined;
  /** Of the servers and of what keeps them. */
  readonly pids: readonly number[];
  /** Stops them and removes the folder. Never rejects. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** What new data takes, with some room for a report's rows and series. */
const SPACE_MIB = { mysql: 320, redis: 1, prometheus: 32 } as const satisfies Record<ServerName, number>;

/** Resolves when all of them answer. Throws ServerError, with nothing left behind. */
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
      has("mysql") ? startMysql(keeper) : undefined,
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
    `has ${Math.floor(freeMib)} MiB left and the servers need ${neededMib} MiB`,
    "make room there or set TMPDIR to another folder",
  );
}
