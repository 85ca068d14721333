/** A cluster: this process is the pod of the coordinator's Job, workers are pods, the report is saved in a ConfigMap. */
import { LOCK_SERVICE_TITLES, LOCK_SERVICES } from "../../../worker/contract.ts";
import { type LockServiceVariables, namedServices, urlVariable } from "../../../worker/servers/lock-services.ts";
import { redisUrls } from "../../../worker/servers/redis.ts";
import type { Config } from "../../config.ts";
import { ConfigError } from "../../errors.ts";
import { reportFiles } from "../../report/files.ts";
import type { Progress } from "../../report/progress.ts";
import { parseListenAddress } from "../listen-address.ts";
import type { Platform } from "../platform.ts";
import { connectKubernetes } from "./api.ts";
import { withChartValues } from "./chart-values.ts";
import { createEventRecorder, writeTerminationMessage } from "./events.ts";
import { createClusterFaultMaker, missingClusterFaults } from "./faults.ts";
import { openHistory } from "./history-volume.ts";
import { createKubernetesLauncher } from "./launcher.ts";
import { createReportStore } from "./report-store.ts";
import { createScheduledReport, pruneScheduledReports } from "./scheduled-reports.ts";
import { KubernetesSettings, readKubernetesSettings, reportIdOf } from "./settings.ts";
import { createSilenceExplainer } from "./silence.ts";
import { takeOver } from "./takeover.ts";
import { takeTurn } from "./turn.ts";

/** The chart starts the servers together with the coordinator, so they may still be pulling an image. */
const SERVERS_DEADLINE_MS = 180_000;

/**
 * Waits for the turn of this coordinator. Throws ConfigError for an incomplete environment, ServerError when the API server
 * cannot be used, and the signal's reason.
 */
export async function createKubernetesPlatform(
  { environment, settings, variables }: Config,
  progress: Progress,
  signal: AbortSignal,
): Promise<Platform> {
  const cluster = readKubernetesSettings(KubernetesSettings, variables);
  const { MYSQL_URL, REDIS_URL, PROMETHEUS_URL, HOLDFAST_LISTEN = "[::]:8080", HOLDFAST_TOKEN } = environment;
  if (
    MYSQL_URL === undefined ||
    REDIS_URL === undefined ||
    PROMETHEUS_URL === undefined ||
    HOLDFAST_TOKEN === undefined
  )
    throw new ConfigError(
      "on Kubernetes MYSQL_URL, REDIS_URL, PROMETHEUS_URL and HOLDFAST_TOKEN must be set; the chart sets them",
    );
  const servers = { ...environment, MYSQL_URL, REDIS_URL, PROMETHEUS_URL };
  const makeFault = createClusterFaultMaker(cluster, servers);
  const warn = (line: string) => progress.warn(line);

  const api = connectKubernetes();
  await takeTurn(api, cluster, { signal, say: (waiting) => progress.note(`waiting: ${waiting}`) });
  const { HOLDFAST_HISTORY_LIMIT: historyLimit } = cluster;
  const store = createReportStore(
    api,
    historyLimit === undefined ? cluster : await createScheduledReport(api, cluster),
  );
  const events = createEventRecorder(api, cluster, warn);
  const report = reportIdOf(cluster.HOLDFAST_JOB_UID);
  const history = await openHistory(cluster.HOLDFAST_HISTORY_FOLDER, report);
  const earlier = await takeOver(api, cluster, store);
  for (const note of earlier.notes) progress.warn(note);

  return {
    report,
    launcher: createKubernetesLauncher({ api, settings: cluster, startDeadlineMs: settings.startDeadlineMs, warn }),
    servers: {
      variables: servers,
      redisUrls: redisUrls(servers),
      missingServices: missingServices(servers),
      missingFaults: missingClusterFaults(cluster),
      cluster: true,
      notes: {},
    },
    listen: parseListenAddress(HOLDFAST_LISTEN),
    token: HOLDFAST_TOKEN,
    serversDeadlineMs: SERVERS_DEADLINE_MS,
    makeFault,
    earlier,
    saveProgress: (runs, current) => store.saveProgress(cluster.HOLDFAST_JOB_UID, runs, current, earlier.interrupted),
    saveHistory: history?.saveRun,
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
      await history?.saveReport(report).catch((error: Error) => progress.warn(error.message));
      const place = `ConfigMap ${store.name}, namespace ${cluster.HOLDFAST_NAMESPACE}`;
      if (historyLimit === undefined) return `${place} (make report)`;
      if (final) await pruneScheduledReports(api, cluster, store.name, historyLimit).catch((e) => warn(e.message));
      return `${place} (make report ID=${report.report})`;
    },
    explainSilence: createSilenceExplainer(),
    recordFailure: (line) => writeTerminationMessage(cluster.HOLDFAST_TERMINATION_LOG, withChartValues(line)),
    recordEvent: (event, text) => events.record(event, text),
    [Symbol.asyncDispose]: () => events.flush(),
  };
}

const missingServices = (variables: LockServiceVariables) =>
  Object.fromEntries(
    LOCK_SERVICES.filter((service) => !namedServices(variables).includes(service)).map((service) => [
      service,
      `needs ${LOCK_SERVICE_TITLES[service]}, and ${urlVariable(service)} is not set (chart: ${service}.enabled)`,
    ]),
  );
