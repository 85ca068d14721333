/** The listeners of coordinator and workers, on machines and clusters with IPv4, IPv6 or both. */
import assert from "node:assert/strict";
import test from "node:test";
import { Registry } from "prom-client";
import { parseListenAddress } from "../../coordinator/platform/listen-address.ts";
import { serveCoordinator } from "../../coordinator/runner/http-server.ts";
import { serveMetrics } from "../../worker/metrics.ts";
import { hostAndPort } from "../../worker/servers/url.ts";

const LISTENERS = {
  coordinator: (host: string) => serveCoordinator({ host, port: 0, token: "t", metrics: async () => "" }),
  worker: async (host: string) => {
    const server = await serveMetrics(new Registry(), host, 0);
    return { port: server.port, [Symbol.dispose]: () => server.close() };
  },
};

for (const [name, listen] of Object.entries(LISTENERS)) {
  test(`the ${name} answers on IPv6 and on IPv4 when it listens on ::`, async () => {
    using server = await listen("::");
    for (const host of ["::1", "127.0.0.1"])
      assert.equal((await fetch(`http://${hostAndPort(host, server.port)}/healthz`)).status, 200, host);
  });

  test(`the ${name} answers on the one address that it listens on, and on no other`, async () => {
    using server = await listen("::1");
    assert.equal((await fetch(`http://[::1]:${server.port}/healthz`)).status, 200);
    await assert.rejects(fetch(`http://127.0.0.1:${server.port}/healthz`));
  });
}

test("an IPv6 address loses its brackets for the listener and gets them back in URLs", () => {
  for (const [text, host] of [
    ["[::]:8080", "::"],
    ["[fd00::1]:8080", "fd00::1"],
    ["0.0.0.0:8080", "0.0.0.0"],
    ["localhost:8080", "localhost"],
  ] as const) {
    const address = parseListenAddress(text);
    assert.deepEqual(address, { host, port: 8080 });
    assert.equal(hostAndPort(address.host, address.port), text);
  }
});
