import type { Socket } from "node:net";
import { Cluster, Redis, type RedisOptions } from "ioredis";
import * as z from "zod";
import { REDIS_USERS, type RedisUser } from "../contract.ts";
import { isSecretGiven, readSecretNow, type Secret, secretOf, secretVariables } from "./secrets.ts";
import { tlsOptions, tlsVariables } from "./tls.ts";
import {
  checkParameters,
  hostAndPort,
  isTlsParameter,
  parseServerUrl,
  type ServerUrl,
  splitHosts,
  splitUrls,
} from "./url.ts";

export const REDIS_VARIABLES = {
  /**
   * redis://host:port/database, redis+sentinel://host:port,host:port/name or redis+cluster://host:port,host:port; with
   * rediss for TLS. Its login is used for all users without a REDIS_PASSWORD_*.
   */
  REDIS_URL: z.string().optional(),
  /** All independent servers, separated by commas, for locks on a majority; default REDIS_URL. */
  REDIS_URLS: z.string().optional(),
  /** The password of the user in REDIS_URL, or of the user `default`. */
  ...secretVariables("REDIS_PASSWORD"),
  /** The passwords of the users of helm/files/users.acl. */
  ...secretVariables("REDIS_PASSWORD_LOCK"),
  ...secretVariables("REDIS_PASSWORD_SEED"),
  ...secretVariables("REDIS_PASSWORD_PEER"),
  ...secretVariables("REDIS_PASSWORD_MONITOR"),
  ...secretVariables("REDIS_PASSWORD_GUEST"),
  /** The password of the Sentinels, if they have one. */
  ...secretVariables("REDIS_SENTINEL_PASSWORD"),
  ...tlsVariables("REDIS"),
};

/** Those variables, with the URL set, for Redis. */
export type RedisVariables = { readonly REDIS_URL: string } & {
  readonly [Name in Exclude<keyof typeof REDIS_VARIABLES, "REDIS_URL">]?: string | undefined;
};

/** One server; the primary that Sentinels watch; or a Redis Cluster. */
export type RedisKind = "server" | "sentinel" | "cluster";

/** The user and the password of a connection, which does not log in if both are left out. */
export interface RedisLogin {
  readonly user?: string | undefined;
  readonly password?: string | Secret | undefined;
}

export const redisKind = ({ REDIS_URL }: Pick<RedisVariables, "REDIS_URL">): RedisKind =>
  kindOf(parseServerUrl(splitHosts(REDIS_URL)[0]!, RULES));

/** Returns `host:port`, for messages: of the first server that is named. */
export function redisAddress({ REDIS_URL }: Pick<RedisVariables, "REDIS_URL">): string {
  const [{ host, port }] = addressesOf(REDIS_URL);
  return hostAndPort(host, port);
}

/** Returns the URLs of all independent servers. */
export const redisUrls = ({ REDIS_URL, REDIS_URLS }: RedisVariables): string[] =>
  REDIS_URLS === undefined ? [REDIS_URL] : splitUrls(REDIS_URLS);

/** Returns the login of a user of helm/files/users.acl, or the login of REDIS_URL where that user has no password. */
export function redisLogin(variables: RedisVariables, user: RedisUser): RedisLogin {
  // The driver's client of a cluster keeps one password for all of its connections.
  const read = redisKind(variables) === "cluster" ? readSecretNow : secretOf;
  const password = read(variables, passwordVariable(user));
  if (password !== undefined) return { user, password };
  const url = parseServerUrl(splitHosts(variables.REDIS_URL)[0]!, RULES);
  return { user: url.user, password: read(variables, "REDIS_PASSWORD") ?? url.password };
}

/** The users of helm/files/users.acl that have a password. Without any, the login of REDIS_URL is used for everything. */
export const redisUsers = (variables: RedisVariables): RedisUser[] =>
  REDIS_USERS.filter((user) => isSecretGiven(variables, passwordVariable(user)));

/**
 * The URL with which a user's own lock logs in, as the user `guest`; undefined if that user has no password, and for
 * Sentinels and clusters, which have no URL that other clients know.
 */
