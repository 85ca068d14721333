/** One namespace with one release, created for a test and removed after it, whatever the test did. */
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { Report } from "../../../coordinator/judge/report-data.ts";
import {
  apply,
  CONTEXT,
  type HelmMajor,
  helm,
  type Json,
  kubectl,
  kubectlJson,
  tryHelm,
  tryKubectl,
} from "./cluster.ts";
import { attempt, type CommandOptions, type Outcome } from "./command.ts";
import { follow } from "./follow.ts";
import { Hopeless, until } from "./wait.ts";

export type Values = Readonly<Record<string, unknown>>;
export type Site = Awaited<ReturnType<typeof createSite>>;

/** How a coordinator's Job ended, from each place that shows it. */
export interface End {
  readonly condition: "Complete" | "Failed";
  /** Exit status of the last pod's container. */
  readonly exitCode: number;
  /** Its termination message: the verdict, or why there is none. */
  readonly words: string;
  readonly log: string;
  /** Data of the report's ConfigMap. */
  readonly files: Readonly<Partial<Record<string, string>>>;
  /** Throws if there is none. */
  readonly report: Report;
}

/** Time limit for all runs of a short scenario, on a busy machine. */
export const END_MS = 420_000;
const DELETE_MS = 180_000;

const RELEASE = "demo";
const open = new Set<string>();

