import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Redis } from "ioredis";
import { fillUsers, type RedisPasswords } from "../../../clients/redis-users.ts";
import { filesFolder } from "../../../paths.ts";
import type { Keeper } from "./keeper.ts";
import { freePort } from "./ports.ts";
import { findProgram } from "./programs.ts";
import { waitUntilReady } from "./ready.ts";

const READY_MS = 20_000;

/** Starts a Redis with helm/files/redis.conf and users.acl. Throws ServerError. */
export async function startRedis(keeper: Keeper, name: string, passwords: RedisPasswords) {
  const command = await findProgram(["redis-server"], "redis-server");
  const cwd = join(keeper.folder, name);
  await mkdir(cwd);
  await copyFile(join(filesFolder(), "redis.conf"), join(cwd, "redis.conf"));
  const users = fillUsers(await readFile(join(filesFolder(), "users.acl"), "utf8"), passwords);
  await writeFile(join(cwd, "users.acl"), users, { mode: 0o600 });

  const port = await freePort();
  const server = keeper.run({
    command,
    // Names relative to its folder: Redis splits the values of options at spaces.
    args: ["redis.conf", "--port", `${port}`, "--bind", "127.0.0.1", "--dir", ".", "--include", "users.acl"],
    cwd,
    log: join(keeper.folder, `${name}.log`),
  });
  const version = await waitUntilReady(server, `Redis (${command})`, READY_MS, () =>
    askVersion(port, passwords.monitor),
  );
  return { url: `redis://127.0.0.1:${port}`, version, pid: server.pid! };
}

async function askVersion(port: number, password: string): Promise<string> {
  const connection = new Redis({
    host: "127.0.0.1",
    port,
    username: "monitor",
    password,
    lazyConnect: true,
    enableReadyCheck: false,
    disableClientInfo: true,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    commandTimeout: 2_000,
  });
  let reason: Error | undefined;
  connection.on("error", (error) => {
    reason = error;
  });
  try {
    await connection.connect();
    return /redis_version:(\S+)/.exec(await connection.info("server"))?.[1] ?? "of unknown version";
  } catch (error) {
    throw reason ?? error;
  } finally {
    connection.disconnect();
  }
}
