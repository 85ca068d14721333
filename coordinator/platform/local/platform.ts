/** One machine: workers are child processes, and each server that the user does not name is a private child as well. */
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

/** Servers that a user names are there or not; those started here have their own deadline. */
const SERVERS_DEADLINE_MS = 5_000;

/** Throws ServerError when a server cannot be started, ConfigError when the folder for the report cannot be written. */
export async function createLocalPlatform(config: Config, progress: Progress): Promise<Platform> {
  const { environment, plans, out } = config;
  const report = randomBytes(4).toString("hex");
  const folder = resolve(out, report);
  await writable(folder);
  const listen = await listenAddress(environment.HOLDFAST_LISTEN);
  const coordinatorUrl = environment.HOLDFAST_COORDINATOR_URL ?? `http://${listen.host}:${listen.port}`;
  const token = environment.HOLDFAST_TOKEN ?? randomBytes(16).toString("hex");

  const own = await startServers({
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
    const redisPasswords = own.redis?.passwords ?? redisPasswordsOf(environment);
    const servers = {
      mysqlUrl: environment.MYSQL_URL ?? own.mysql!.url,
      mysqlPassword: environment.MYSQL_PASSWORD,
      redisUrl: environment.REDIS_URL ?? own.redis!.url,
      redisUrls: own.redis?.urls ?? redisUrlsOf(environment),
      redisPasswords,
      prometheusUrl: environment.PROMETHEUS_URL ?? own.prometheus!.url,
      cluster: false,
      notes: own.notes,
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
        await own[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await own[Symbol.asyncDispose]();
    throw error;
  }
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** Before anything runs: a report that cannot be written afterwards would be lost. */
async function writable(folder: string) {
  try {
    await makeFolder(folder);
  } catch (error) {
    throw new ConfigError(
      `cannot write the report to ${folder}: ${(error as Error).message}; choose another folder with --out`,
    );
  }
}

/** `mkdir` with `recursive` never returns where a folder cannot have children, such as /proc. */
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

async function listenAddress(given: string | undefined): Promise<{ host: string; port: number }> {
  if (given !== undefined) {
    const [host = "", port = ""] = given.split(":");
    return { host, port: Number(port) };
  }
  return { host: "127.0.0.1", port: await freePort() };
}
