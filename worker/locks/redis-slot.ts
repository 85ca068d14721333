import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { AbstractConnector, type Cluster, Redis, type RedisOptions } from "ioredis";
import { LockUnreachable } from "./lock.ts";
import { isElsewhere } from "./redis-errors.ts";

/**
 * A connection to one node of a Redis Cluster, for the keys and channels of one slot. It starts at any node and follows
 * each MOVED, so it is at the right node after the first command, and again after a failover or a move of the slot. The
 * command that was answered with MOVED fails. Throws LockUnreachable if the client of the cluster is not connected.
 */
export function connectToSlotOf(cluster: Cluster): Redis {
  let nodes = addressesOf(cluster);
  if (nodes.length === 0) throw new LockUnreachable("the Redis Cluster is unreachable: none of its nodes answers");
  let next: Address | undefined;

  function choose(): Address {
    // While the client of the cluster is disconnected, it knows no nodes.
    const now = addressesOf(cluster);
    if (now.length > 0) nodes = now;
    const chosen = next ?? nodes[Math.floor(Math.random() * nodes.length)]!;
    next = undefined;
    return chosen;
  }

  class SlotConnector extends AbstractConnector {
    readonly #options: RedisOptions;
    constructor(options: unknown) {
      super((options as RedisOptions).disconnectTimeout ?? 0);
      this.#options = options as RedisOptions;
    }
    override async connect(): Promise<Socket> {
      const { tls } = this.#options;
      // Error messages also take the address from the options.
      Object.assign(this.#options, choose());
      const { host, port } = this.#options as Address;
      this.connecting = true;
      this.stream = tls === undefined ? connect({ host, port }) : connectTls({ host, port, ...tls });
      this.stream.once("error", (error) => {
        this.firstError = error;
      });
      return this.stream;
    }
  }

  const options: RedisOptions = {
    ...cluster.options.redisOptions,
    Connector: SlotConnector,
    retryStrategy: (times) => Math.min(10 * times, 500),
    reconnectOnError(error) {
      const [, host, port] = /^MOVED \d+ (.*):(\d+)/.exec(error.message) ?? [];
      // Without a host, it is the one that answered.
      if (port !== undefined) next = { host: host || connection.options.host!, port: Number(port) };
      return isElsewhere(error);
    },
  };
  const connection = new Redis({ ...options, replyMapping: "legacy" });
  // The lock reports errors of its commands; without a listener, ioredis prints each lost connection.
  connection.on("error", () => {});
  return connection;
}

const addressesOf = (cluster: Cluster): Address[] =>
  cluster.nodes("master").map(({ options: { host = "", port = 0 } }) => ({ host, port }));

interface Address {
  readonly host: string;
  readonly port: number;
}
