/** The private servers of one report on one machine. They are removed with their data when the report ends. */
import { statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import type { LockService } from "../../../../worker/contract.ts";
import type { RedisLogin } from "../../../../worker/servers/redis.ts";
import { FAULT_USER, type RedisPasswords, randomPasswords } from "../../../clients/redis-users.ts";
import { ServerError } from "../../../errors.ts";
import { findClockLibraries } from "./fake-clock.ts";
import { type Keeper, startKeeper } from "./keeper.ts";
import { ProgramMissing } from "./programs.ts";
import type { ServerProcess } from "./server-process.ts";
import { startConsul } from "./start-consul.ts";
import { startEtcd } from "./start-etcd.ts";
import { startMysql } from "./start-mysql.ts";
import { startPrometheus } from "./start-prometheus.ts";
import { type StartedRedis, startRedis } from "./start-redis.ts";
import { startZooKeeper } from "./start-zookeeper.ts";
import type { StartedService } from "./started-service.ts";

export type ServerName = "mysql" | "redis" | "prometheus";

export interface ServersOptions {
  /** Where Prometheus gets its targets. The coordinator need not listen there yet. */
  readonly coordinatorUrl: string;
  /** The servers to start, by default all. */
  readonly only?: readonly ServerName[];
  /** The lock services to start beside them, by default none. One that is not installed is reported in `missing`. */
  readonly lockServices?: readonly LockService[];
  /** Further options of the MySQL server: how tests start one that is configured differently. */
  readonly mysqlOptions?: readonly string[];
  /** Independent Redis servers, all with the same passwords. */
  readonly redisServers?: number;
  /** Gives Redis a further user: for the faults of servers. */
  readonly faultUser?: boolean;
  /** The clock of each Redis can be set forward, where libfaketime is installed. */
  readonly fakeClocks?: boolean;
  /** Parent of the temporary folder, by default TMPDIR. */
  readonly folder?: string;
  readonly log?: (text: string) => void;
}

export interface Servers extends AsyncDisposable {
  readonly mysql?: { readonly url: string; readonly process: ServerProcess } | undefined;
  /** `url` is the first of `urls`. The URLs contain no password, because each user has its own. */
  readonly redis?:
    | {
        readonly url: string;
        readonly urls: readonly string[];
        /** In the order of `urls`. */
        readonly started: readonly StartedRedis[];
        readonly passwords: RedisPasswords;
        /** The user who makes faults; absent without `faultUser`. */
        readonly faultLogin?: RedisLogin | undefined;
      }
    | undefined;
  readonly prometheus?: { readonly url: string } | undefined;
  /** Each lock service that was started. */
  readonly lockServices: Readonly<Partial<Record<LockService, StartedService>>>;
  /** Each lock service that is not installed. */
  readonly missing: Readonly<Partial<Record<LockService, ProgramMissing>>>;
  /** Shown in the report. */
  readonly notes: Readonly<Record<string, string>>;
  /** Contains everything that the servers write; undefined if none was started. */
  readonly folder?: string | undefined;
  /** Process ids of the servers and their keeper, as they are now. */
  readonly pids: readonly number[];
  /** Stops the servers and removes the folder. Never rejects. */
  [Symbol.asyncDispose](): Promise<void>;
}

type StartService = (keeper: Keeper) => Promise<StartedService>;
const START_SERVICE: Readonly<Partial<Record<LockService, StartService>>> = {
  zookeeper: startZooKeeper,
  etcd: startEtcd,
  consul: startConsul,
};

/** Size of new data, with room for the rows and series of a report. */
const SPACE_MIB = { mysql: 320, redis: 1, prometheus: 32 } as const satisfies Record<ServerName, number>;
const SERVICE_SPACE_MIB = 128;

/** Resolves when all servers answer. Throws ServerError and leaves nothing behind when one does not start. */
export async function startServers(options: ServersOptions): Promise<Servers> {
  const { only = ["mysql", "redis", "prometheus"], redisServers = 1, folder = tmpdir(), log = () => {} } = options;
  const { lockServices: services = [] } = options;
  if (only.length + services.length === 0)
    return { lockServices: {}, missing: {}, notes: {}, pids: [], async [Symbol.asyncDispose]() {} };
  const startedAt = performance.now();
  log(`starting ${[...only, ...services].join(", ")}`);
  const keeper = await startKeeper(folder);
  try {
    await checkSpace(keeper.folder, only, services.length);
    const passwords = randomPasswords();
    const faultLogin = options.faultUser ? { user: FAULT_USER, password: randomPasswords().monitor } : undefined;
    const clockLibraries = options.fakeClocks ? await findClockLibraries() : undefined;
    const has = (name: ServerName) => only.includes(name);
    const [{ lockServices, missing }, prometheus, mysql, ...redis] = await Promise.all([
      startLockServices(keeper, services),
      has("prometheus") ? startPrometheus(keeper, options.coordinatorUrl) : undefined,
      has("mysql") ? startMysql(keeper, options.mysqlOptions) : undefined,
      ...(has("redis")
        ? Array.from({ length: redisServers }, (_, index) =>
            startRedis(keeper, `redis-${index}`, { passwords, faultPassword: faultLogin?.password, clockLibraries }),
          )
        : []),
    ]);
    const seconds = (performance.now() - startedAt) / 1_000;
    const started = Object.values(lockServices);
    const versions = [
      mysql?.version,
      redis[0]?.version,
      prometheus && `Prometheus ${prometheus.version}`,
      ...started.map(({ version }) => version),
    ].filter((version) => version !== undefined);
    log(`${versions.join(", ")} ready after ${seconds.toFixed(1)} s`);
    return {
      mysql,
      redis: redis[0] && {
        url: redis[0].url,
        urls: redis.map(({ url }) => url),
        started: redis,
        passwords,
        faultLogin,
      },
      prometheus: prometheus && { url: prometheus.url },
      lockServices,
      missing,
      notes: { "private servers": versions.join(", ") },
      folder: keeper.folder,
      get pids() {
        const running = [mysql, ...started, ...redis].flatMap((server) => server?.process.pid ?? []);
        return [keeper.pid, ...(prometheus === undefined ? [] : [prometheus.pid]), ...running];
      },
      [Symbol.asyncDispose]: () => keeper[Symbol.asyncDispose](),
    };
  } catch (error) {
    await keeper[Symbol.asyncDispose]();
    throw error;
  }
}

async function startLockServices(keeper: Keeper, services: readonly LockService[]) {
  const lockServices: Partial<Record<LockService, StartedService>> = {};
  const missing: Partial<Record<LockService, ProgramMissing>> = {};
  const start = async (service: LockService) => {
    const startService = START_SERVICE[service];
    if (startService === undefined) throw new Error(`nothing starts ${service}`);
    try {
      lockServices[service] = await startService(keeper);
    } catch (error) {
      if (!(error instanceof ProgramMissing)) throw error;
      missing[service] = error;
    }
  };
  await Promise.all(services.map(start));
  return { lockServices, missing };
}

async function checkSpace(folder: string, names: readonly ServerName[], services: number) {
  const { bavail, bsize } = await statfs(folder);
  const freeMib = (bavail * bsize) / 2 ** 20;
  const neededMib = names.reduce((total, name) => total + SPACE_MIB[name], services * SERVICE_SPACE_MIB);
  if (freeMib >= neededMib) return;
  throw new ServerError(
    `the folder for temporary files, ${folder}`,
    `it has ${Math.floor(freeMib)} MiB left, and the servers need ${neededMib} MiB`,
    "free some space there or set TMPDIR to another folder",
  );
}
