import { randomUUID } from "node:crypto";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createConsulClient } from "../../../clients/consul.ts";
import { filesFolder } from "../../../paths.ts";
import type { Keeper } from "./keeper.ts";
import { freePort } from "./ports.ts";
import { lookForProgram, ProgramMissing } from "./programs.ts";
import { waitUntilReady } from "./ready.ts";
import { serverProcess } from "./server-process.ts";
import type { StartedService } from "./started-service.ts";

const READY_MS = 20_000;

/** Starts one Consul server with ACLs and random tokens, on loopback. Throws ServerError. */
export async function startConsul(keeper: Keeper): Promise<StartedService> {
  const command = await lookForProgram(["consul"]);
  if (command === undefined)
    throw new ProgramMissing(
      "consul",
      "not installed",
      "put the program of developer.hashicorp.com/consul/install on the PATH (Debian has no package), or set CONSUL_URL to a server of your own",
    );
  const cwd = join(keeper.folder, "consul");
  await mkdir(cwd);
  const ports = { http: await freePort(), server: await freePort(), serf: await freePort() };
  const adminToken = randomUUID();
  await writeConsulFiles(cwd, ports, adminToken);
  const server = keeper.run({
    command,
    args: CONSUL_ARGUMENTS,
    cwd,
    log: join(keeper.folder, "consul.log"),
  });
  const variables = {
    CONSUL_URL: `http://127.0.0.1:${ports.http}`,
    CONSUL_TOKEN: randomUUID(),
    CONSUL_ADMIN_TOKEN: adminToken,
  };
  const thing = `Consul (${command})`;
  const answer = () => readVersion(variables);
  const version = await waitUntilReady(server, thing, READY_MS, answer);
  return { variables, version, process: serverProcess(server, { thing, readyMs: READY_MS, answer }) };
}

async function readVersion(variables: Parameters<typeof createConsulClient>[0]): Promise<string> {
  const client = createConsulClient(variables);
  try {
    return await client.check();
  } finally {
    client.close();
  }
}

/** The arguments of a server whose folder has the files of {@link writeConsulFiles}. */
export const CONSUL_ARGUMENTS = ["agent", "-config-file=consul.json", "-config-file=private.json", "-data-dir=data"];

/** Writes helm/files/consul.json, and what differs on one machine: addresses, tokens and limits. */
export async function writeConsulFiles(
  folder: string,
  { http, server, serf }: Readonly<Record<"http" | "server" | "serf", number>>,
  adminToken: string,
): Promise<void> {
  await copyFile(join(filesFolder(), "consul.json"), join(folder, "consul.json"));
  const settings = {
    node_name: "holdfast",
    client_addr: "127.0.0.1",
    ports: { http, server, serf_lan: serf },
    acl: { tokens: { initial_management: adminToken, agent: adminToken } },
    // All workers have the same address, and each waits with a connection of its own.
    limits: { http_max_conns_per_client: 10_000 },
    peering: { enabled: false },
    log_level: "WARN",
  };
  await writeFile(join(folder, "private.json"), JSON.stringify(settings, null, 2), { mode: 0o600 });
}
