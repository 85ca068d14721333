import { once } from "node:events";
import { createServer } from "node:net";

/** Below the range from which the kernel takes ports for outgoing connections, so that no client gets it meanwhile. */
const FIRST_PORT = 20_000;
const LAST_PORT = 31_999;
const ATTEMPTS = 100;

/** A loopback port where nobody listens. */
export async function freePort(): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    const port = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT + 1));
    const server = createServer().listen({ port, host: "127.0.0.1", exclusive: true });
    try {
      await once(server, "listening");
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
      continue;
    }
    server.close();
    await once(server, "close");
    return port;
  }
}
