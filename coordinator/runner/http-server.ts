/** The coordinator's HTTP server. It receives heartbeats, and serves targets and metrics for Prometheus. */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { Heartbeat, listenHost } from "../../worker/contract.ts";
import type { Roster } from "./roster.ts";

export interface CoordinatorServer extends Disposable {
  readonly port: number;
  /** Passes heartbeats to this roster from now on. */
  follow(roster: Roster): void;
  /** Sets the host:port of each /metrics that /targets returns for the http_sd of Prometheus. */
  setTargets(targets: readonly string[]): void;
}

export interface CoordinatorServerOptions {
  readonly host: string;
  readonly port: number;
  readonly token: string;
  readonly metrics: () => Promise<string>;
}

/** A worker's final heartbeat carries one bit per operation. */
const BODY_BYTES_MAX = 64 * 1024 * 1024;

/** Starts the server. Rejects when it cannot listen on the address. */
export async function serveCoordinator(options: CoordinatorServerOptions): Promise<CoordinatorServer> {
  let roster: Roster | undefined;
  let targets: readonly string[] = [];

  const server = createServer(async (request, response) => {
    const answer = (status: number, body: unknown, type = "application/json") =>
      response.writeHead(status, { "content-type": type }).end(typeof body === "string" ? body : JSON.stringify(body));
    try {
      if (request.url === "/healthz") return answer(200, "ok\n", "text/plain");
      if (request.url === "/metrics")
        return answer(200, await options.metrics(), "text/plain; version=0.0.4; charset=utf-8");
      if (request.url === "/targets") return answer(200, [{ targets, labels: {} }]);
      if (request.url !== "/heartbeat" || request.method !== "POST") return answer(404, "no such page\n", "text/plain");
      if (request.headers.authorization !== `Bearer ${options.token}`)
        return answer(401, "wrong token\n", "text/plain");
      const beat = Heartbeat.safeParse(JSON.parse(await readBody(request)));
      if (!beat.success) return answer(400, `not a heartbeat: ${beat.error.message}\n`, "text/plain");
      answer(200, roster?.receive(beat.data) ?? { command: "wait" });
    } catch (error) {
      answer(400, `${error instanceof Error ? error.message : error}\n`, "text/plain");
    }
  });
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(options.port, listenHost(options.host), resolve);
  });

  return {
    port: (server.address() as AddressInfo).port,
    follow(next) {
      roster = next;
    },
    setTargets(next) {
      targets = next;
    },
    [Symbol.dispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += (chunk as Buffer).length;
    if (bytes > BODY_BYTES_MAX) throw new Error(`the heartbeat has more than ${BODY_BYTES_MAX} bytes`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString("utf8");
}
