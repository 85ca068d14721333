import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import * as z from "zod";
import { type Secret, secretOf, secretVariables } from "./secrets.ts";
import { type TlsOptions, tlsOptions, tlsVariables } from "./tls.ts";
import { checkParameters, hostAndPort, isTlsParameter, parseServerUrl, splitHosts } from "./url.ts";

export const ZOOKEEPER_VARIABLES = {
  /** zookeeper://user@host:2181,host2:2181/path of the node below which the locks are kept */
  ZOOKEEPER_URL: z.string().optional(),
  /** The password of the user in ZOOKEEPER_URL, for the scheme `digest`. */
  ...secretVariables("ZOOKEEPER_PASSWORD"),
  /** The password of the user `super`, with which the coordinator creates the nodes that the workers need. */
  ...secretVariables("ZOOKEEPER_ADMIN_PASSWORD"),
  ...tlsVariables("ZOOKEEPER"),
};

/** Those variables, with the URL set, for ZooKeeper. */
export type ZooKeeperVariables = { readonly ZOOKEEPER_URL: string } & {
  readonly [Name in Exclude<keyof typeof ZOOKEEPER_VARIABLES, "ZOOKEEPER_URL">]?: string | undefined;
};

/** A login by the scheme `digest`. ZooKeeper accepts every login, and refuses what the ACL of a node does not allow it. */
export interface ZooKeeperLogin {
  readonly user: string;
  readonly password: Secret;
}

export interface ZooKeeperServer {
  readonly host: string;
  readonly port: number;
}

export interface ZooKeeperAccess {
  /** The members of one ensemble, or one server. */
  readonly servers: readonly [ZooKeeperServer, ...ZooKeeperServer[]];
  readonly tls: TlsOptions | undefined;
  readonly login: ZooKeeperLogin | undefined;
  readonly admin: ZooKeeperLogin | undefined;
  /** The node of Holdfast, such as `/holdfast`; the locks are below its child {@link LOCKS_NODE}. */
  readonly root: string;
}

/** The child of the root below which each lock has a node. */
export const LOCKS_NODE = "locks";
/** The user of the super digest, a property of the server. */
export const ADMIN_USER = "super";

export const locksPath = ({ root }: Pick<ZooKeeperAccess, "root">): string => `${root}/${LOCKS_NODE}`;

/** How the servers are reached. Throws an Error in one line that names the variable. */
export function zooKeeperAccess(variables: ZooKeeperVariables): ZooKeeperAccess {
  const [url, ...others] = splitHosts(variables.ZOOKEEPER_URL).map((text) => parseServerUrl(text, RULES));
  const { user, path, password: inUrl } = url!;
  checkParameters(url!, "ZOOKEEPER_URL", [], (name) =>
    isTlsParameter(name) ? "for TLS set ZOOKEEPER_TLS=required (and ZOOKEEPER_TLS_CA)" : "it takes no parameters",
  );
  const root = `/${path.replace(/\/+$/, "") || DEFAULT_ROOT}`;
  if (!/^(\/[\w-]+(\.[\w-]+)*)+$/.test(root))
    throw new Error(`ZOOKEEPER_URL: the path of a node has letters, digits, -, _ and . only; write ${RULES.example}`);
  const password =
    secretOf(variables, "ZOOKEEPER_PASSWORD") ??
    (inUrl === undefined ? undefined : { value: inUrl, read: async () => inUrl });
  if ((user === undefined) !== (password === undefined))
    throw new Error(
      user === undefined
        ? "ZOOKEEPER_PASSWORD: ZOOKEEPER_URL names no user; write zookeeper://user@host:2181"
        : "ZOOKEEPER_URL: it names a user without a password; set ZOOKEEPER_PASSWORD",
    );
  const adminPassword = secretOf(variables, "ZOOKEEPER_ADMIN_PASSWORD");
  return {
    servers: [url!, ...others].map(({ host, port = DEFAULT_PORT }) => ({ host, port })) as [
      ZooKeeperServer,
      ...ZooKeeperServer[],
    ],
    tls: tlsOptions(variables, "ZOOKEEPER", false),
    login: user === undefined || password === undefined ? undefined : { user, password },
    admin: adminPassword && { user: ADMIN_USER, password: adminPassword },
    root,
  };
}

/** Returns the servers for messages: `host:port,host2:port`. */
export const zooKeeperAddress = ({ servers }: Pick<ZooKeeperAccess, "servers">): string =>
  servers.map(({ host, port }) => hostAndPort(host, port)).join(",");

/** The one place where connections to ZooKeeper are opened. `opened` is called when bytes can be sent. */
export function openZooKeeperSocket(
  { host, port }: ZooKeeperServer,
  tls: TlsOptions | undefined,
  opened: () => void,
): Socket {
  const socket = tls === undefined ? connectTcp({ host, port }, opened) : connectTls({ host, port, ...tls }, opened);
  return socket.setNoDelay(true);
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const DEFAULT_PORT = 2181;
const DEFAULT_ROOT = "holdfast";
const RULES = {
  variable: "ZOOKEEPER_URL",
  schemes: ["zookeeper"],
  example: "zookeeper://user@host:2181,host2:2181/holdfast",
  passwordVariable: "ZOOKEEPER_PASSWORD",
};
