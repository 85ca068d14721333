/** A loopback address in front of servers, like a load balancer or the address of a primary that a failover moves. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface Address extends AsyncDisposable {
  readonly port: number;
  /** Where later connections lead. */
  moveTo(ports: readonly number[]): void;
}

/** Forwards connections to these ports of loopback, in turn. */
export async function startAddress(ports: readonly number[]): Promise<Address> {
  let targets = ports;
  let connections = 0;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(targets[connections++ % targets.length]!, "127.0.0.1");
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket
        .on("error", () => {})
        .on("close", () => {
          sockets.delete(socket);
          other.destroy();
        });
      socket.pipe(other);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    moveTo(others) {
      targets = others;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
