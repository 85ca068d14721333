import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis, type RedisOptions } from "ioredis";
import { freePort } from "../../coordinator/platform/local/servers/ports.ts";
import { REDIS_USERS } from "../../worker/contract.ts";
import { lockConnectionOptions } from "../../worker/locks/redis-lock.ts";

const FILES = join(import.meta.dirname, "../../helm/files");
const STARTED_WITHIN_MS = 5_000;
/** Another program that speaks the same protocol, such as valkey-server. */
const REDIS_SERVER = process.env.HOLDFAST_TEST_REDIS_SERVER ?? "redis-server";

/**
 * A Redis for tests, with the project's redis.conf and users.acl and the additional user `admin`, which may do
 * anything.
 */
export interface TestRedis {
  readonly port: number;
  readonly pid: number;
  /** The password of each user is its name. */
  url(user: string): string;
  /** Opens a connection, by default as the user `lock`; it is closed with the server. */
  connect(options?: RedisOptions): Redis;
  readonly admin: Redis;
  /** Kills the server; `start` starts it again, empty, on the same port. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** `options` are further options of the server. */
export async function startRedis(options: readonly string[] = []): Promise<TestRedis> {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-redis-"));
  const port = await freePort();
  let users = await readFile(join(FILES, "users.acl"), "utf8");
  for (const user of REDIS_USERS) users = users.replaceAll(`%${user.toUpperCase()}%`, sha256(user));
  await writeFile(join(folder, "users.acl"), `${users}\nuser admin on #${sha256("admin")} ~* &* +@all\n`);

  // A copy: Sentinel makes the server write its settings into its own file.
  await copyFile(join(FILES, "redis.conf"), join(folder, "redis.conf"));

  const connections: Redis[] = [];
  const connect = (settings: RedisOptions = {}) => {
    const connection = new Redis({
      ...lockConnectionOptions,
      host: "127.0.0.1",
      port,
      username: "lock",
      password: settings.username ?? "lock",
      ...settings,
      replyMapping: "legacy",
    });
    connection.on("error", () => {});
    connections.push(connection);
    return connection;
  };

  const start = () =>
    spawnRedis(
      [join(folder, "redis.conf"), "--port", `${port}`, "--dir", folder, "--include", join(folder, "users.acl")].concat(
        ["--bind", "127.0.0.1", ...options],
      ),
      "Ready to accept connections",
    );

  let server = await start();
  const kill = () => killRedis(server);

  const admin = connect({ username: "admin" });
  return {
    port,
    get pid() {
      return server.pid!;
    },
    url: (user) => `redis://${user}:${user}@127.0.0.1:${port}`,
    connect,
    admin,
    kill,
    async start() {
      server = await start();
    },
    async stop() {
      for (const connection of connections) connection.disconnect();
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Options of a node of a cluster. By default its second port is `port` + 10,000, which any client may have. */
export function clusterNode(busPort: number): string[] {
  return ["--cluster-enabled", "yes", "--cluster-port", `${busPort}`];
}

/** Starts a server, and resolves when it has logged `ready`. */
export async function spawnRedis(args: readonly string[], ready: string): Promise<ChildProcess> {
  const child = spawn(REDIS_SERVER, args, { stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (text) => {
      log += text;
    });
  const deadline = performance.now() + STARTED_WITHIN_MS;
  while (!log.includes(ready)) {
    if (child.exitCode !== null || performance.now() > deadline)
      throw new Error(`${REDIS_SERVER} did not start:\n${log}`);
    await sleep(5);
  }
  return child;
}

export async function killRedis(server: ChildProcess) {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const exited = once(server, "exit");
  server.kill("SIGKILL");
  await exited;
}

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
