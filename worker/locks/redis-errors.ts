import { Cluster, type Redis } from "ioredis";
import { explainRedis, isRefusal } from "../server-errors.ts";
import { LockDenied, LockUnreachable, messageOf } from "./lock.ts";

/**
 * The error that an error reply of Redis means for a lock; undefined if there was no reply at all, or none from the
 * server that has the lock.
 */
export function refusal(
  connection: Redis | Cluster,
  error: unknown,
  doing: string,
): LockDenied | LockUnreachable | undefined {
  if (isElsewhere(error)) return undefined;
  return explained(connection, error, doing);
}

function explained(connection: Redis | Cluster, error: unknown, doing: string) {
  const message = messageOf(error);
  if (isRefusal(message)) {
    return new LockDenied(
      `Redis at ${address(connection)} does not let user "${userOf(connection)}" ${doing}: ${message}; compare the user's rules and password with what the lock needs`,
      { cause: error },
    );
  }
  if (error instanceof Error && error.name === "ReplyError") {
    const { fix } = explainRedis(error) ?? {};
    const advice = fix === undefined ? "" : `; ${fix}`;
    return new LockUnreachable(`Redis at ${address(connection)} could not ${doing}: ${message}${advice}`, {
      cause: error,
    });
  }
  return undefined;
}

export const unreachable = (connection: Redis | Cluster, error: unknown, doing: string) =>
  explained(connection, error, doing) ??
  new LockUnreachable(
    `Redis at ${address(connection)} is unreachable, so it is not possible to ${doing}: ${reasonOf(error)}; check its address and that it is running`,
    { cause: error },
  );

/** Whether another server has the lock, now or soon: its slot is on another node, or there was a failover. */
export const isElsewhere = (error: unknown): boolean =>
  /^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN|READONLY|MASTERDOWN) /.test(messageOf(error));

/** Without retries, ioredis reports a command whose connection was lost as MaxRetriesPerRequestError. */
export const reasonOf = (error: unknown) =>
  error instanceof Error && error.name === "MaxRetriesPerRequestError"
    ? "the connection was lost"
    : messageOf(error ?? "no answer");

export function address(connection: Redis | Cluster): string {
  if (connection instanceof Cluster) {
    const nodes = connection.nodes("master").map((node) => address(node));
    return nodes.length === 0 ? "a cluster without reachable nodes" : `cluster ${nodes.join(", ")}`;
  }
  const { path, sentinels, name, host, port } = connection.options;
  if (sentinels != null) return `${name} (Sentinel ${sentinels.map((each) => `${each.host}:${each.port}`).join(", ")})`;
  return path ?? `${host}:${port}`;
}

function userOf(connection: Redis | Cluster): string {
  const options = connection instanceof Cluster ? connection.options.redisOptions : connection.options;
  return options?.username ?? "default";
}
