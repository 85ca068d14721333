/** One machine: workers are child processes, and so is a private server for each one that the user does not name. */
import { randomBytes } from "node:crypto";
import { mkdir, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { MAJORITY_SERVERS_MIN } from "../../../worker/contract.ts";
import { passwordVariables } from "../../clients/redis-users.ts";
import { type Config, redisPasswordsOf, redisUrlsOf } from "../../config.ts";
import { ConfigError } from "../../errors.ts";
import { needsMajority } from "../../plan/requirements.ts";
import { reportFiles } from "../../report/files.ts";
import type { Progress } from "../../report/progress.ts";
import type { Platform } from "../platform.ts";
import { createLocalLauncher } from "./launcher.ts";
import { startServers } from "./servers/index.ts";
import { freePort } from "./servers/ports.ts";

/** For servers that the user names, which should be running. A private server has its own deadline when it starts. */
const SERVERS_DEADLINE_MS = 5_000;

/** Throws ServerError when a server cannot be started, and ConfigError when the folder for the report cannot be written. */
export async function createLocalPlatform(config: Config, progress: Progress): Promise<Platform> {
  const { environment, plans, out } = config;
  const report = randomBytes(4).toString("hex");
  const folder = resolve(out, report);
  await ensureWritable(folder);
  const listen = await chooseListenAddress(environment.HOLDFAST_LISTEN);
  const coordinatorUrl = environment.HOLDFAST_COORDINATOR_URL ?? `http://${listen.host}:${listen.port}`;
  const token = environment.HOLDFAST_TOKEN ?? randomBytes(16).toString("hex");

  const privateServers = await startServers({
    coordinatorUrl,
    only: [
      ...(environment.MYSQL_URL === undefined ? (["mysql"] as const) : []),
      ...(environment.REDIS_URL === undefined ? (["redis"] as const) : []),
      ...(environment.PROMETHEUS_URL === undefined ? (["prometheus"] as const) : []),
    ],
    redisServers: plans.some(needsMajority) ? MAJORITY_SERVERS_MIN : 1,
    log: (text) => progress.step(text),
  });
  try {
    const redisPasswords = privateServers.redis?.passwords ?? redisPasswordsOf(environment);
    const servers = {
      mysqlUrl: environment.MYSQL_URL ?? privateServers.mysql!.url,
      mysqlPassword: environment.MYSQL_PASSWORD,
      redisUrl: environment.REDIS_URL ?? privateServers.redis!.url,
      redisUrls: privateServers.redis?.urls ?? redisUrlsOf(environment),
      redisPasswords,
      prometheusUrl: environment.PROMETHEUS_URL ?? privateServers.prometheus!.url,
      cluster: false,
      notes: privateServers.notes,
    };
    const launcher = await createLocalLauncher({
      coordinatorUrl,
      token,
      workersMax: Math.max(0, ...plans.map(({ workers }) => workers)),
      servers: {
        MYSQL_URL: servers.mysqlUrl,
        MYSQL_PASSWORD: servers.mysqlPassword,
        REDIS_URL: servers.redisUrl,
        REDIS_URLS: servers.redisUrls.join(","),
        ...passwordVariables(servers.redisPasswords),
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
      earlier: { finished: [], interrupted: [] },
      async saveProgress() {},
      async saveReport(finished) {
        for (const [name, content] of Object.entries(reportFiles(finished)))
          await writeFile(join(folder, name), content);
        return join(folder, "report.json");
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

/** Replaces `mkdir` with `recursive`, which never returns in a folder that cannot have children, such as /proc. */
async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST" && (await stat(path)).isDirectory()) return;
    if (code !== "ENOENT" || dirname(path) === path) throw error;
    await makeFolder(dirname(path));
    await mkdir(path);
  }
}

async function chooseListenAddress(given: string | undefined): Promise<{ host: string; port: number }> {
  if (given !== undefined) {
    const [host = "", port = ""] = given.split(":");
    return { host, port: Number(port) };
  }
  return { host: "127.0.0.1", port: await freePort() };
}
