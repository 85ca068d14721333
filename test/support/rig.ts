/** Real servers and the coordinator's own modules, for tests that make whole runs. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import mysql from "mysql2/promise";
import { openLockService } from "../../coordinator/clients/lock-services.ts";
import { createDatabase } from "../../coordinator/clients/mysql.ts";
import { createPrometheus, type Prometheus } from "../../coordinator/clients/prometheus.ts";
import { createRedisMonitor } from "../../coordinator/clients/redis.ts";
import { passwordVariables } from "../../coordinator/clients/redis-users.ts";
import type { RecordedRun } from "../../coordinator/judge/history.ts";
import type { RunReport } from "../../coordinator/judge/report-data.ts";
import type { RunPlan } from "../../coordinator/plan/run-plan.ts";
import { nameRuns, planRuns } from "../../coordinator/plan/scenarios/index.ts";
import { readRunOptions } from "../../coordinator/plan/settings.ts";
import { createLocalFaultMaker } from "../../coordinator/platform/local/faults.ts";
import { createLocalLauncher } from "../../coordinator/platform/local/launcher.ts";
import { startServers } from "../../coordinator/platform/local/servers/index.ts";
import { freePort } from "../../coordinator/platform/local/servers/ports.ts";
import type { MakeFault } from "../../coordinator/platform/platform.ts";
import { serveCoordinator } from "../../coordinator/runner/http-server.ts";
import type { Roster } from "../../coordinator/runner/roster.ts";
import { run } from "../../coordinator/runner/run.ts";
import type { LockService, StrategyName } from "../../worker/contract.ts";
import { readBack, reportOf } from "./saved-history.ts";

export interface Meddling {
  /** A bug of test/support/plant.ts. */
  readonly bug?: string;
  /** Replaces environment variables of the workers, such as addresses of servers and folders. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Called repeatedly while the workers run. */
  readonly whileRunning?: (roster: Roster) => void | Promise<void>;
  /** Called after the last operation and before the evidence is read. */
  readonly beforeJudging?: (plan: RunPlan) => void | Promise<void>;
  readonly prometheus?: (real: Prometheus) => Prometheus;
  readonly signal?: AbortSignal;
  /** In place of the one that makes the faults of the rig's servers. */
  readonly makeFault?: MakeFault;
}

export type Rig = Awaited<ReturnType<typeof createRig>>;

export interface RigOptions {
  readonly redisServers?: number;
  /** The clock of each Redis can be set forward, where libfaketime is installed. */
  readonly fakeClocks?: boolean;
  /** Lock services to start, with their accounts. One that is not installed is in `servers.missing`. */
  readonly lockServices?: readonly LockService[];
  /** Further options of the rig's own MySQL. */
  readonly mysqlOptions?: readonly string[];
  /** A MySQL that the test has started, in place of one of the rig's own. */
  readonly mysqlUrl?: string;
}

