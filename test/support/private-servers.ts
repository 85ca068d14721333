/** A MariaDB and a Prometheus of a test's own: empty, on free ports, gone when disposed. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const STARTED_WITHIN_MS = 30_000;

export interface PrivateServer extends AsyncDisposable {
  readonly url: string;
}

/** Anybody is let in; no schema is loaded. */
export async function startMariadb(): Promise<PrivateServer> {
  const port = await freePort();
  const args = (folder: string) => [
    ...["--no-defaults", "--user=root", "--skip-grant-tables", "--bind-address=127.0.0.1", `--port=${port}`],
    ...[`--datadir=${folder}`, `--socket=${join(folder, "socket")}`, "--innodb-log-file-size=8M"],
  ];
  return start("mariadbd", args, /ready for connections/, `mysql://root@127.0.0.1:${port}`);
}

/** Scrapes `targets` (host:port) every `intervalMs`. */
export async function startPrometheus(targets: readonly string[], intervalMs: number): Promise<PrivateServer> {
  const port = await freePort();
  const config = {
    global: { scrape_interval: `${intervalMs}ms`, scrape_timeout: `${intervalMs}ms` },
    scrape_configs: [{ job_name: "test", static_configs: [{ targets }] }],
  };
  const args = async (folder: string) => {
    // JSON is YAML.
    await writeFile(join(folder, "prometheus.yml"), JSON.stringify(config));
    return [
      ...[`--config.file=${join(folder, "prometheus.yml")}`, `--storage.tsdb.path=${join(folder, "data")}`],
      ...[`--web.listen-address=127.0.0.1:${port}`, "--scrape.discovery-reload-interval=100ms"],
    ];
  };
  return start("prometheus", args, /ready to receive web requests/, `http://127.0.0.1:${port}`);
}

async function start(
  program: string,
  argsIn: (folder: string) => string[] | Promise<string[]>,
  ready: RegExp,
  url: string,
): Promise<PrivateServer> {
  const folder = await mkdtemp(join(tmpdir(), `holdfast-${program}-`));
  const child = spawn(program, await argsIn(folder), { stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (log += text));
  child.on("error", (error) => (log += error.message));
  const stop = async () => {
    await end(child);
    await rm(folder, { recursive: true, force: true });
  };
  const deadline = performance.now() + STARTED_WITHIN_MS;
  while (!ready.test(log)) {
    if (child.exitCode !== null || child.pid === undefined || performance.now() > deadline) {
      await stop();
      throw new Error(`${program} did not start:\n${log}`);
    }
    await sleep(20);
  }
  return { url, [Symbol.asyncDispose]: stop };
}

async function end(child: ChildProcess) {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  // A test's data is not worth a clean shutdown.
  child.kill("SIGKILL");
  await ended;
}

async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
