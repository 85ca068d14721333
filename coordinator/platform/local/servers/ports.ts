import { once } from "node:events";
import { createServer } from "node:net";

/** Below the range that the kernel uses for outgoing connections, so that no client can take the port before its server. */
const PORT_MIN = 20_000;
const PORT_MAX = 31_999;
const ATTEMPTS_MAX = 100;

/** Returns a loopback port on which nothing listens. */
export async function freePort(): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    const port = PORT_MIN + Math.floor(Math.random() * (PORT_MAX - PORT_MIN + 1));
    const server = createServer().listen({ port, host: "127.0.0.1", exclusive: true });
    try {
      await once(server, "listening");
    } catch (error) {
      if (attempt === ATTEMPTS_MAX) throw error;
      continue;
    }
    server.close();
    await once(server, "close");
    return port;
  }
}
