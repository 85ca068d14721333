import { Socket } from "node:net";
import mysql, { type Pool, type PoolOptions } from "mysql2/promise";
import * as z from "zod";
import { ed25519Plugin } from "./mysql-ed25519.ts";
import { SECRET_COMMAND_MS, type Secret, secretOf, secretVariables } from "./secrets.ts";
import { type TlsOptions, tlsOptions, tlsVariables } from "./tls.ts";
import { checkParameters, hostAndPort, isTlsParameter, parseServerUrl, splitUrls } from "./url.ts";

export const MYSQL_VARIABLES = {
  /** mysql://user@host:port/database */
  MYSQL_URL: z.string().optional(),
  /** Several servers of one Galera cluster, separated by commas, that of MYSQL_URL first; see mysqlServerOf. */
  MYSQL_URLS: z.string().optional(),
  ...secretVariables("MYSQL_PASSWORD"),
  ...tlsVariables("MYSQL"),
  /** Node's own: 0 accepts any certificate. */
  NODE_TLS_REJECT_UNAUTHORIZED: z.string().optional(),
};

/** Those variables, with the URL set, for MySQL. */
export type MysqlVariables = { readonly MYSQL_URL: string } & {
  readonly [Name in Exclude<keyof typeof MYSQL_VARIABLES, "MYSQL_URL">]?: string | undefined;
};

/** Returns the variables for each server of the cluster, that of MYSQL_URL first. */
export const mysqlServers = (variables: MysqlVariables): MysqlVariables[] =>
  splitUrls(variables.MYSQL_URLS ?? variables.MYSQL_URL).map((url) => ({ ...variables, MYSQL_URL: url }));

/** Returns the variables for the server of one worker: worker 0 uses the first server, and so on, in turn. */
export function mysqlServerOf(variables: MysqlVariables, index: number): MysqlVariables {
  const servers = mysqlServers(variables);
  return servers[index % servers.length]!;
}

/** Returns `host:port`, for messages. */
export function mysqlAddress({ MYSQL_URL }: Pick<MysqlVariables, "MYSQL_URL">): string {
  const { host, port = DEFAULT_PORT } = parseServerUrl(MYSQL_URL, RULES);
  return hostAndPort(host, port);
}

/**
 * Opens no connection yet. Each connection counts time in UTC and returns it as text. `wrap` replaces the stream of each
 * connection.
 */
export function openMysqlPool(
  variables: MysqlVariables,
  options: PoolOptions,
  wrap?: (socket: Socket) => Socket,
): Pool {
  const own = mysqlOptions(variables, wrap);
  const { connectTimeout = own.connectTimeout ?? 0 } = options;
  const commandMs = variables.MYSQL_PASSWORD_COMMAND === undefined ? 0 : SECRET_COMMAND_MS;
  const pool = mysql.createPool({ ...own, ...options, connectTimeout: connectTimeout + commandMs });
  pool.pool.on("connection", (connection) => connection.query("SET time_zone = '+00:00', autocommit = 1"));
  return pool;
}

/** The driver's options for one server. Throws an Error in one line that names the variable. */
export function mysqlOptions(variables: MysqlVariables, wrap?: (socket: Socket) => Socket): PoolOptions {
  const url = parseServerUrl(variables.MYSQL_URL, RULES);
  checkParameters(url, "MYSQL_URL", PARAMETERS, (name) =>
    isTlsParameter(name)
      ? "for TLS set MYSQL_TLS=required (and MYSQL_TLS_CA)"
      : `known parameters: ${PARAMETERS.join(", ")}`,
  );
  if (url.path === "") throw new Error(`MYSQL_URL: it names no database; write ${RULES.example}`);
  const { host, port = DEFAULT_PORT, user, path: database } = url;
  const parameters = Object.fromEntries([...url.parameters].map(([name, value]) => [name, parseValue(value)]));
  const secret = secretOf(variables, "MYSQL_PASSWORD");
  const password = secret === undefined ? url.password : secret.value;
  const tls = tlsOptions(variables, "MYSQL", false);
  if (parameters.enableCleartextPlugin === true && tls === undefined)
    throw new Error("MYSQL_URL: enableCleartextPlugin sends the password as it is; set MYSQL_TLS=required as well");
  const target: Target = { host, port, path: url.parameters.get("socketPath") ?? undefined };
  return {
    connectTimeout: CONNECT_MS,
    ...parameters,
    host: tls?.servername ?? host,
    port,
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { ssl: sslOptions(tls, variables) }),
    ...(tls === undefined && (secret === undefined || secret.value !== undefined) && wrap === undefined
      ? {}
      : {
          stream({ config }: { config: Credentials }) {
            const socket = openSocket(target, config, secret, variables);
            return wrap === undefined ? socket : wrap(socket);
          },
        }),
    authPlugins: { client_ed25519: ed25519Plugin },
    database,
    dateStrings: true,
    timezone: "Z",
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const DEFAULT_PORT = 3306;
const CONNECT_MS = 10_000;
const RULES = {
  variable: "MYSQL_URL",
  schemes: ["mysql", "mariadb"],
  example: "mysql://user@host:3306/database",
  passwordVariable: "MYSQL_PASSWORD",
};

/** Options of mysql2 that say how a connection is made. It ignores localAddress; the others decide how Holdfast reads answers. */
const PARAMETERS = [
  "charset",
  "compress",
  "connectAttributes",
  "enableCleartextPlugin",
  "enableKeepAlive",
  "flags",
  "keepAliveInitialDelay",
  "socketPath",
];

interface Target {
  readonly host: string;
  readonly port: number;
  readonly path: string | undefined;
}

/** The part of a connection's configuration that is read when the server has greeted. */
interface Credentials {
  password?: string;
}

/** mysql2 checks the server's name only if it is told to, and overrides Node's own variable. */
const sslOptions = ({ ca, cert, key }: TlsOptions, variables: MysqlVariables) => ({
  ...(ca === undefined ? {} : { ca }),
  ...(cert === undefined || key === undefined ? {} : { cert, key }),
  verifyIdentity: true,
  rejectUnauthorized: variables.NODE_TLS_REJECT_UNAUTHORIZED !== "0",
});

/** A socket that connects once the password is known: the server speaks first, so nothing is sent before. */
function openSocket(
  { host, port, path }: Target,
  config: Credentials,
  secret: Secret | undefined,
  { MYSQL_TLS_SERVER_NAME }: MysqlVariables,
): Socket {
  const socket = new Socket();
  socket.setNoDelay(true);
  socket.setKeepAlive(true);
  // Node compares the certificate with the name that the socket was opened with, and forgets it if that is an address.
  Object.assign(socket, { _host: MYSQL_TLS_SERVER_NAME ?? host });
  const connect = () => (path === undefined ? socket.connect({ host, port }) : socket.connect({ path }));
  if (secret === undefined || secret.value !== undefined) return connect();
  secret.read().then(
    (password) => {
      config.password = password;
      if (!socket.destroyed) connect();
    },
    (error) => socket.destroy(error),
  );
  return socket;
}

function parseValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
