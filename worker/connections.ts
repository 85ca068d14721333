import { Redis } from "ioredis";
import { PEER_KEY_PREFIX, type WorkerEnvironment, type WorkerRedisUser } from "./contract.ts";
import { accountOfPod, connectLeases } from "./locks/k8s-lease-api.ts";
import type { LeaseApi } from "./locks/k8s-lease-lock.ts";
import { LockDenied, LockUnreachable } from "./locks/lock.ts";
import { lockConnectionOptions } from "./locks/redis-lock.ts";

/** Opens connections to Redis, each logged in as one user. */
export function redisConnections(environment: WorkerEnvironment) {
  const made: { connection: Redis; url: URL; lastError?: Error }[] = [];

  function make(server: string, user: WorkerRedisUser) {
    const url = new URL(server);
    const password = environment[`REDIS_PASSWORD_${user.toUpperCase() as Uppercase<WorkerRedisUser>}`];
    if (password !== undefined) {
      url.username = user;
      url.password = encodeURIComponent(password);
    }
    const keyPrefix = user === "peer" ? { keyPrefix: PEER_KEY_PREFIX } : {};
    const connection = new Redis(url.href, { ...lockConnectionOptions, ...keyPrefix, lazyConnect: true });
    const one: (typeof made)[number] = { connection, url };
    // Without a listener, ioredis prints every lost connection; the command in flight reports it anyway.
    connection.on("error", (error) => {
      one.lastError = error;
    });
    made.push(one);
    return one;
  }

  return {
    /** Opens a connection to REDIS_URL. Throws LockUnreachable or LockDenied with server, user and reason. */
    async connect(user: WorkerRedisUser): Promise<Redis> {
      const one = make(environment.REDIS_URL, user);
      try {
        await one.connection.connect();
        await one.connection.ping();
      } catch (error) {
        const reason = one.lastError?.message ?? (error instanceof Error ? error.message : String(error));
        const where = `Redis at ${one.url.host}`;
        one.connection.disconnect();
        throw /NOAUTH|WRONGPASS|NOPERM/.test(reason)
          ? new LockDenied(
              `${where} refuses user ${one.url.username || "default"}: ${reason}; compare its users with helm/files/users.acl`,
            )
          : new LockUnreachable(`${where} is unreachable: ${reason}`);
      }
      return one.connection;
    },
    /** Returns one connection for each server of REDIS_URLS, none of them open yet. */
    servers: (user: WorkerRedisUser): Redis[] =>
      (environment.REDIS_URLS ?? environment.REDIS_URL).split(",").map((server) => make(server, user).connection),
    close() {
      for (const { connection } of made) connection.disconnect();
    },
  };
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