export function guestUrl(variables: RedisVariables): string | undefined {
  const password = readSecretNow(variables, passwordVariable("guest"));
  if (password === undefined || redisKind(variables) !== "server") return undefined;
  const [{ host, port }] = addressesOf(variables.REDIS_URL);
  const { scheme, path } = parseServerUrl(variables.REDIS_URL, RULES);
  return `${scheme}://guest:${encodeURIComponent(password)}@${hostAndPort(host, port)}${path === "" ? "" : `/${path}`}`;
}

export const passwordVariable = <U extends RedisUser>(user: U) =>
  `REDIS_PASSWORD_${user.toUpperCase() as Uppercase<U>}` as const;

/**
 * The one place where connections to one Redis are made: to the server, to the primary that Sentinels name, or to the
 * first node of a cluster. Opens no connection yet: `connect` or the first command does. Throws an Error in one line that
 * names the variable.
 */
export function openRedis(variables: RedisVariables, login: RedisLogin, options: RedisOptions = {}): Redis {
  const connection = new Redis({ ...redisOptions(variables), ...loginOptions(login), ...options, ...OWN_OPTIONS });
  connection.on("error", hideCommand);
  const secret = typeof login.password === "object" ? login.password : undefined;
  return secret === undefined || secret.value !== undefined ? connection : readPasswordOnConnect(connection, secret);
}

/** Lets `wrap` replace the stream of each connection to one server or to a primary that Sentinels name. */
export function wrapStreams(connection: Redis, wrap: (socket: Socket) => Socket): void {
  const { connector } = connection as unknown as Internals;
  const connect = connector.connect.bind(connector);
  connector.connect = async (emit) => {
    const stream = wrap(await connect(emit));
    // The connector ends it when the caller disconnects.
    connector.stream = stream;
    return stream;
  };
}

/** Opens a client of a whole cluster, where REDIS_URL names one, and a connection like `openRedis` otherwise. */
export function openRedisClient(
  variables: RedisVariables,
  login: RedisLogin,
  options: RedisOptions = {},
): Redis | Cluster {
  if (redisKind(variables) !== "cluster") return openRedis(variables, login, options);
  const { host: _host, port: _port, ...common } = redisOptions(variables);
  const { keyPrefix, retryStrategy, ...connection } = options;
  return new Cluster([...addressesOf(variables.REDIS_URL)], {
    ...(keyPrefix === undefined ? {} : { keyPrefix }),
    ...(retryStrategy === undefined ? {} : { clusterRetryStrategy: retryStrategy }),
    lazyConnect: true,
    // The check needs CLUSTER INFO. A command that comes too early is answered with CLUSTERDOWN and sent again.
    enableReadyCheck: false,
    // A redirect says that nothing was done; a lost answer says nothing, so such a command is not sent again.
    retryDelayOnFailover: 0,
    // The client of the cluster follows redirects itself.
    redisOptions: { ...common, ...loginOptions(login), ...connection, ...OWN_OPTIONS, reconnectOnError: null },
  });
}

/**
 * Calls `listener` with each error of a connection or of a node of a cluster. Without a listener, ioredis prints every lost
 * connection. An error that says only that the connection is closed comes after the one that says why.
 */
export function onRedisError(client: Redis | Cluster, listener: (error: Error) => void): void {
  for (const event of ["error", "node error"])
    client.on(event, (error: Error & { readonly lastNodeError?: Error }) => {
      const cause = error.lastNodeError ?? error;
      hideCommand(cause);
      if (cause.message !== "Connection is closed.") listener(cause);
    });
}

