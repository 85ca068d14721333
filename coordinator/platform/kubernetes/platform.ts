/** A cluster: this process is the pod of the coordinator's Job, workers are pods, the report is saved in a ConfigMap. */
import { type Config, redisPasswordsOf, redisUrlsOf } from "../../config.ts";
import { ConfigError } from "../../errors.ts";
import { reportFiles } from "../../report/files.ts";
import type { Progress } from "../../report/progress.ts";
import type { Platform } from "../platform.ts";
import { connectKubernetes } from "./api.ts";
import { createEventRecorder, writeTerminationMessage } from "./events.ts";
import { createKubernetesLauncher } from "./launcher.ts";
import { createReportStore } from "./report-store.ts";
import { KubernetesSettings, readKubernetesSettings, reportIdOf } from "./settings.ts";
import { takeOver } from "./takeover.ts";

/** The chart starts the servers together with the coordinator, so they may still be pulling an image. */
const SERVERS_DEADLINE_MS = 180_000;

/** Throws ConfigError for an incomplete environment, and ServerError when the API server cannot be used. */
export async function createKubernetesPlatform(
  { environment, settings, variables }: Config,
  progress: Progress,
): Promise<Platform> {
  const cluster = readKubernetesSettings(KubernetesSettings, variables);
  const { MYSQL_URL, REDIS_URL, PROMETHEUS_URL, HOLDFAST_LISTEN = "0.0.0.0:8080", HOLDFAST_TOKEN } = environment;
  if (
    MYSQL_URL === undefined ||
    REDIS_URL === undefined ||
    PROMETHEUS_URL === undefined ||
    HOLDFAST_TOKEN === undefined
  )
    throw new ConfigError(
      "on Kubernetes MYSQL_URL, REDIS_URL, PROMETHEUS_URL and HOLDFAST_TOKEN must be set; the chart sets them",
    );
  const [host = "", port = ""] = HOLDFAST_LISTEN.split(":");
  const warn = (line: string) => progress.warn(line);

  const api = connectKubernetes();
  const store = createReportStore(api, cluster);
  const events = createEventRecorder(api, cluster, warn);
  const earlier = await takeOver(api, cluster, store);
  for (const note of earlier.notes) progress.warn(note);

  return {
    report: reportIdOf(cluster.HOLDFAST_JOB_UID),
    launcher: createKubernetesLauncher({ api, settings: cluster, startDeadlineMs: settings.startDeadlineMs, warn }),
    servers: {
      mysqlUrl: MYSQL_URL,
      mysqlPassword: environment.MYSQL_PASSWORD,
      redisUrl: REDIS_URL,
      redisUrls: redisUrlsOf(environment),
      redisPasswords: redisPasswordsOf(environment),
      prometheusUrl: PROMETHEUS_URL,
      cluster: true,
      notes: {},
    },
    listen: { host, port: Number(port) },
    token: HOLDFAST_TOKEN,
    serversDeadlineMs: SERVERS_DEADLINE_MS,
    earlier,
    saveProgress: (runs, current) => store.saveProgress(cluster.HOLDFAST_JOB_UID, runs, current, earlier.interrupted),
    async saveReport(report, final) {
      const { exitCode, line } = report.verdict;
      const verdict = { exitCode, line, final };
      const shortened = await store.saveReport(
        cluster.HOLDFAST_JOB_UID,
        reportFiles(report),
        verdict,
        earlier.interrupted,
      );
      for (const file of shortened) progress.warn(`${file} was cut to fit into a ConfigMap`);
      writeTerminationMessage(cluster.HOLDFAST_TERMINATION_LOG, line);
      return `ConfigMap ${store.name}, namespace ${cluster.HOLDFAST_NAMESPACE} (make report)`;
    },
    recordFailure: (line) => writeTerminationMessage(cluster.HOLDFAST_TERMINATION_LOG, line),
    recordEvent: (event, text) => events.record(event, text),
    [Symbol.asyncDispose]: () => events.flush(),
  };
}
