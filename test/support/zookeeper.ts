/** A ZooKeeper for tests, in a folder of its own, with the nodes and the user that the workers need. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createZooKeeperClient } from "../../coordinator/clients/zookeeper.ts";
import { freePort } from "../../coordinator/platform/local/servers/ports.ts";
import { ProgramMissing } from "../../coordinator/platform/local/servers/programs.ts";
import { zooKeeperCommand } from "../../coordinator/platform/local/servers/start-zookeeper.ts";
import { locksPath, type ZooKeeperVariables, zooKeeperAccess } from "../../worker/servers/zookeeper.ts";
import { openSession, type ZooKeeperSession } from "../../worker/servers/zookeeper-session.ts";

export interface TestZooKeeper {
  readonly variables: ZooKeeperVariables;
  /** A session of the administrator. */
  readonly admin: ZooKeeperSession;
  /** The names of the nodes of a lock; empty if it has none. */
  places(key: string): Promise<string[]>;
  /** A number of the command `mntr`. */
  metric(name: string): Promise<number>;
  /** Kills the server; `start` starts it again with its data, on the same port. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Why there is no ZooKeeper on this machine, for tests that are skipped then; false if there is one. */
export async function zooKeeperMissing(): Promise<string | false> {
  try {
    const folder = await mkdtemp(join(tmpdir(), "holdfast-zookeeper-"));
    await zooKeeperCommand({ folder, port: 1, adminPassword: "" }).finally(() => rm(folder, { recursive: true }));
    return false;
  } catch (error) {
    if (error instanceof ProgramMissing) return `needs ZooKeeper: ${error.message}`;
    throw error;
  }
}

export interface ZooKeeperOptions {
  readonly settings?: readonly string[];
  readonly variables?: Partial<ZooKeeperVariables>;
  /** Options of the JVM. */
  readonly jvm?: readonly string[];
}

export async function startZooKeeper({ settings = [], variables: further = {}, jvm = [] }: ZooKeeperOptions = {}) {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-zookeeper-"));
  const port = await freePort();
  const variables: ZooKeeperVariables = {
    ZOOKEEPER_URL: `zookeeper://holdfast@127.0.0.1:${port}`,
    ZOOKEEPER_PASSWORD: "worker",
    ZOOKEEPER_ADMIN_PASSWORD: "admin",
  };
  const start = async () => {
    const { command, args } = await zooKeeperCommand({
      folder,
      port,
      adminPassword: "admin",
      settings: ["4lw.commands.whitelist=srvr,mntr", ...settings],
    });
    return spawnUntilReady(command, [...jvm, ...args], folder, variables);
  };
  let server = await start();
  const client = createZooKeeperClient(variables);
  await client.prepare();
  const access = zooKeeperAccess(variables);
  const admin = openSession(access, { timeoutMs: 600_000, login: access.admin });
  await admin.connected();
  const kill = async () => {
    if (server.exitCode !== null || server.signalCode !== null) return;
    const exited = once(server, "exit");
    server.kill("SIGKILL");
    await exited;
  };
  return {
    variables: { ...variables, ...further },
    admin,
    async places(key) {
      try {
        await admin.connected();
        return (await admin.children(`${locksPath(access)}/${encodeURIComponent(key)}`)).value;
      } catch (error) {
        if ((error as { code?: string }).code === "NoNode") return [];
        throw error;
      }
    },
    async metric(name) {
      const text = await ask(port, "mntr");
      const value = new RegExp(`^${name}\\t([\\d.]+)$`, "m").exec(text)?.[1];
      if (value === undefined) throw new Error(`mntr has no ${name}`);
      return Number(value);
    },
    kill,
    async start() {
      server = await start();
    },
    async stop() {
      await admin.close();
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  } satisfies TestZooKeeper;
}

async function spawnUntilReady(
  command: string,
  args: readonly string[],
  cwd: string,
  variables: ZooKeeperVariables,
): Promise<ChildProcess> {
  const child = spawn(command, args, { cwd, stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (text) => {
      log = `${log}${text}`.slice(-4_000);
    });
  for (const deadline = performance.now() + 30_000; ; await sleep(20)) {
    if (child.exitCode !== null || performance.now() > deadline) {
      child.kill("SIGKILL");
      throw new Error(`ZooKeeper did not start:\n${log}`);
    }
    const client = createZooKeeperClient(variables);
    const version = await client.check().catch(() => undefined);
    if (version !== undefined) return child;
  }
}

async function ask(port: number, command: string): Promise<string> {
  const socket = connect(port, "127.0.0.1", () => socket.write(command));
  let text = "";
  for await (const bytes of socket) text += bytes;
  return text;
}
