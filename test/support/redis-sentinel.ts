/** A primary, a replica and a Sentinel for tests, on loopback. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { freePort } from "../../coordinator/platform/local/servers/ports.ts";
import { lockConnectionOptions } from "../../worker/locks/redis-lock.ts";
import { openRedis } from "../../worker/servers/redis.ts";
import { killRedis, spawnRedis, startRedis, type TestRedis } from "./redis.ts";

export const SENTINEL_PASSWORD = "sentinel";
const PRIMARY_NAME = "main";
const READY_WITHIN_MS = 10_000;

export interface TestReplication {
  readonly primary: TestRedis;
  readonly replica: TestRedis;
  /** Waits until the one server that replicates this one, by default the primary, has all that it has. */
  replicated(from?: TestRedis): Promise<void>;
  stop(): Promise<void>;
}

export async function startReplication(): Promise<TestReplication> {
  const login = ["--masteruser", "admin", "--masterauth", "admin", "--repl-diskless-sync-delay", "0"];
  const primary = await startRedis(login);
  const replica = await startRedis([...login, "--replicaof", "127.0.0.1", `${primary.port}`]);
  async function replicated(from = primary) {
    for (const deadline = performance.now() + READY_WITHIN_MS; performance.now() < deadline; await sleep(10)) {
      if (Number(await from.admin.wait(1, 100)) === 1) return;
    }
    throw new Error("the replica is not in step");
  }
  await replicated();
  return {
    primary,
    replica,
    replicated,
    stop: async () => void (await Promise.all([primary.stop(), replica.stop()])),
  };
}

export interface TestSentinel extends TestReplication {
  readonly port: number;
  /** Without a login. */
  readonly url: string;
  /** Opens a connection to the server that is the primary, as the user `lock`; it is closed with the servers. */
  connect(): Redis;
}

export async function startSentinel(): Promise<TestSentinel> {
  const replication = await startReplication();
  const { primary } = replication;
  const folder = await mkdtemp(join(tmpdir(), "holdfast-sentinel-"));
  const port = await freePort();
  // Sentinel writes what it learns into its own configuration file.
  const file = join(folder, "sentinel.conf");
  const lines = [
    `port ${port}`,
    "bind 127.0.0.1",
    `dir ${folder}`,
    `requirepass ${SENTINEL_PASSWORD}`,
    `sentinel monitor ${PRIMARY_NAME} 127.0.0.1 ${primary.port} 1`,
    `sentinel auth-user ${PRIMARY_NAME} admin`,
    `sentinel auth-pass ${PRIMARY_NAME} admin`,
    `sentinel down-after-milliseconds ${PRIMARY_NAME} 500`,
    `sentinel failover-timeout ${PRIMARY_NAME} 3000`,
  ];
  await writeFile(file, `${lines.join("\n")}\n`);
  const sentinel = await spawnRedis([file, "--sentinel"], "+slave slave");

  const connections: Redis[] = [];
  const url = `redis+sentinel://127.0.0.1:${port}/${PRIMARY_NAME}`;
  return {
    ...replication,
    port,
    url,
    connect() {
      const variables = { REDIS_URL: url, REDIS_SENTINEL_PASSWORD: SENTINEL_PASSWORD };
      const connection = openRedis(variables, { user: "lock", password: "lock" }, lockConnectionOptions);
      connection.on("error", () => {});
      connections.push(connection);
      return connection;
    },
    async stop() {
      for (const connection of connections) connection.disconnect();
      await killRedis(sentinel);
      await replication.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
