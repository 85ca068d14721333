import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { filesFolder } from "../../../paths.ts";
import type { Keeper } from "./keeper.ts";
import { freePort } from "./ports.ts";
import { findProgram } from "./programs.ts";
import { waitUntilReady } from "./ready.ts";

const READY_MS = 20_000;
const BuildInfo = z.object({ data: z.object({ version: z.string() }) });

/** Starts a Prometheus with helm/files/prometheus-local.yml, which asks the coordinator for targets. Throws ServerError. */
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
      // Discovery hands on what it has found every 5 s (at once from version 3 on), and scraping looks at that every
      // 5 s again unless told otherwise.
      "--scrape.discovery-reload-interval=200ms",
    ],
    cwd,
    log: join(keeper.folder, "prometheus.log"),
  });
  const url = `http://127.0.0.1:${port}`;
  const version = await waitUntilReady(server, `Prometheus (${command})`, READY_MS, () => askVersion(url));
  return { url, version, pid: server.pid! };
}

async function askVersion(url: string): Promise<string> {
  const signal = AbortSignal.timeout(2_000);
  const ready = await fetch(`${url}/-/ready`, { signal });
  if (!ready.ok) throw new Error(`/-/ready answers ${ready.status}`);
  const info = await fetch(`${url}/api/v1/status/buildinfo`, { signal });
  return BuildInfo.parse(await info.json()).data.version;
}
