/** One machine: workers are child processes, and so is a private server for each one that the user does not name. */

import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { LOCK_SERVICE_TITLES, type LockService, MAJORITY_SERVERS_MIN } from "../../../worker/contract.ts";
import { LOCK_SERVICE_VARIABLES, namedServices } from "../../../worker/servers/lock-services.ts";
import { MYSQL_VARIABLES } from "../../../worker/servers/mysql.ts";
import { PROMETHEUS_VARIABLES } from "../../../worker/servers/prometheus.ts";
import { REDIS_VARIABLES, redisUrls } from "../../../worker/servers/redis.ts";
import { hostAndPort } from "../../../worker/servers/url.ts";
import { forWorkers } from "../../../worker/servers/variables.ts";
import type { ServerAddresses } from "../../clients/addresses.ts";
import { passwordVariables } from "../../clients/redis-users.ts";
import type { Config, Environment } from "../../config.ts";
import { ConfigError } from "../../errors.ts";
import { needsMajority, servicesFor } from "../../plan/requirements.ts";
import type { Progress } from "../../report/progress.ts";

import { isAnyAddress, type ListenAddress, parseListenAddress } from "../listen-address.ts";
import type { Platform } from "../platform.ts";
import { createHistoryFolder, makeFolder, writeReportFiles } from "../report-folder.ts";
import { createLocalFaultMaker, missingLocalFaults } from "./faults.ts";
import { createLocalLauncher } from "./launcher.ts";
import { type Servers, startServers } from "./servers/index.ts";
import { freePort } from "./servers/ports.ts";

/** For servers that the user names, which should be running. A private server has its own deadline when it starts. */
const SERVERS_DEADLINE_MS = 5_000;

/** Throws ServerError when a server cannot be started, and ConfigError when the folder for the report cannot be written. */
export async function createLocalPlatform(config: Config, progress: Progress): Promise<Platform> {
  const { environment, plans, settings, out, history } = config;
  const report = randomBytes(4).toString("hex");
  const folder = resolve(out, report);
  await ensureWritable(folder);
  const historyFolder = history ? await createHistoryFolder(folder) : undefined;
  const listen = await chooseListenAddress(environment.HOLDFAST_LISTEN);
  const coordinatorUrl = environment.HOLDFAST_COORDINATOR_URL ?? `http://${hostAndPort(listen.host, listen.port)}`;
  const token = environment.HOLDFAST_TOKEN ?? randomBytes(16).toString("hex");

  const privateServers = await startServers({
    coordinatorUrl,
    only: [
      ...(environment.MYSQL_URL === undefined ? (["mysql"] as const) : []),
      ...(environment.REDIS_URL === undefined ? (["redis"] as const) : []),
      ...(environment.PROMETHEUS_URL === undefined ? (["prometheus"] as const) : []),
    ],
    lockServices: servicesFor(plans).filter((service) => !namedServices(environment).includes(service)),
    redisServers: plans.some(needsMajority) ? MAJORITY_SERVERS_MIN : 1,
    faultUser: plans.some(({ serverFaults }) => serverFaults !== undefined),
    fakeClocks: plans.some(({ serverFaults = [] }) => serverFaults.some(({ name }) => name === "clock-jump")),
    log: (text) => progress.step(text),
  });
  try {
    const variables = variablesOf(environment, privateServers);
    const servers = {
      variables,
      redisUrls: redisUrls(variables),
      missingServices: reasonsOf(privateServers.missing, settings.strategies.length > 0),
      missingFaults: missingLocalFaults(privateServers),
      cluster: false,
      notes: privateServers.notes,
    };
    const launcher = await createLocalLauncher({
      coordinatorUrl,
      token,
      ...(isAnyAddress(listen.host) ? {} : { host: listen.host }),
      workersMax: Math.max(0, ...plans.map(({ workers }) => workers)),
      servers: {
        ...forWorkers(variables),
        HOLDFAST_LOCK_FOLDER: join(folder, "locks"),
      },
    });
    return {
      report,
      launcher,
      servers,
      listen,
      token,
      serversDeadlineMs: SERVERS_DEADLINE_MS,
      makeFault: createLocalFaultMaker(privateServers),
      earlier: { finished: [], interrupted: [] },
      async saveProgress() {},
      saveHistory: historyFolder?.saveRun,
      async saveReport(finished) {
        const path = await writeReportFiles(folder, finished);
        await historyFolder?.saveReport(finished);
        return path;
      },
      recordFailure() {},
      recordEvent() {},
      async [Symbol.asyncDispose]() {
        await rm(join(folder, "locks"), { recursive: true, force: true });
        await privateServers[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await privateServers[Symbol.asyncDispose]();
    throw error;
  }
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** The user's variables, but for each private server only its own: passwords that are set for another server stay away. */
function variablesOf(
  environment: Environment,
  { mysql, redis, prometheus, lockServices }: Servers,
): ServerAddresses["variables"] {
  return {
    ...(mysql === undefined ? pick(environment, MYSQL_VARIABLES) : { MYSQL_URL: mysql.url }),
    ...(redis === undefined
      ? pick(environment, REDIS_VARIABLES)
      : { REDIS_URL: redis.url, REDIS_URLS: redis.urls.join(","), ...passwordVariables(redis.passwords) }),
    ...(prometheus === undefined ? pick(environment, PROMETHEUS_VARIABLES) : { PROMETHEUS_URL: prometheus.url }),
    ...pick(environment, LOCK_SERVICE_VARIABLES),
    ...Object.assign({}, ...Object.values(lockServices).map(({ variables }) => variables)),
  } as ServerAddresses["variables"];
}

const pick = <K extends keyof Environment>(environment: Environment, names: Readonly<Record<K, unknown>>) =>
  Object.fromEntries(Object.keys(names).map((name) => [name, environment[name as K]])) as Pick<Environment, K>;

/** Why each missing service is not there. Throws the reason where the user has named the strategies. */
function reasonsOf(missing: Servers["missing"], named: boolean): ServerAddresses["missingServices"] {
  const [first] = Object.values(missing);
  if (named && first !== undefined) throw first;
  return Object.fromEntries(
    Object.entries(missing).map(([service, { message }]) => [
      service,
      `needs ${LOCK_SERVICE_TITLES[service as LockService]}: ${message}`,
    ]),
  );
}

/** Creates the folder before anything runs: a report that cannot be written at the end would be lost. */
async function ensureWritable(folder: string) {
  try {
    await makeFolder(folder);
  } catch (error) {
    throw new ConfigError(
      `cannot write the report to ${folder}: ${(error as Error).message}; choose another folder with --out`,
    );
  }
}

async function chooseListenAddress(given: string | undefined): Promise<ListenAddress> {
  if (given !== undefined) return parseListenAddress(given);
  return { host: "127.0.0.1", port: await freePort() };
}
