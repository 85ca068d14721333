import * as z from "zod";
import { type HttpAnswer, type HttpRequest, openHttp } from "./http.ts";
import { type Secret, secretOf, secretVariables } from "./secrets.ts";
import { type TlsOptions, tlsOptions, tlsVariables } from "./tls.ts";
import { checkParameters, hostAndPort, isTlsParameter, parseServerUrl, splitHosts } from "./url.ts";

export const CONSUL_VARIABLES = {
  /** http://host:8500,host2:8500, with the path under which the HTTP API is served */
  CONSUL_URL: z.string().optional(),
  /** The SecretID of the ACL token of the workers. */
  ...secretVariables("CONSUL_TOKEN"),
  /** A token that may manage ACLs, with which the coordinator creates the token of the workers. */
  ...secretVariables("CONSUL_ADMIN_TOKEN"),
  ...tlsVariables("CONSUL"),
};

/** Those variables, with the URL set, for Consul. */
export type ConsulVariables = { readonly CONSUL_URL: string } & {
  readonly [Name in Exclude<keyof typeof CONSUL_VARIABLES, "CONSUL_URL">]?: string | undefined;
};

export interface ConsulAccess {
  /** Where the paths of the HTTP API begin, for each host; ends with a slash. */
  readonly bases: readonly URL[];
  readonly tls: TlsOptions | undefined;
  /** The tokens; undefined for requests without one. */
  readonly token: Secret | undefined;
  readonly admin: Secret | undefined;
}

/** The keys of all locks begin with it. */
export const CONSUL_KEY_PREFIX = "holdfast/locks/";

/** How the servers are reached. Throws an Error in one line that names the variable. */
export function consulAccess(variables: ConsulVariables): ConsulAccess {
  const urls = splitHosts(variables.CONSUL_URL).map((text) => parseServerUrl(text, RULES));
  const [url] = urls as [(typeof urls)[number]];
  checkParameters(url, "CONSUL_URL", [], (name) =>
    isTlsParameter(name) ? "for TLS write https:// (and CONSUL_TLS_CA)" : "it takes no parameters",
  );
  if (url.user !== undefined || url.password !== undefined)
    throw new Error("CONSUL_URL: Consul has no users; put the token into CONSUL_TOKEN");
  const tls = tlsOptions(variables, "CONSUL", url.scheme === "https");
  if (tls !== undefined && url.scheme === "http") throw new Error("CONSUL_URL: the CONSUL_TLS variables need https://");
  const path = `/${url.path.replace(/\/*$/, "")}/`.replace("//", "/");
  return {
    bases: urls.map(({ scheme, host, port = DEFAULT_PORTS[scheme] }) => {
      return new URL(`${scheme}://${hostAndPort(host, port)}${path}`);
    }),
    tls,
    token: secretOf(variables, "CONSUL_TOKEN"),
    admin: secretOf(variables, "CONSUL_ADMIN_TOKEN"),
  };
}

/** Returns the hosts for messages: `host:port,host2:port`. */
export const consulAddress = ({ bases }: Pick<ConsulAccess, "bases">): string =>
  bases.map(({ hostname, port, protocol }) => `${hostname}:${port || (protocol === "https:" ? 443 : 80)}`).join(",");

export interface ConsulConnection {
  /** `host:port` of each host, for messages. */
  readonly address: string;
  /** Sends a request to the path below /v1/ with the token. Throws the error of the connection, or SecretUnreadable. */
  send(request: HttpRequest): Promise<HttpAnswer>;
  close(): void;
}

/**
 * The one place where connections to Consul are opened; opens none yet. A token from a file or a command is read again
 * when the server refuses it.
 */
export function openConsul(access: ConsulAccess, token: Secret | undefined): ConsulConnection {
  const client = openHttp(access);
  let read: string | undefined;

  async function attempt(request: HttpRequest): Promise<HttpAnswer> {
    read ??= await token?.read();
    const headers = read === undefined ? {} : { "x-consul-token": read };
    return client.send({ ...request, path: `v1/${request.path}`, headers });
  }

  return {
    address: consulAddress(access),
    async send(request) {
      const answer = await attempt(request);
      if (answer.status !== 403 || token === undefined || token.value !== undefined) return answer;
      read = undefined;
      return attempt(request);
    },
    close: client.close,
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 8500, https: 8501 };
const RULES = {
  variable: "CONSUL_URL",
  schemes: ["http", "https"],
  example: "http://host:8500 or http://host:8500,host2:8500",
  passwordVariable: "CONSUL_TOKEN",
};