/** Creates a namespace that enforces the restricted Pod Security profile. */
export async function createSite(name: string, labels: Readonly<Record<string, string>> = {}) {
  const namespace = `holdfast-e2e-${name}-${randomBytes(2).toString("hex")}`;
  open.add(namespace);
  const enforce = { "pod-security.kubernetes.io/enforce": "restricted", ...labels };
  await apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace, labels: enforce } });

  const within = (args: readonly string[]) => ["--namespace", namespace, ...args];
  let lastShown: string | undefined;
  const site = {
    namespace,
    release: RELEASE,
    kubectl: (args: readonly string[], options?: CommandOptions) => kubectl(within(args), options),
    tryKubectl: (args: readonly string[], options?: CommandOptions) => tryKubectl(within(args), options),
    json: (args: readonly string[]) => kubectlJson(within(args)),
    helm: (args: readonly string[], options?: CommandOptions) => helm(4, within(args), options),

    /** `helm install`, with these values and nothing else. */
    install: (values: Values = {}, major: HelmMajor = 4): Promise<string> =>
      helm(major, within(["install", RELEASE, "./helm", ...valuesFlag(values)]), {
        ...input(values),
        timeoutMs: 180_000,
      }),

    tryInstall: (flags: readonly string[], major: HelmMajor = 4): Promise<Outcome> =>
      tryHelm(major, within(["install", RELEASE, "./helm", ...flags])),

    /** `helm upgrade` to these values, without the release's previous ones. This starts a new run. */
    upgrade: (values: Values, major: HelmMajor = 4): Promise<string> =>
      helm(major, within(["upgrade", RELEASE, "./helm", "--reset-values", "--values", "-"]), {
        ...input(values),
        timeoutMs: 240_000,
      }),

    /** Starts a Job of the release's schedule now, under this name. */
    runScheduled: (job: string): Promise<string> =>
      kubectl(within(["create", "job", `--from=cronjob/${RELEASE}-holdfast-schedule`, job])),

    /** Runs one of the project's make targets for this release. */
    make: (target: string, ...more: string[]): Promise<Outcome> =>
      attempt(
        "make",
        ["--silent", target, `KUBE_CONTEXT=${CONTEXT}`, `NAMESPACE=${namespace}`, `RELEASE=${RELEASE}`, ...more],
        { timeoutMs: 240_000 },
      ),

    /** The coordinator's log as `kubectl logs job/coordinator` shows it; empty if there is none. */
    log: async () => (await tryKubectl(within(["logs", "job/coordinator"]))).stdout,

    /**
     * Waits until the coordinator's log has a matching line. If the coordinator is replaced, continues with the log of
     * the next one.
     */
    said(pattern: RegExp, timeoutMs = 240_000): Promise<string> {
      const deadline = performance.now() + timeoutMs;
      return until(`${pattern} in the coordinator's log`, timeoutMs, async () => {
        const line = await follow(
          within(["logs", "--follow", "job/coordinator"]),
          pattern,
          deadline - performance.now(),
        );
        if (line !== undefined) return line;
        if (endOf(await kubectlJson(within(["get", "job/coordinator"]))) !== undefined)
          throw new Hopeless("the Job is over");
        return undefined;
      });
    },

    /** Waits until the fleet of this strategy runs operations. */
    running(strategy: string, timeoutMs?: number): Promise<string> {
      return this.said(new RegExp(`  ${strategy} +[\\d.]+ / [\\d.]+ s .*`), timeoutMs);
    },

    /** Pods of this strategy's fleet, by index. */
    async fleet(strategy: string): Promise<Json[]> {
      const { items } = await kubectlJson(within(["get", "pods", "--selector", `holdfast.dev/strategy=${strategy}`]));
      const indexOf = (pod: Json) => Number(pod.metadata.labels["batch.kubernetes.io/job-completion-index"]);
      return items.sort((a: Json, b: Json) => indexOf(a) - indexOf(b));
    },

    /** Deletes one pod of this strategy's fleet with a single request, because the run continues meanwhile. */
    deleteWorker(strategy: string, index: number, ...flags: string[]): Promise<string> {
      const selector = `holdfast.dev/strategy=${strategy},batch.kubernetes.io/job-completion-index=${index}`;
      return kubectl(within(["delete", "pod", "--selector", selector, "--wait=false", ...flags]));
    },

    /** Deletes the coordinator's pod, or kills it if the flags say so. */
    deleteCoordinator: (...flags: string[]): Promise<string> =>
      kubectl(
        within(["delete", "pod", "--selector", "batch.kubernetes.io/job-name=coordinator", "--wait=false", ...flags]),
      ),

    /** Waits for the end of the current coordinator's Job. */
    async ended(timeoutMs = END_MS): Promise<End> {
      const job = await until("the end of the coordinator's Job", timeoutMs, async () => {
        const now = await kubectlJson(within(["get", "job/coordinator"]));
        return endOf(now) !== undefined && now;
      });
      const pods = (await coordinatorPods(within)).map((pod) => pod.status.containerStatuses?.[0]?.state.terminated);
      const reports = await kubectlJson(
        within(["get", "configmaps", "--selector", "app.kubernetes.io/component=report"]),
      );
      const { data = {} } = reports.items[0];
      return {
        condition: endOf(job)!,
        exitCode: pods.at(-1)?.exitCode,
        words: pods.at(-1)?.message ?? "",
        // The kubelet of a node that was just restarted may not serve it yet.
        log: await until("the coordinator's log", 60_000, async () => (await this.log()) || undefined),
        files: data,
        get report() {
          if (data["report.json"] === undefined) throw new Error("there is no report in the ConfigMap");
          return Report.parse(JSON.parse(data["report.json"]));
        },
      };
    },

    coordinatorPods: () => coordinatorPods(within),

    /** Prints what is needed to find out why a test failed. */
    async explain() {
      const show = async (args: string[]) => {
        const { stdout, stderr } = await tryKubectl(within(args)).catch((error) => ({
          stdout: "",
          stderr: `${error}`,
        }));
        return `--- kubectl --namespace ${namespace} ${args.join(" ")}\n${stdout}${stderr}`;
      };
      const parts = [
        await show(["get", "jobs,pods", "--output", "wide"]),
        await show(["get", "events", "--sort-by=.lastTimestamp"]),
        await show(["logs", "job/coordinator", "--tail=200"]),
      ];
      const log = parts.at(-1)!;
      if (log === lastShown) parts[parts.length - 1] = "--- the coordinator's log is as it was shown before";
      lastShown = log;
      process.stderr.write(`${parts.join("\n")}\n`);
    },

    async [Symbol.asyncDispose]() {
      await tryKubectl(["delete", "namespace", namespace, "--ignore-not-found", `--timeout=${DELETE_MS / 1_000}s`], {
        timeoutMs: DELETE_MS + 15_000,
      });
      open.delete(namespace);
    },
  };
  return site;
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

// If the tests are interrupted, their namespaces are removed.
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => {
    if (open.size > 0)
      spawnSync("kubectl", ["--context", CONTEXT, "delete", "namespace", "--wait=false", ...open], { timeout: 20_000 });
    process.exit(1);
  });

const valuesFlag = (values: Values) => (Object.keys(values).length === 0 ? [] : ["--values", "-"]);
const input = (values: Values) => ({ input: JSON.stringify(values) });

async function coordinatorPods(within: (args: readonly string[]) => readonly string[]): Promise<Json[]> {
  const pods = await kubectlJson(
    within([
      "get",
      "pods",
      "--selector",
      "batch.kubernetes.io/job-name=coordinator",
      "--sort-by=.metadata.creationTimestamp",
    ]),
  );
  return pods.items;
}

function endOf(job: Json): End["condition"] | undefined {
  return job.status.conditions
    ?.map(({ type }: Json) => type)
    .find((type: string) => type === "Complete" || type === "Failed");
}
