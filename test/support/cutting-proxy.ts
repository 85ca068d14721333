/** A proxy between workers and MySQL that cuts a connection in the middle of a COMMIT. */

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface CuttingProxy extends AsyncDisposable {
  readonly port: number;
  /** COMMITs that never reached the server, and COMMITs whose answer was lost. */
  readonly cuts: { before: number; after: number };
}

/** Cuts at every n-th COMMIT, alternately before it is forwarded and after the server has answered it. */
export async function startCuttingProxy(target: URL, every: number): Promise<CuttingProxy> {
  const cuts = { before: 0, after: 0 };
  const sockets = new Set<Socket>();
  let commits = 0;
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    let silent = false;
    const cut = () => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", cut).on("close", () => {
        sockets.delete(socket);
        cut();
      });
    }
    client.on("data", (chunk) => {
      const isCut = chunk.includes("COMMIT") && ++commits % every === 0;
      if (isCut && (commits / every) % 2 === 1) {
        cuts.before += 1;
        return cut();
      }
      silent = isCut;
      upstream.write(chunk);
    });
    upstream.on("data", (chunk) => {
      if (!silent) return client.write(chunk);
      cuts.after += 1;
      cut();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    cuts,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
