import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createConsulClient } from "../../coordinator/clients/consul.ts";
import { freePort } from "../../coordinator/platform/local/servers/ports.ts";
import { lookForProgram } from "../../coordinator/platform/local/servers/programs.ts";
import { CONSUL_ARGUMENTS, writeConsulFiles } from "../../coordinator/platform/local/servers/start-consul.ts";
import { type ConsulApi, consulApi } from "../../worker/locks/consul-api.ts";
import { consulAccess, openConsul } from "../../worker/servers/consul.ts";
import type { HttpAnswer, HttpRequest } from "../../worker/servers/http.ts";

/** Why tests that need a Consul cannot run here; false if they can. */
export const consulIsMissing =
  (await lookForProgram(["consul"])) === undefined &&
  "consul is not on the PATH: see developer.hashicorp.com/consul/install";

/** A Consul for tests, with the settings of a private server and the account of the workers. */
export interface TestConsul {
  readonly variables: Readonly<Record<"CONSUL_URL" | "CONSUL_TOKEN" | "CONSUL_ADMIN_TOKEN", string>>;
  /** The requests of a lock, with the token of the workers or another one; closed with the server. */
  api(token?: string): ConsulApi;
  /** Sends a request with all rights. */
  admin(request: HttpRequest): Promise<HttpAnswer>;
  /** The IDs of the sessions, and the keys, that are there. */
  left(): Promise<{ readonly sessions: string[]; readonly keys: string[] }>;
  /** Kills the server; `start` starts it again with its data, on the same port, and resolves when it has a leader. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Resolves when the server answers and the account is there. `settings` are merged into those of the server. */
export async function startTestConsul(settings: object = {}): Promise<TestConsul> {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-consul-"));
  const ports = { http: await freePort(), server: await freePort(), serf: await freePort() };
  const variables = {
    CONSUL_URL: `http://127.0.0.1:${ports.http}`,
    CONSUL_TOKEN: randomUUID(),
    CONSUL_ADMIN_TOKEN: randomUUID(),
  };
  await writeConsulFiles(folder, ports, variables.CONSUL_ADMIN_TOKEN);
  await writeFile(join(folder, "test.json"), JSON.stringify(settings));
  const access = consulAccess(variables);
  const client = createConsulClient(variables);
  const admin = openConsul(access, access.admin);
  const opened: ConsulApi[] = [];
  let server: ChildProcess | undefined;

  async function start() {
    const child = spawn("consul", [...CONSUL_ARGUMENTS, "-config-file=test.json"], {
      cwd: folder,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let log = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (text) => {
        log = `${log}${text}`.slice(-5_000);
      });
    server = child;
    for (const deadline = performance.now() + STARTED_WITHIN_MS; ; await sleep(50)) {
      if (child.exitCode !== null || performance.now() > deadline) throw new Error(`Consul did not start:\n${log}`);
      const ready = await client.check().then(
        () => true,
        () => false,
      );
      if (ready) return;
    }
  }

  async function kill() {
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
    const exited = once(server, "exit");
    server.kill("SIGKILL");
    await exited;
  }

  await start();
  for (;;) {
    // The server registers its node some time after the election.
    const prepared = await client.prepare().then(
      () => true,
      (error) => (error.final ? Promise.reject(error) : false),
    );
    if (prepared) break;
    await sleep(50);
  }
  return {
    variables,
    api(token = variables.CONSUL_TOKEN) {
      const api = consulApi(openConsul(access, { value: token, read: async () => token }));
      opened.push(api);
      return api;
    },
    admin: (request) => admin.send(request),
    async left() {
      const sessions = JSON.parse((await admin.send({ method: "GET", path: "session/list" })).text) as { ID: string }[];
      const { status, text } = await admin.send({ method: "GET", path: "kv/?keys" });
      return { sessions: sessions.map(({ ID }) => ID), keys: status === 404 ? [] : (JSON.parse(text) as string[]) };
    },
    kill,
    start,
    async stop() {
      for (const api of opened) api.close();
      client.close();
      admin.close();
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const STARTED_WITHIN_MS = 20_000;