export async function createRig(options: RigOptions = {}) {
  const { redisServers = 1, fakeClocks = false, lockServices = [], mysqlOptions = [], mysqlUrl } = options;
  const listen = { host: "127.0.0.1", port: await freePort() };
  const coordinatorUrl = `http://${listen.host}:${listen.port}`;
  const token = "test";
  const only = [...(mysqlUrl === undefined ? (["mysql"] as const) : []), "redis", "prometheus"] as const;
  const servers = await startServers({
    coordinatorUrl,
    redisServers,
    fakeClocks,
    lockServices,
    mysqlOptions,
    only,
    faultUser: true,
    log: () => {},
  });
  const serviceVariables: Readonly<Record<string, string>> = Object.assign(
    {},
    ...Object.values(servers.lockServices).map(({ variables }) => variables),
  );
  for (const service of Object.keys(servers.lockServices) as LockService[]) {
    const client = openLockService(service, serviceVariables);
    await client.prepare();
    client.close();
  }
  const MYSQL_URL = mysqlUrl ?? servers.mysql!.url;
  const server = await serveCoordinator({ ...listen, token, metrics: async () => "" });
  const database = createDatabase({ MYSQL_URL });
  const prometheus = createPrometheus({ PROMETHEUS_URL: servers.prometheus!.url });
  const redisVariables = {
    REDIS_URL: servers.redis!.url,
    ...passwordVariables(servers.redis!.passwords),
    REDIS_PASSWORD_MONITOR: servers.redis!.passwords.monitor,
  };
  const launcherOf = ({ bug, environment = {} }: Meddling) =>
    createLocalLauncher({
      coordinatorUrl,
      token,
      workersMax: 4,
      servers: {
        MYSQL_URL,
        REDIS_URL: servers.redis!.url,
        REDIS_URLS: servers.redis!.urls.join(","),
        ...passwordVariables(servers.redis!.passwords),
        ...serviceVariables,
        HOLDFAST_LOCK_FOLDER: join(servers.folder!, "locks"),
        ...environment,
      },
      nodeOptions: bug === undefined ? [] : ["--import", new URL(`plant.ts?bug=${bug}`, import.meta.url).href],
    });

  /** What {@link Rig.leavesNothing} has followed by a run. */
  const followed = new Set<string>();

  const rig = {
    coordinatorUrl,
    servers,
    database,
    prometheus,
    /** Stale writes of a run, found by separate SQL. */
    async stale(run: string): Promise<number> {
      const connection = await mysql.createConnection(MYSQL_URL);
      const [rows] = await connection.query<mysql.RowDataPacket[]>(
        "SELECT COUNT(*) AS stale FROM ledger WHERE run = ? AND read_version <> new_version - 1",
        [run],
      );
      await connection.end();
      return Number(rows[0]?.stale);
    },
    sql: () => mysql.createConnection({ uri: MYSQL_URL, multipleStatements: true }),

    /** Makes one run with this interference. Its history must give the same report. */
    async run(strategy: StrategyName, changes: Partial<RunPlan> = {}, meddling: Meddling = {}): Promise<RunReport> {
      const report = randomBytes(4).toString("hex");
      const { settings } = readRunOptions({ strategies: [strategy], duration: "1500ms", rows: changes.rows ?? 1 });
      const plan = { ...nameRuns(report, planRuns(settings))[0]!, ...changes };
      const launcher = await launcherOf(meddling);
      server.setTargets(launcher.targets());
      const real = meddling.prometheus?.(prometheus) ?? prometheus;
      const redis = createRedisMonitor({ ...redisVariables, ...meddling.environment });
      using _redis = { [Symbol.dispose]: () => redis.close() };
      let recorded: RecordedRun | undefined;
      const made = await run(
        plan,
        {
          report,
          launcher,
          server,
          database: {
            ...database,
            // This is the first read after the workers have finished.
            async snapshot(name) {
              await meddling.beforeJudging?.(plan);
              return database.snapshot(name);
            },
          },
          prometheus: real,
          redis,
          makeFault: meddling.makeFault ?? createLocalFaultMaker(servers),
          startDeadlineMs: 30_000,
          async record(all) {
            recorded = all;
          },
          watch: {
            phase() {},
            fleet(_, roster) {
              if (roster.count("running") > 0) void meddling.whileRunning?.(roster);
            },
          },
        },
        meddling.signal ?? new AbortController().signal,
      );
      assert.deepEqual(reportOf(readBack(recorded!)), JSON.parse(JSON.stringify(made)));
      return made;
    },

    /**
     * Asserts that a short run right after a fault is as if there had been none: nothing mends a server between two runs.
     * One run for each name of a fault. Only how much its workers contended may be unknown, because it is short.
     */
    async leavesNothing(fault: string, strategy: StrategyName): Promise<void> {
      if (followed.has(fault)) return;
      followed.add(fault);
      const next = await rig.run(strategy, { durationMs: 500, pauseMs: 20 });
      const { checks, lostUpdates, errors, faultTimes, notes, problems } = next;
      const failed = checks.filter(
        ({ check, status }) => status === "violated" || (status === "unknown" && check !== "vacuity"),
      );
      const clean = { failed: [], lostUpdates: 0, errors: [], faultTimes: undefined, notes: undefined, problems: [] };
      const why = `the run after ${fault}: ${next.reasons.join("; ")}`;
      assert.deepEqual({ failed, lostUpdates, errors, faultTimes, notes, problems }, clean, why);
      assert.ok(next.ledgerRows > 0, why);
    },

    async [Symbol.asyncDispose]() {
      server[Symbol.dispose]();
      await database.close();
      await servers[Symbol.asyncDispose]();
    },
  };
  return rig;
}