/** The driver's options for one server, without a login. Throws an Error in one line that names the variable. */
export function redisOptions(variables: RedisVariables): RedisOptions {
  const { REDIS_URL } = variables;
  const [address] = addressesOf(REDIS_URL);
  const url = parseServerUrl(splitHosts(REDIS_URL)[0]!, RULES);
  const kind = kindOf(url);
  checkParameters(url, "REDIS_URL", ["family"], (name) =>
    isTlsParameter(name) ? "for TLS write rediss:// (and REDIS_TLS_CA)" : "the only known parameter is family",
  );
  checkPath(kind, url.path);
  const family = url.parameters.get("family");
  const sentinelPassword = kind === "sentinel" ? readSecretNow(variables, "REDIS_SENTINEL_PASSWORD") : undefined;
  const tls = tlsOptions(variables, "REDIS", url.scheme.startsWith("rediss"));
  return {
    ...(kind === "sentinel"
      ? {
          sentinels: [...addressesOf(REDIS_URL)],
          name: url.path,
          // About 5 s. The driver would ask for ever, also for a name that no Sentinel knows.
          sentinelRetryStrategy: (times: number) => (times <= 30 ? 10 * times : null),
          enableTLSForSentinelMode: tls !== undefined,
          ...(tls === undefined ? {} : { sentinelTLS: tls }),
          ...(sentinelPassword === undefined ? {} : { sentinelPassword }),
        }
      : address),
    ...(kind === "server" && url.path !== "" ? { db: Number(url.path) } : {}),
    ...(family === null ? {} : { family: Number(family) }),
    ...(tls === undefined ? {} : { tls }),
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const RULES = {
  variable: "REDIS_URL",
  schemes: ["redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"],
  example:
    "redis://host:6379, redis+sentinel://host:26379,host2:26379/name-of-the-primary or redis+cluster://host:6379,host2:6379",
  passwordVariable: "REDIS_PASSWORD",
};
const DEFAULT_PORTS: Readonly<Record<RedisKind, number>> = { server: 6379, sentinel: 26379, cluster: 6379 };
const OWN_OPTIONS = { lazyConnect: true, replyMapping: "legacy" } as const;

const kindOf = ({ scheme }: ServerUrl) => (scheme.split("+")[1] ?? "server") as RedisKind;

function loginOptions({ user, password: given }: RedisLogin): RedisOptions {
  const password = typeof given === "object" ? given.value : given;
  return { ...(user === undefined ? {} : { username: user }), ...(password === undefined ? {} : { password }) };
}

interface Address {
  readonly host: string;
  readonly port: number;
}

function addressesOf(text: string): readonly [Address, ...Address[]] {
  const urls = splitHosts(text).map((each) => parseServerUrl(each, RULES));
  const kind = kindOf(urls[0]!);
  if (kind === "server" && urls.length > 1)
    throw new Error(`REDIS_URL: redis:// takes one server; write ${RULES.example}`);
  return urls.map(({ host, port = DEFAULT_PORTS[kind] }) => ({ host, port })) as [Address, ...Address[]];
}

function checkPath(kind: RedisKind, path: string) {
  if (kind === "server" && !/^\d*$/.test(path))
    throw new Error("REDIS_URL: the database must be a number; write redis://host:6379");
  if (kind === "sentinel" && path === "")
    throw new Error(
      "REDIS_URL: names no primary; write redis+sentinel://host:26379,host2:26379/name, with the name from SENTINEL MASTERS",
    );
  if (kind === "cluster" && path !== "")
    throw new Error("REDIS_URL: a Redis Cluster has no databases; write redis+cluster://host:6379,host2:6379");
}

/** The error of a refused login carries the command with its password, which Node prints with an error that nobody catches. */
function hideCommand(error: Error & { command?: unknown }): void {
  delete error.command;
}

/** The parts of a connection that the driver does not declare. `connecting` turns false when the caller disconnects. */
interface Internals {
  readonly connector: { connecting: boolean; stream?: Socket; connect(emit: unknown): Promise<Socket> };
  readonly condition: { auth: string | readonly [string, string] };
}

/** Makes a connection read its password again each time it connects: the driver keeps only one for all times. */
function readPasswordOnConnect(connection: Redis, secret: Secret): Redis {
  const internals = connection as unknown as Internals;
  const { connector } = internals;
  const connect = connector.connect.bind(connector);
  connector.connect = async (emit) => {
    connector.connecting = true;
    const password = await secret.read();
    if (!connector.connecting) throw new Error("Connection is closed.");
    const { username } = connection.options;
    internals.condition.auth = username === undefined || username === null ? password : [username, password];
    return connect(emit);
  };
  return connection;
}
