import { Cluster, type Redis } from "ioredis";
import { PEER_KEY_PREFIX, type WorkerRedisUser } from "./contract.ts";
import type { WorkerEnvironment } from "./environment.ts";
import { accountOfPod, connectLeases } from "./locks/k8s-lease-api.ts";
import type { LeaseApi } from "./locks/k8s-lease-lock.ts";
import { LockDenied, LockUnreachable, messageOf } from "./locks/lock.ts";
import { lockConnectionOptions } from "./locks/redis-lock.ts";
import { explainRedis, isRefusal } from "./server-errors.ts";
import type { Network } from "./servers/network.ts";
import { onRedisError, openRedisClient, redisAddress, redisLogin, redisUrls, wrapStreams } from "./servers/redis.ts";

/**
 * Opens connections to Redis, each logged in as one user. `network` comes between them and their servers, except those
 * of a Redis Cluster.
 */
export function redisConnections(environment: WorkerEnvironment, network?: Network) {
  const made: { connection: Redis | Cluster; lastError?: Error }[] = [];

  function make(server: string, user: WorkerRedisUser) {
    const variables = { ...environment, REDIS_URL: server };
    const keyPrefix = user === "peer" ? { keyPrefix: PEER_KEY_PREFIX } : {};
    const connection = openRedisClient(variables, redisLogin(variables, user), {
      ...lockConnectionOptions,
      ...keyPrefix,
    });
    if (network !== undefined && !(connection instanceof Cluster))
      wrapStreams(connection, (socket) => network.wrap("redis", socket));
    const one: (typeof made)[number] = { connection };
    onRedisError(connection, (error) => {
      one.lastError = error;
    });
    made.push(one);
    return one;
  }

  return {
    /** Opens a connection to REDIS_URL. Throws LockUnreachable or LockDenied with server, user and reason. */
    async connect(user: WorkerRedisUser): Promise<Redis | Cluster> {
      const one = make(environment.REDIS_URL, user);
      try {
        await one.connection.connect();
        await one.connection.ping();
      } catch (error) {
        one.connection.disconnect();
        throw unusable(environment, user, one.lastError ?? error);
      }
      return one.connection;
    },
    /** Returns one connection for each server of REDIS_URLS, none of them open yet. */
    servers: (user: WorkerRedisUser): (Redis | Cluster)[] =>
      redisUrls(environment).map((server) => make(server, user).connection),
    close() {
      for (const { connection } of made) connection.disconnect();
    },
  };
}

function unusable(environment: WorkerEnvironment, role: WorkerRedisUser, error: unknown): LockDenied | LockUnreachable {
  const user = redisLogin(environment, role).user ?? "default";
  const where = `Redis at ${redisAddress(environment)}`;
  const message = messageOf(error);
  const { fix } = explainRedis(error, user) ?? {};
  const reason = fix === undefined ? message : `${message}; ${fix}`;
  if (isRefusal(message)) return new LockDenied(`${where} refuses user ${user}: ${reason}`, { cause: error });
  const isReply = error instanceof Error && error.name === "ReplyError";
  return new LockUnreachable(`${where}${isReply ? "" : " is unreachable"}: ${reason}`, { cause: error });
}

/** The cluster's Lease objects, owned by the worker's Job; undefined if this pod has no service account. */
export function leasesOf(environment: WorkerEnvironment): LeaseApi | undefined {
  const { KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT, HOLDFAST_JOB_NAME, HOLDFAST_JOB_UID } = environment;
  if (KUBERNETES_SERVICE_HOST === undefined || KUBERNETES_SERVICE_PORT === undefined) return undefined;
  const account = accountOfPod(KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT);
  if (account === undefined) return undefined;
  if (HOLDFAST_JOB_NAME === undefined || HOLDFAST_JOB_UID === undefined) return connectLeases(account);
  const owner = { apiVersion: "batch/v1", kind: "Job", name: HOLDFAST_JOB_NAME, uid: HOLDFAST_JOB_UID };
  return connectLeases({ ...account, owner });
}
