/** Real servers and the coordinator's own modules, for tests that make whole runs. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import mysql from "mysql2/promise";
import { createDatabase } from "../../coordinator/clients/mysql.ts";
import { createPrometheus, type Prometheus } from "../../coordinator/clients/prometheus.ts";
import { passwordVariables } from "../../coordinator/clients/redis-users.ts";
import type { RunReport } from "../../coordinator/judge/report-data.ts";
import type { RunPlan } from "../../coordinator/plan/run-plan.ts";
import { nameRuns, planRuns } from "../../coordinator/plan/scenarios/index.ts";
import { readRunOptions } from "../../coordinator/plan/settings.ts";
import { createLocalLauncher } from "../../coordinator/platform/local/launcher.ts";
import { startServers } from "../../coordinator/platform/local/servers/index.ts";
import { freePort } from "../../coordinator/platform/local/servers/ports.ts";
import { serveCoordinator } from "../../coordinator/runner/http-server.ts";
import type { Roster } from "../../coordinator/runner/roster.ts";
import { run } from "../../coordinator/runner/run.ts";
import type { StrategyName } from "../../worker/contract.ts";

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
}

export type Rig = Awaited<ReturnType<typeof createRig>>;

export async function createRig({ redisServers = 1 }: { readonly redisServers?: number } = {}) {
  const listen = { host: "127.0.0.1", port: await freePort() };
  const coordinatorUrl = `http://${listen.host}:${listen.port}`;
  const token = "test";
  const servers = await startServers({ coordinatorUrl, redisServers, log: () => {} });
  const server = await serveCoordinator({ ...listen, token, metrics: async () => "" });
  const database = createDatabase(servers.mysql!.url);
  const prometheus = createPrometheus(servers.prometheus!.url);
  const launcherOf = ({ bug, environment = {} }: Meddling) =>
    createLocalLauncher({
      coordinatorUrl,
      token,
      workersMax: 4,
      servers: {
        MYSQL_URL: servers.mysql!.url,
        REDIS_URL: servers.redis!.url,
        REDIS_URLS: servers.redis!.urls.join(","),
        ...passwordVariables(servers.redis!.passwords),
        HOLDFAST_LOCK_FOLDER: join(servers.folder!, "locks"),
        ...environment,
      },
      nodeOptions: bug === undefined ? [] : ["--import", new URL(`plant.ts?bug=${bug}`, import.meta.url).href],
    });

  return {
    servers,
    database,
    prometheus,
    /** Stale writes of a run, found by separate SQL. */
    async stale(run: string): Promise<number> {
      const connection = await mysql.createConnection(servers.mysql!.url);
      const [rows] = await connection.query<mysql.RowDataPacket[]>(
        "SELECT COUNT(*) AS stale FROM ledger WHERE run = ? AND read_version <> new_version - 1",
        [run],
      );
      await connection.end();
      return Number(rows[0]?.stale);
    },
    sql: () => mysql.createConnection({ uri: servers.mysql!.url, multipleStatements: true }),

    /** Makes one run with this interference. */
    async run(strategy: StrategyName, changes: Partial<RunPlan> = {}, meddling: Meddling = {}): Promise<RunReport> {
      const report = randomBytes(4).toString("hex");
      const { settings } = readRunOptions({ strategies: [strategy], duration: "1500ms", rows: changes.rows ?? 1 });
      const plan = { ...nameRuns(report, planRuns(settings))[0]!, ...changes };
      const launcher = await launcherOf(meddling);
      server.setTargets(launcher.targets());
      const real = meddling.prometheus?.(prometheus) ?? prometheus;
      return run(
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
          startDeadlineMs: 30_000,
          watch: {
            phase() {},
            fleet(_, roster) {
              if (roster.count("running") > 0) void meddling.whileRunning?.(roster);
            },
          },
        },
        meddling.signal ?? new AbortController().signal,
      );
    },

    async [Symbol.asyncDispose]() {
      server[Symbol.dispose]();
      await database.close();
      await servers[Symbol.asyncDispose]();
    },
  };
}
