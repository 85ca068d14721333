/** JSON over HTTP to a service of one or more hosts, on connections that are kept. */
import { setMaxListeners } from "node:events";
import http, { type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import https from "node:https";
import type { TlsOptions } from "./tls.ts";

export interface HttpOptions {
  /** Where the paths of the API begin, for each host; ends with a slash. */
  readonly bases: readonly URL[];
  /** Undefined for http://. */
  readonly tls: TlsOptions | undefined;
}

export interface HttpRequest {
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  /** Without a slash at its beginning. */
  readonly path: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** How long the whole answer may take, milliseconds; default 5,000. */
  readonly timeoutMs?: number | undefined;
  /** Ends the request with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Called with each line of an answer that goes on for as long as the server likes: `timeoutMs` then limits only the time
   * until the answer begins. The request ends when it returns true; `text` stays empty.
   */
  readonly onLine?: ((line: string) => boolean) | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** Whether the request was sent twice, so that the server may have carried it out twice. */
  readonly repeated?: boolean;
}

export interface HttpClient {
  /**
   * Sends a request to the host that answered last. Goes on to the next host only where no connection could be opened, so
   * a request is carried out at most once, unless an idle connection was closed just when it was used again. Throws the
   * error of the connection.
   */
  send(request: HttpRequest): Promise<HttpAnswer>;
  /** Ends all requests. */
  close(): void;
}

/** Opens no connection yet. */
export function openHttp({ bases, tls }: HttpOptions): HttpClient {
  const module = bases[0]?.protocol === "https:" ? https : http;
  const agent = new module.Agent({ keepAlive: true, ...tls });
  const closing = new AbortController();
  setMaxListeners(0, closing.signal);
  let current = 0;

  async function send(request: HttpRequest): Promise<HttpAnswer> {
    let lastError: unknown;
    for (let tried = 0; tried < bases.length; tried += 1) {
      const index = current;
      const once = () => ask(module, new URL(request.path, bases[index]), agent, request, closing.signal);
      try {
        return await once().catch(async (error) => {
          if (!isStale(error)) throw error;
          return { ...(await once()), repeated: true };
        });
      } catch (error) {
        if (request.signal?.aborted) throw request.signal.reason;
        if (index === current) current = (current + 1) % bases.length;
        lastError = error;
        if (!wasNeverSent(error)) break;
      }
    }
    throw lastError;
  }

  return {
    send,
    close() {
      closing.abort(new Error("the client was closed"));
      agent.destroy();
    },
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const TIMEOUT_MS = 5_000;

async function ask(
  module: typeof http | typeof https,
  url: URL,
  agent: http.Agent,
  { method, body, headers, timeoutMs = TIMEOUT_MS, signal, onLine }: HttpRequest,
  closing: AbortSignal,
): Promise<HttpAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const text = body === undefined ? undefined : JSON.stringify(body);
  const length =
    text === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
  const outgoing = module.request(url, { agent, method, headers: { ...headers, ...length } }, resolve);
  outgoing.on("error", (error) => reject(Object.assign(error, { reused: outgoing.reusedSocket })));
  const end = (error: Error) => outgoing.destroy(error);
  const timer = setTimeout(() => end(new Error(`no answer within ${timeoutMs / 1_000} s`)), timeoutMs);
  const abort = () => end(new Error("the request was aborted"));
  for (const each of [signal, closing]) {
    if (each?.aborted) abort();
    each?.addEventListener("abort", abort, { once: true });
  }
  outgoing.end(text);
  try {
    const incoming = await promise;
    const { statusCode: status = 0, headers } = incoming;
    if (onLine === undefined || status !== 200) return { status, headers, text: await readAll(incoming) };
    clearTimeout(timer);
    await readLines(incoming, onLine);
    return { status, headers, text: "" };
  } finally {
    clearTimeout(timer);
    for (const each of [signal, closing]) each?.removeEventListener("abort", abort);
  }
}

async function readAll(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

/** Returning early closes the connection. */
async function readLines(incoming: IncomingMessage, onLine: (line: string) => boolean) {
  let rest = "";
  for await (const chunk of incoming.setEncoding("utf8")) {
    const lines = `${rest}${chunk}`.split("\n");
    rest = lines.pop() ?? "";
    if (lines.some(onLine)) return;
  }
}

/** A connection that was idle, and that the server closed just when it was used again. */
const isStale = (error: unknown) => {
  const { code, reused } = error as { code?: string; reused?: boolean };
  return reused === true && (code === "ECONNRESET" || code === "EPIPE");
};

const wasNeverSent = (error: unknown) => {
  const { code = "" } = error as { code?: string };
  return ["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "ENOTFOUND", "EAI_AGAIN"].includes(code);
};
