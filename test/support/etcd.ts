/** An etcd for tests, in a folder of its own, with the user and the role of the workers. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createEtcdClient, enableEtcdAuth } from "../../coordinator/clients/etcd.ts";
import { connect, type EtcdClient, LOCKS } from "../../coordinator/clients/etcd-client.ts";
import { freePort } from "../../coordinator/platform/local/servers/ports.ts";
import { ProgramMissing } from "../../coordinator/platform/local/servers/programs.ts";
import { etcdArguments, findEtcd } from "../../coordinator/platform/local/servers/start-etcd.ts";
import { ETCD_KEY_PREFIX, type EtcdVariables, etcdAccess } from "../../worker/servers/etcd.ts";

export interface TestEtcd {
  readonly variables: EtcdVariables;
  /** Requests of the user root. */
  readonly admin: EtcdClient;
  /** The keys in the queue of a lock, in the order of their creation; without a name, of all locks. */
  places(lock?: string): Promise<string[]>;
  delete(key: string): Promise<void>;
  /** A number of the page /metrics; 0 if it is not there. */
  metric(name: string): Promise<number>;
  /** Kills the server; `start` starts it again with its data, on the same port. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Why there is no etcd on this machine, for tests that are skipped then; false if there is one. */
export async function etcdMissing(): Promise<string | false> {
  try {
    await findEtcd();
    return false;
  } catch (error) {
    if (error instanceof ProgramMissing) return `needs etcd: ${error.message}`;
    throw error;
  }
}

const READY_MS = 20_000;

/** `optionsFor` returns further options of the server, which replace those that it has. */
export async function startEtcd(optionsFor: (clientPort: number) => readonly string[] = () => []): Promise<TestEtcd> {
  const command = await findEtcd();
  const folder = await mkdtemp(join(tmpdir(), "holdfast-etcd-"));
  const ports = { client: await freePort(), peer: await freePort() };
  const variables: EtcdVariables = {
    ETCD_URL: `http://holdfast@127.0.0.1:${ports.client}`,
    ETCD_PASSWORD: "worker",
    ETCD_ADMIN_PASSWORD: "admin",
  };
  const access = etcdAccess(variables);
  const admin = connect(access, access.admin);
  let server: ChildProcess;

  async function start(check: () => Promise<unknown>) {
    server = spawn(command, [...etcdArguments(ports), ...optionsFor(ports.client)], {
      cwd: folder,
      stdio: ["ignore", "ignore", "pipe"],
    });
    let log = "";
    server.stderr!.on("data", (text) => {
      log = `${log}${text}`.slice(-4_000);
    });
    for (const deadline = performance.now() + READY_MS; ; await sleep(20)) {
      if (server.exitCode !== null || performance.now() > deadline) throw new Error(`etcd did not start:\n${log}`);
      const ready = await check().then(
        () => true,
        () => false,
      );
      if (ready) return;
    }
  }

  const kill = async () => {
    if (server.exitCode !== null || server.signalCode !== null) return;
    const exited = once(server, "exit");
    server.kill("SIGKILL");
    await exited;
  };

  await start(() => enableEtcdAuth(variables));
  const client = createEtcdClient(variables);
  await client.prepare();
  client.close();
  return {
    variables,
    admin,
    async places(lock) {
      const queue = `${ETCD_KEY_PREFIX}${encodeURIComponent(lock ?? "")}`;
      const range = lock === undefined ? LOCKS : { key: encode(`${queue}/`), range_end: encode(`${queue}0`) };
      const found = await admin.ask("kv/range", { ...range, sort_target: "CREATE", sort_order: "ASCEND" });
      const { kvs = [] } = found as { kvs?: { key: string }[] };
      return kvs.map(({ key }) => Buffer.from(key, "base64").toString());
    },
    async delete(key) {
      await admin.ask("kv/deleterange", { key: encode(key) });
    },
    async metric(name) {
      const response = await fetch(`http://127.0.0.1:${ports.client}/metrics`);
      return Number(new RegExp(`^${name.replace(/[{}]/g, "\\$&")} (\\S+)$`, "m").exec(await response.text())?.[1] ?? 0);
    },
    kill,
    start: () => start(() => admin.ask("maintenance/status", {})),
    async stop() {
      admin.close();
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const encode = (text: string) => Buffer.from(text).toString("base64");
