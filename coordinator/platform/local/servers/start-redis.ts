import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readRedisVersion } from "../../../clients/redis.ts";
import { fillFaultsFile, fillUsersFile, passwordVariables, type RedisPasswords } from "../../../clients/redis-users.ts";
import { filesFolder } from "../../../paths.ts";
import { createFakeClock } from "./fake-clock.ts";
import type { Keeper } from "./keeper.ts";
import { freePort } from "./ports.ts";
import { findProgram } from "./programs.ts";
import { waitUntilReady } from "./ready.ts";
import { replaceable, type ServerProcess, serverProcess } from "./server-process.ts";

const READY_MS = 20_000;

/** One Redis server. */
export interface StartedRedis {
  readonly url: string;
  readonly version: string;
  /** Where it keeps its files. */
  readonly folder: string;
  /** Its process, or that of the replica that has taken its place and is not stopped. */
  readonly process: ServerProcess;
  /** Sets its clock and that of its replicas forward; absent where it has the clock of the machine. */
  readonly advanceClock?: ((byMs: number) => Promise<void>) | undefined;
  /** Throws ServerError. */
  startReplica(): Promise<RedisReplica>;
}

/** A further process with the configuration and the users of a server, on a port of its own, without data. */
export interface RedisReplica {
  readonly url: string;
  readonly process: ServerProcess;
  /** Makes it the process of the server, whose port it must have. Only once that one is stopped. */
  succeed(): void;
}

export interface RedisOptions {
  readonly passwords: RedisPasswords;
  /** With it, there is the user of helm/files/faults.acl. */
  readonly faultPassword?: string | undefined;
  /** With them, its clock can be set forward. */
  readonly clockLibraries?: readonly string[] | undefined;
}

/** Starts a Redis with helm/files/redis.conf and users.acl. Throws ServerError. */
export async function startRedis(
  keeper: Keeper,
  name: string,
  { passwords, faultPassword, clockLibraries }: RedisOptions,
): Promise<StartedRedis> {
  const program = await findProgram(["redis-server"], "redis-server");
  const cwd = join(keeper.folder, name);
  await mkdir(cwd);
  await copyFile(join(filesFolder(), "redis.conf"), join(cwd, "redis.conf"));
  const readUsers = (file: string) => readFile(join(filesFolder(), file), "utf8");
  const users = fillUsersFile(await readUsers("users.acl"), passwords);
  const faultUsers = faultPassword === undefined ? "" : fillFaultsFile(await readUsers("faults.acl"), faultPassword);
  await writeFile(join(cwd, "users.acl"), users + faultUsers, { mode: 0o600 });

  const clock = clockLibraries && (await createFakeClock(clockLibraries, program, join(cwd, "clock")));
  const { command, args } = clock ?? { command: program, args: [] };

  async function run(log: string) {
    const port = await freePort();
    const server = keeper.run({
      command,
      // Names relative to its folder: Redis splits the values of options at spaces.
      args: [...args, "redis.conf", "--port", `${port}`, "--bind", "127.0.0.1", "--dir", ".", "--include", "users.acl"],
      cwd,
      log: join(keeper.folder, `${log}.log`),
    });
    const url = `redis://127.0.0.1:${port}`;
    const thing = `Redis (${program})`;
    const answer = () => readRedisVersion({ REDIS_URL: url, ...passwordVariables(passwords) });
    const version = await waitUntilReady(server, thing, READY_MS, answer);
    return { url, version, process: serverProcess(server, { thing, readyMs: READY_MS, answer }) };
  }

  const first = await run(name);
  const { process, replaceBy } = replaceable(first.process);
  return {
    ...first,
    folder: cwd,
    process,
    advanceClock: clock?.advance,
    async startReplica() {
      const replica = await run(`${name}-replica`);
      return { ...replica, succeed: () => replaceBy(replica.process) };
    },
  };
}
