import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";

/** Below the range that the kernel uses for outgoing connections, so that no client can take the port before its server. */
const PORT_MIN = 20_000;
const PORTS = 6_000;
const ATTEMPTS_MAX = 100;

/**
 * Returns a loopback port on which nothing listens. Until this process ends, no other call returns the same port, in
 * this process or in another one on this machine: a server may listen much later, and stop in between.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    const port = PORT_MIN + Math.floor(Math.random() * PORTS);
    try {
      await reserve(port);
      await listenOnce(port);
      return port;
    } catch (error) {
      if (attempt === ATTEMPTS_MAX) throw error;
    }
  }
}

/**
 * Marks a port as taken by a UDP socket on the port {@link PORTS} above it. The kernel closes the socket at the end of
 * the process, however it ends.
 */
async function reserve(port: number) {
  const mark = createSocket("udp4").unref();
  mark.bind({ port: port + PORTS, address: "127.0.0.1", exclusive: true });
  await once(mark, "listening");
}

async function listenOnce(port: number) {
  const server = createServer().listen({ port, host: "127.0.0.1", exclusive: true });
  await once(server, "listening");
  server.close();
  await once(server, "close");
}
