import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import {
  ApiException,
  BatchV1Api,
  CoreV1Api,
  createConfiguration,
  EventsV1Api,
  KubeConfig,
  type RequestContext,
  ServerConfiguration,
} from "@kubernetes/client-node";
import { ServerError } from "../../errors.ts";

export interface KubernetesApi {
  readonly batch: BatchV1Api;
  readonly core: CoreV1Api;
  readonly events: EventsV1Api;
}

/** The API server refused a request (`status` is set) or could not be reached (`status` is undefined). */
export class KubernetesError extends ServerError {
  override name = "KubernetesError";
  readonly status: number | undefined;
  constructor(reason: string, fix: string, options: { readonly status?: number; readonly cause?: unknown } = {}) {
    super("Kubernetes", reason, fix, { cause: options.cause, final: !isTransient(options.status) });
    this.status = options.status;
  }
}

/** Whether a retry may succeed: there was no answer, or too many requests, or an internal error of the server. */
const isTransient = (status: number | undefined) => status === undefined || status === 429 || status >= 500;

/**
 * Connects to the API server of the cluster that this process runs in. It uses another cluster only if the caller passes a
 * config, never the current context of a kubeconfig. A request without an answer fails after `requestTimeoutMs`.
 */
export function connectKubernetes(config = inCluster(), requestTimeoutMs = 5_000): KubernetesApi {
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new KubernetesError("the kubeconfig names no cluster", "set its current context");
  let connections: ReturnType<RequestContext["getDispatcher"]>;
  const api = createConfiguration({
    baseServer: new ServerConfiguration(cluster.server, {}),
    authMethods: { default: config },
    promiseMiddleware: [
      {
        async pre(request) {
          request.setSignal(AbortSignal.timeout(requestTimeoutMs));
          // The client creates a connection pool for each request, which costs a TLS handshake each time: share the first.
          connections ??= request.getDispatcher();
          if (connections !== undefined) request.setDispatcher(connections);
          return request;
        },
        post: async (response) => response,
      },
    ],
  });
  return { batch: new BatchV1Api(api), core: new CoreV1Api(api), events: new EventsV1Api(api) };
}

/**
 * Makes one call, and repeats it for at most `patienceMs` while the API server does not answer or is overloaded.
 * `action` completes "the API server refused to ...". Throws {@link KubernetesError} with the server's message.
 */
export async function ask<T>(action: string, call: () => Promise<T>, patienceMs = 10_000): Promise<T> {
  const deadline = performance.now() + patienceMs;
  for (let pauseMs = 100; ; pauseMs = Math.min(2 * pauseMs, 2_000)) {
    try {
      return await call();
    } catch (cause) {
      const error = toKubernetesError(action, cause);
      if (error.final || performance.now() + pauseMs > deadline) throw error;
      await sleep(pauseMs);
    }
  }
}

/** Makes one call like `ask`, and returns `undefined` where the object does not exist. */
export async function find<T>(action: string, call: () => Promise<T>, patienceMs?: number): Promise<T | undefined> {
  try {
    return await ask(action, call, patienceMs);
  } catch (error) {
    if (error instanceof KubernetesError && error.status === 404) return undefined;
    throw error;
  }
}

function toKubernetesError(action: string, cause: unknown): KubernetesError {
  if (!(cause instanceof ApiException)) {
    const fix = "check that the API server is running and that NetworkPolicies let the coordinator reach it";
    return new KubernetesError(`the request to ${action} failed: ${describeCause(cause)}`, fix, { cause });
  }
  const status: number = cause.code;
  return new KubernetesError(
    `the API server refused to ${action} (${status}): ${statusMessage(cause.body)}`,
    suggestFix(status),
    {
      status,
      cause,
    },
  );
}

function suggestFix(status: number): string {
  if (status === 401) return "check that the coordinator's service account still exists";
  if (status === 403) return "check that the chart's Role allows it and that no quota or policy forbids it";
  if (status === 404) return "check whether it has been deleted";
  return isTransient(status) ? "retry once the API server is healthy" : "correct what the message names";
}

/** Returns the message of a response. Its body is usually a Status object as text; behind a proxy it may be anything. */
function statusMessage(body: unknown): string {
  let status: unknown = body;
  try {
    if (typeof body === "string") status = JSON.parse(body);
  } catch {
    return String(body).slice(0, 200);
  }
  const message = (status as { message?: unknown } | null)?.message;
  return typeof message === "string" ? message : JSON.stringify(status).slice(0, 200);
}

/** `fetch` reports only "fetch failed"; the reason is in its cause. */
function describeCause(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return "the API server did not answer in time";
  return error.cause instanceof Error ? describeCause(error.cause) : error.message || error.name;
}

function inCluster(): KubeConfig {
  if (!existsSync("/var/run/secrets/kubernetes.io/serviceaccount/token")) {
    throw new KubernetesError(
      "this process is not in a pod with a service account token",
      "install it with the chart, or run it on one machine with HOLDFAST_LAUNCHER=local",
    );
  }
  const config = new KubeConfig();
  config.loadFromCluster();
  return config;
}
