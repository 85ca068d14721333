/** Requests to the HTTP API of Prometheus. The status of an answer decides what it means, not its body. */
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import * as z from "zod";
import { explainSecret, explainTls } from "../../worker/server-errors.ts";
import { type PrometheusVariables, prometheusAccess } from "../../worker/servers/prometheus.ts";
import { ServerError } from "../errors.ts";
import { oneLine } from "../text/format.ts";

/** One request may take this long. */
const REQUEST_MS = 5_000;
/** Shorter than the time after which servers and proxies close an idle connection. */
const IDLE_MS = 5_000;

/** Sends a form to a path of the API, or asks for the path if there is none, and returns the JSON of a success. */
export type AskPrometheus = (path: string, form?: URLSearchParams) => Promise<unknown>;

/** Returns a function that throws ServerError. `where` is the server, for messages; it contains no login. */
export function connectPrometheus(variables: PrometheusVariables): { readonly where: string; ask: AskPrometheus } {
  const { base, tls, headers } = prometheusAccess(variables);
  const where = `Prometheus at ${base.href}`;
  const module = base.protocol === "https:" ? https : http;
  const agent = new module.Agent({ keepAlive: true, timeout: IDLE_MS, ...tls });
  /** Kept until the server refuses them: a command that prints a token may be slow. */
  let login: Record<string, string> | undefined;

  async function send(path: string, form: URLSearchParams | undefined): Promise<Answer> {
    login ??= await headers();
    const type = form === undefined ? {} : { "content-type": "application/x-www-form-urlencoded" };
    const options = { agent, method: form === undefined ? "GET" : "POST", headers: { ...login, ...type } };
    const url = new URL(path, base);
    const once = () => request(module, url, options, form?.toString());
    // The server may close an idle connection just when it is used again.
    return once().catch((error) => (isStale(error) ? once() : Promise.reject(error)));
  }

  async function ask(path: string, form?: URLSearchParams): Promise<unknown> {
    try {
      const first = await send(path, form);
      if (!isRefused(first)) return read(where, first);
      login = undefined;
      return read(where, await send(path, form));
    } catch (error) {
      throw error instanceof ServerError ? error : toServerError(where, error);
    }
  }
  return { where, ask };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

interface Answer {
  readonly status: number;
  readonly statusText: string;
  readonly location: string | undefined;
  readonly body: string;
}

const isRefused = ({ status }: Answer) => status === 401 || status === 403;

async function request(
  module: typeof http | typeof https,
  url: URL,
  options: http.RequestOptions,
  body: string | undefined,
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const outgoing = module.request(url, { ...options, signal: AbortSignal.timeout(REQUEST_MS) }, resolve);
  outgoing.on("error", (error) => reject(Object.assign(error, { reused: outgoing.reusedSocket })));
  outgoing.end(body);
  const incoming = await promise;
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk);
  return {
    status: incoming.statusCode ?? 0,
    statusText: incoming.statusMessage ?? "",
    location: incoming.headers.location,
    body: Buffer.concat(chunks).toString("utf8"),
  };
}

const isStale = (error: unknown) => {
  const { code, reused } = error as { code?: string; reused?: boolean };
  return reused === true && (code === "ECONNRESET" || code === "EPIPE");
};

function read(where: string, answer: Answer): unknown {
  const { status, body } = answer;
  const content = parseJson(body);
  if (status >= 200 && status < 300 && content !== undefined) return content;
  const { reason, fix, final } = explain(answer, content);
  throw new ServerError(where, oneLine(reason).slice(0, 300), fix, { final });
}

const ErrorBody = z.object({ error: z.string() });

function explain(
  { status, statusText, location, body }: Answer,
  content: unknown,
): { readonly reason: string; readonly fix: string; readonly final: boolean } {
  const said = ErrorBody.safeParse(content).data?.error;
  const reason = `HTTP status ${`${status} ${statusText}`.trim()}${said === undefined ? "" : `: ${said}`}`;
  const is = (...statuses: readonly number[]) => statuses.includes(status);
  if (is(401, 403))
    return {
      reason,
      fix: "give a login that may query: PROMETHEUS_USERNAME and PROMETHEUS_PASSWORD, or PROMETHEUS_BEARER_TOKEN",
      final: true,
    };
  if (status >= 300 && status < 400)
    return {
      reason: `${reason}, to ${withoutDetails(location)}`,
      fix: "write that address in PROMETHEUS_URL",
      final: true,
    };
  if (/HTTP request to an HTTPS server/i.test(body))
    return { reason: "it speaks TLS on this port", fix: "write https:// in PROMETHEUS_URL", final: true };
  if (is(404, 405)) return { reason, fix: PATH, final: true };
  if (status >= 200 && status < 300) return { reason: "the answer is not JSON", fix: PATH, final: true };
  if (is(400, 422)) return { reason, fix: "check that it is a Prometheus of version 2.42 or later", final: false };
  return { reason, fix: "start it or correct PROMETHEUS_URL", final: false };
}

const PATH = "correct the path in PROMETHEUS_URL: it is what precedes /api/v1, without /graph";

/** A redirect to a login page may contain a token. */
function withoutDetails(location = ""): string {
  if (!URL.canParse(location)) return location.replace(/[?#].*/, "");
  const { origin, pathname } = new URL(location);
  return `${origin}${pathname}`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function toServerError(where: string, error: unknown): ServerError {
  const { code = "", message } = error as { code?: string; message?: string };
  const timedOut = (error as Error).name === "AbortError" || (error as Error).name === "TimeoutError";
  const reason = timedOut ? `no answer within ${REQUEST_MS / 1_000} s` : message || code || String(error);
  const known = explainSecret(error) ?? explainTls(error, "PROMETHEUS_TLS", "write http:// in PROMETHEUS_URL");
  const { fix, final } = known ?? { fix: "start it or correct PROMETHEUS_URL", final: false };
  return new ServerError(where, oneLine(reason), fix, { cause: error, final });
}
