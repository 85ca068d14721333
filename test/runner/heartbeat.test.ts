import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { test } from "node:test";
import type { Command } from "../../worker/contract.ts";
import { startHeartbeats } from "../../worker/heartbeat.ts";

/** Answers every request on the first connection as a server that is not the coordinator does, and on later ones as it does. */
async function serveSecondConnection() {
  let first: Socket | undefined;
  const server = createServer((request, response) => {
    first ??= request.socket;
    if (request.socket === first) response.writeHead(404).end();
    else response.end(JSON.stringify({ command: "wait" }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test("after an answer that is not the coordinator's, the next heartbeat uses a new connection", async () => {
  await using server = await serveSecondConnection();
  const { promise, resolve, reject } = Promise.withResolvers<Command>();
  const heartbeats = startHeartbeats({
    url: server.url,
    token: "t",
    intervalMs: () => 20,
    lostMs: 2_000,
    beat: () => ({}) as never,
    onCommand: resolve,
    onLost: (reason) => reject(new Error(reason)),
  });
  try {
    assert.deepEqual(await promise, { command: "wait" });
  } finally {
    heartbeats.stop();
  }
});
