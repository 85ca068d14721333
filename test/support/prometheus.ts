import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../../coordinator/platform/local/servers/ports.ts";
import type { Certificates } from "./certificates.ts";

/** The user of a Prometheus with `login`, whose password Prometheus knows as a bcrypt hash. */
export const PROMETHEUS_LOGIN = { user: "reader", password: "prom-secret" };
const HASH = "$2b$04$abcdefghijklmnopqrstuueBGs879bgkhobxNWwTxM/6gAMhUyz52";

export interface SecuredPrometheus {
  /** With TLS; accepts client certificates of the CA, and demands one with `clientCertificate`. */
  readonly certificates: Certificates;
  readonly clientCertificate?: boolean;
  /** Demands basic authentication. */
  readonly login?: boolean;
  /** The path under which it is served, such as /prom. */
  readonly path?: string;
  /** Added to its configuration, such as jobs. */
  readonly config?: string;
}

/** Starts a Prometheus with a web.config.file, as a user's own may be. */
export async function startSecuredPrometheus(options: SecuredPrometheus) {
  const { certificates, clientCertificate = false, login = true, path = "", config = "" } = options;
  const folder = await mkdtemp(join(tmpdir(), "holdfast-prometheus-"));
  const port = await freePort();
  const clientAuth = clientCertificate ? "RequireAndVerifyClientCert" : "VerifyClientCertIfGiven";
  const web = [
    "tls_server_config:",
    `  cert_file: ${certificates.cert}`,
    `  key_file: ${certificates.key}`,
    `  client_ca_file: ${certificates.ca}`,
    `  client_auth_type: ${clientAuth}`,
    ...(login ? ["basic_auth_users:", `  ${PROMETHEUS_LOGIN.user}: ${HASH}`] : []),
  ];
  await writeFile(join(folder, "web.yml"), `${web.join("\n")}\n`);
  await writeFile(join(folder, "prometheus.yml"), config);
  const child = spawn(
    "prometheus",
    [
      ...["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.config.file=web.yml"],
      ...[`--web.listen-address=127.0.0.1:${port}`, `--web.route-prefix=${path === "" ? "/" : path}`],
      "--scrape.discovery-reload-interval=200ms",
    ],
    { cwd: folder, stdio: ["ignore", "ignore", "pipe"] },
  );
  let log = "";
  child.stderr.on("data", (text) => (log += text));
  while (!log.includes("Server is ready to receive web requests")) {
    if (child.exitCode !== null) throw new Error(`prometheus did not start:\n${log}`);
    await sleep(10);
  }
  return {
    port,
    /** Without a login. */
    url: `https://127.0.0.1:${port}${path}`,
    async [Symbol.asyncDispose]() {
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
