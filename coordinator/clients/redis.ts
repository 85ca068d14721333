/** The coordinator's own connections to Redis, as the ACL user `monitor`, who may run PING and INFO and nothing else. */
import { Cluster, type RedisOptions } from "ioredis";
import { isRefusal } from "../../worker/server-errors.ts";
import {
  onRedisError,
  openRedis,
  openRedisClient,
  type RedisVariables,
  redisAddress,
  redisKind,
  redisLogin,
  redisUrls,
} from "../../worker/servers/redis.ts";
import { ServerError } from "../errors.ts";
import { explainReplica, toRedisError } from "./redis-errors.ts";
import { infoField, redisState } from "./redis-state.ts";

/** For a connection that is made once, used, and closed: every failure is reported at once, and nothing is retried. */
export const ONE_SHOT_OPTIONS = {
  lazyConnect: true,
  enableReadyCheck: false,
  disableClientInfo: true,
  maxRetriesPerRequest: 0,
  retryStrategy: () => null,
  sentinelRetryStrategy: () => null,
  connectTimeout: 3_000,
  commandTimeout: 3_000,
} as const satisfies RedisOptions;

export type RedisMonitor = ReturnType<typeof createRedisMonitor>;

/** Connects at the first call, and again by itself after the connection was lost. */
export function createRedisMonitor(variables: RedisVariables) {
  const connect = (url: string) => createConnection({ ...variables, REDIS_URL: url }, () => 500);
  const first = connect(variables.REDIS_URL);
  const all = redisUrls(variables).map((url) => (url === variables.REDIS_URL ? first : connect(url)));
  return {
    check: first.check,
    readInfos: first.readInfos,
    /**
     * Returns what may explain the result of a run, of REDIS_URL or of all independent servers together; undefined if one
     * of them does not answer. Never rejects.
     */
    state: (of: "first" | "all" = "first"): Promise<Record<string, string> | undefined> =>
      Promise.all((of === "all" ? all : [first]).map(({ readInfos }) => readInfos())).then(
        (infos) => redisState(infos.flat()),
        () => undefined,
      ),
    close() {
      for (const connection of new Set([first, ...all])) connection.close();
    },
  };
}

/** Returns `Redis` and the server's version. Throws ServerError when the server does not answer or refuses the user. */
export async function readRedisVersion(variables: RedisVariables): Promise<string> {
  const connection = createConnection(variables, ONE_SHOT_OPTIONS.retryStrategy);
  try {
    return await connection.check();
  } finally {
    connection.close();
  }
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

function createConnection(variables: RedisVariables, retryStrategy: () => number | null) {
  const login = redisLogin(variables, "monitor");
  const client = openRedisClient(variables, login, { ...ONE_SHOT_OPTIONS, retryStrategy });
  let lastError: Error | undefined;
  onRedisError(client, (error) => {
    lastError = error;
  });

  /** Returns what INFO answers: of the one server, or of each primary of a cluster. */
  async function readInfos(): Promise<string[]> {
    // A client that found no Sentinel or no node of the cluster has ended.
    if (client.status === "wait" || client.status === "end") await client.connect();
    const servers = client instanceof Cluster ? client.nodes("master") : [client];
    if (servers.length === 0) throw lastError ?? new Error(NO_NODES);
    // With the calls of each command, which the default sections do not have.
    return Promise.all(servers.map((server) => server.info("everything")));
  }

  return {
    readInfos,
    /** Returns the server's name and version. Throws ServerError when it does not answer, refuses the user or is no primary. */
    async check(): Promise<string> {
      const user = login.user ?? "default";
      const where = `Redis at ${redisAddress(variables)}, user ${user}`;
      const infos = await readInfos().catch(async (error) => {
        // ioredis rejects with "connection is closed"; the cause came before, as an `error` event.
        const reason = isReply(error) ? error : (lastError ?? error);
        const sentinel = isRefusal(messageOf(reason)) ? await readSentinelInfo(variables) : undefined;
        if (sentinel === undefined) throw await toRedisError(where, variables, user, reason);
        return [sentinel];
      });
      for (const info of infos) {
        const unsuitable = findUnsuitable(variables, info);
        if (unsuitable === undefined) continue;
        const { reason, fix, final = true } = unsuitable;
        throw new ServerError(where, reason, fix, { final });
      }
      const [info = ""] = infos;
      const valkey = infoField(info, "valkey_version");
      const name =
        valkey === undefined ? `Redis ${infoField(info, "redis_version") ?? "of unknown version"}` : `Valkey ${valkey}`;
      const version = `${name}${describeKind(variables, infos)}`;
      const policy = infoField(info, "maxmemory_policy") ?? NO_EVICTION;
      return policy === NO_EVICTION ? version : `${version} (maxmemory-policy ${policy}: it may evict locks)`;
    },
    close: () => client.disconnect(),
  };
}

const NO_EVICTION = "noeviction";
const NO_NODES =
  "the cluster names no usable node: no slot is served, or its nodes do not know their addresses (cluster-announce-ip)";

/** A Sentinel refuses the users of the servers that it watches, but may answer a client that does not log in. */
async function readSentinelInfo(variables: RedisVariables): Promise<string | undefined> {
  const connection = openRedis(variables, {}, ONE_SHOT_OPTIONS);
  connection.on("error", () => {});
  const info = await connection.info().catch(() => "");
  connection.disconnect();
  return /^redis_mode:sentinel/m.test(info) ? info : undefined;
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
const isReply = (error: unknown) => error instanceof Error && error.name === "ReplyError";

/**
 * Why no lock can be kept here, and what to do: a Sentinel has no keys, a replica refuses or loses writes, and one node of
 * a cluster has only some of the keys.
 */
function findUnsuitable(
  variables: RedisVariables,
  info: string,
): { readonly reason: string; readonly fix: string; readonly final?: boolean } | undefined {
  const address = redisAddress(variables);
  if (/^redis_mode:sentinel/m.test(info)) {
    const name = /^master\d+:name=([^,\s]+)/m.exec(info)?.[1] ?? "name-of-the-primary";
    const fix = `write redis+sentinel://${address}/${name} in REDIS_URL`;
    return { reason: "it is a Sentinel, which keeps no keys", fix };
  }
  if (redisKind(variables) !== "cluster" && /^(redis_mode:cluster|cluster_enabled:1)/m.test(info))
    return {
      reason: "it is one node of a Redis Cluster, which has only some of the keys",
      fix: `write redis+cluster://${address} in REDIS_URL`,
    };
  const primary = `${infoField(info, "master_host")}:${infoField(info, "master_port")}`;
  if (/^role:slave/m.test(info)) return { reason: `it is a replica of ${primary}`, ...explainReplica(variables) };
  return undefined;
}

function describeKind(variables: RedisVariables, infos: readonly string[]): string {
  const kind = redisKind(variables);
  if (kind === "sentinel") return ", the primary that Sentinel names";
  return kind === "cluster" ? `, a cluster of ${infos.length} ${infos.length === 1 ? "primary" : "primaries"}` : "";
}
