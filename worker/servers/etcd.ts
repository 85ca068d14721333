import * as z from "zod";
import { type HttpAnswer, type HttpRequest, openHttp } from "./http.ts";
import { type Secret, secretOf, secretVariables } from "./secrets.ts";
import { type TlsOptions, tlsOptions, tlsVariables } from "./tls.ts";
import { checkParameters, hostAndPort, isTlsParameter, parseServerUrl, splitHosts } from "./url.ts";

export const ETCD_VARIABLES = {
  /** http://user@host:2379,host2:2379: the members of one cluster, with the user of the workers. */
  ETCD_URL: z.string().optional(),
  /** The password of the user in ETCD_URL. */
  ...secretVariables("ETCD_PASSWORD"),
  /** The password of the user root, with whom the coordinator creates the user of the workers. */
  ...secretVariables("ETCD_ADMIN_PASSWORD"),
  ...tlsVariables("ETCD"),
};

/** Those variables, with the URL set, for etcd. */
export type EtcdVariables = { readonly ETCD_URL: string } & {
  readonly [Name in Exclude<keyof typeof ETCD_VARIABLES, "ETCD_URL">]?: string | undefined;
};

export interface EtcdLogin {
  readonly user: string;
  readonly password: Secret;
}

export interface EtcdAccess {
  /** Where the paths of the JSON gateway begin, for each host; ends with a slash. */
  readonly bases: readonly URL[];
  readonly tls: TlsOptions | undefined;
  /** The user of the workers; undefined for a server without authentication. */
  readonly login: EtcdLogin | undefined;
  /** The user root, if its password is given. */
  readonly admin: EtcdLogin | undefined;
}

/** The keys of all locks begin with it. */
export const ETCD_KEY_PREFIX = "holdfast/locks/";

/** How the servers are reached. Throws an Error in one line that names the variable. */
export function etcdAccess(variables: EtcdVariables): EtcdAccess {
  const urls = splitHosts(variables.ETCD_URL).map((text) => parseServerUrl(text, RULES));
  const [url] = urls as [(typeof urls)[number]];
  checkParameters(url, "ETCD_URL", [], (name) =>
    isTlsParameter(name) ? "for TLS write https:// (and ETCD_TLS_CA)" : "it takes no parameters",
  );
  const tls = tlsOptions(variables, "ETCD", url.scheme === "https");
  if (tls !== undefined && url.scheme === "http") throw new Error("ETCD_URL: the ETCD_TLS variables need https://");
  const password = secretOf(variables, "ETCD_PASSWORD") ?? fixed(url.password);
  const admin = secretOf(variables, "ETCD_ADMIN_PASSWORD");
  if (password !== undefined && url.user === undefined)
    throw new Error("ETCD_PASSWORD: it needs a user in ETCD_URL; write http://user@host:2379");
  if (password === undefined && url.user !== undefined)
    throw new Error("ETCD_URL: its user needs a password in ETCD_PASSWORD");
  if (admin !== undefined && url.user === undefined)
    throw new Error("ETCD_ADMIN_PASSWORD: ETCD_URL names no user to create; write http://user@host:2379");
  if (admin !== undefined && url.user === ROOT)
    throw new Error("ETCD_ADMIN_PASSWORD: ETCD_URL already names root; write another user, for the workers");
  const path = `/${url.path.replace(/\/*$/, "")}/`.replace("//", "/");
  return {
    bases: urls.map(({ scheme, host, port = 2379 }) => new URL(`${scheme}://${hostAndPort(host, port)}${path}`)),
    tls,
    login: password === undefined || url.user === undefined ? undefined : { user: url.user, password },
    admin: admin === undefined ? undefined : { user: ROOT, password: admin },
  };
}

/** Returns the hosts for messages: `host:port,host2:port`. */
export const etcdAddress = ({ bases }: Pick<EtcdAccess, "bases">): string =>
  bases.map(({ hostname, port, protocol }) => `${hostname}:${port || (protocol === "https:" ? 443 : 80)}`).join(",");

export interface EtcdConnection {
  /** `host:port` of each host, for messages. */
  readonly address: string;
  readonly user: string | undefined;
  /**
   * Posts a body to a path below /v3/. Logs in first, and again where the server no longer knows the token of the login;
   * a refused login is the answer. Throws the error of the connection, or SecretUnreadable.
   */
  send(path: string, body: object, options?: EtcdSendOptions): Promise<HttpAnswer>;
  close(): void;
}

export type EtcdSendOptions = Pick<HttpRequest, "timeoutMs" | "signal" | "onLine">;

/** The one place where connections to etcd are opened; opens none yet. */
export function openEtcd(access: EtcdAccess, login: EtcdLogin | undefined): EtcdConnection {
  const client = openHttp(access);
  /** Resolves to the answer if the login was refused. */
  let token: Promise<string | HttpAnswer> | undefined;

  async function logIn({ user, password }: EtcdLogin): Promise<string | HttpAnswer> {
    const body = { name: user, password: await password.read() };
    const answer = await client.send({ method: "POST", path: "v3/auth/authenticate", body });
    return answer.status === 200 ? (JSON.parse(answer.text) as { token: string }).token : answer;
  }

  /** A login that failed is tried again by the next request. */
  function currentToken(): Promise<string | HttpAnswer> | undefined {
    if (login === undefined || token !== undefined) return token;
    const made = logIn(login);
    const forget = () => {
      if (token === made) token = undefined;
    };
    made.then((result) => typeof result === "string" || forget(), forget);
    token = made;
    return made;
  }

  async function send(path: string, body: object, options: EtcdSendOptions = {}): Promise<HttpAnswer> {
    for (let attempt = 1; ; attempt += 1) {
      const used = currentToken();
      const known = await used;
      if (typeof known === "object") return known;
      const headers = known === undefined ? {} : { authorization: known };
      let refused = false;
      const { onLine } = options;
      const watched = onLine && {
        onLine(line: string) {
          refused = isStaleToken(line);
          return refused || onLine(line);
        },
      };
      const answer = await client.send({ method: "POST", path: `v3/${path}`, body, headers, ...options, ...watched });
      if (!refused && !isStaleToken(answer.text)) return answer;
      if (used !== undefined && token === used) token = undefined;
      if (attempt === 2 || login === undefined) return answer;
    }
  }

  return { address: etcdAddress(access), user: login?.user, send, close: client.close };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const ROOT = "root";
const RULES = {
  variable: "ETCD_URL",
  schemes: ["http", "https"],
  example: "http://user@host:2379 or http://user@host:2379,host2:2379",
  passwordVariable: "ETCD_PASSWORD",
};

const fixed = (value: string | undefined): Secret | undefined =>
  value === undefined ? undefined : { value, read: async () => value };

/** A server forgets the tokens when it restarts, after `--auth-token-ttl`, and when the rights of the user change. */
const isStaleToken = (text: string) =>
  text.includes('"error"') || text.includes("cancel_reason")
    ? /invalid auth token|revision of auth store is old/.test(text)
    : false;
