import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { createEtcdClient, enableEtcdAuth } from "../../../clients/etcd.ts";
import type { Keeper } from "./keeper.ts";
import { freePort } from "./ports.ts";
import { findProgram } from "./programs.ts";
import { waitUntilReady } from "./ready.ts";
import { serverProcess } from "./server-process.ts";
import type { StartedService } from "./started-service.ts";

const READY_MS = 20_000;

/** Starts an etcd of one member on loopback, with authentication and a random password of root. Throws ServerError. */
export async function startEtcd(keeper: Keeper): Promise<StartedService> {
  const command = await findEtcd();
  const cwd = join(keeper.folder, "etcd");
  await mkdir(cwd);
  const ports = { client: await freePort(), peer: await freePort() };
  const server = keeper.run({ command, args: etcdArguments(ports), cwd, log: join(keeper.folder, "etcd.log") });
  const password = () => randomBytes(16).toString("hex");
  const variables = {
    ETCD_URL: `http://holdfast@127.0.0.1:${ports.client}`,
    ETCD_PASSWORD: password(),
    ETCD_ADMIN_PASSWORD: password(),
  };
  const thing = `etcd (${command})`;
  await waitUntilReady(server, thing, READY_MS, () => enableEtcdAuth(variables));
  const answer = () => readVersion(variables);
  const version = await answer();
  return { variables, version, process: serverProcess(server, { thing, readyMs: READY_MS, answer }) };
}

async function readVersion(variables: Parameters<typeof createEtcdClient>[0]): Promise<string> {
  const client = createEtcdClient(variables);
  try {
    return await client.check();
  } finally {
    client.close();
  }
}

export const findEtcd = () => findProgram(["etcd"], "etcd-server");

/**
 * The arguments of a member that is a whole cluster, with its data in the folder in which it runs. It grants leases of
 * three halves of the election timeout or more, in whole seconds; with the default of 1 s, those are 2 s.
 */
export const etcdArguments = ({ client, peer }: Readonly<Record<"client" | "peer", number>>): string[] => [
  "--name=holdfast",
  "--data-dir=data",
  `--listen-client-urls=http://127.0.0.1:${client}`,
  `--advertise-client-urls=http://127.0.0.1:${client}`,
  `--listen-peer-urls=http://127.0.0.1:${peer}`,
  `--initial-advertise-peer-urls=http://127.0.0.1:${peer}`,
  `--initial-cluster=holdfast=http://127.0.0.1:${peer}`,
  "--heartbeat-interval=50",
  "--election-timeout=500",
  "--logger=zap",
  "--log-outputs=stderr",
];
