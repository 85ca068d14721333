import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createPrometheus } from "../../../clients/prometheus.ts";
import { filesFolder } from "../../../paths.ts";
import type { Keeper } from "./keeper.ts";
import { freePort } from "./ports.ts";
import { findProgram } from "./programs.ts";
import { waitUntilReady } from "./ready.ts";

const READY_MS = 20_000;

/** Starts a Prometheus with helm/files/prometheus-local.yml, which gets its targets from the coordinator. Throws ServerError. */
export async function startPrometheus(keeper: Keeper, coordinatorUrl: string) {
  const command = await findProgram(["prometheus"], "prometheus");
  const cwd = join(keeper.folder, "prometheus");
  await mkdir(cwd);
  const template = await readFile(join(filesFolder(), "prometheus-local.yml"), "utf8");
  const config = template.replaceAll("%COORDINATOR%", coordinatorUrl.replace(/\/$/, ""));
  await writeFile(join(cwd, "prometheus.yml"), config);

  const port = await freePort();
  const server = keeper.run({
    command,
    args: [
      "--config.file=prometheus.yml",
      "--storage.tsdb.path=data",
      `--web.listen-address=127.0.0.1:${port}`,
      // Discovery passes on new targets every 5 s (at once from version 3 on), and the scrape manager applies them every
      // 5 s unless this option says otherwise.
      "--scrape.discovery-reload-interval=200ms",
    ],
    cwd,
    log: join(keeper.folder, "prometheus.log"),
  });
  const url = `http://127.0.0.1:${port}`;
  const version = await waitUntilReady(server, `Prometheus (${command})`, READY_MS, () =>
    createPrometheus({ PROMETHEUS_URL: url }).check(),
  );
  return { url, version, pid: server.pid! };
}
