import * as z from "zod";
import { type Secret, secretOf, secretVariables } from "./secrets.ts";
import { type TlsOptions, tlsOptions, tlsVariables } from "./tls.ts";
import { hostAndPort, parseServerUrl } from "./url.ts";

/** Only the coordinator talks to Prometheus. */
export const PROMETHEUS_VARIABLES = {
  /** http://host:port, with the path under which Prometheus is served. */
  PROMETHEUS_URL: z.string().optional(),
  /** User and password of basic authentication. */
  PROMETHEUS_USERNAME: z.string().optional(),
  ...secretVariables("PROMETHEUS_PASSWORD"),
  ...secretVariables("PROMETHEUS_BEARER_TOKEN"),
  /** Lines `Name: value`. */
  ...secretVariables("PROMETHEUS_HEADERS"),
  ...tlsVariables("PROMETHEUS"),
};

/** Those variables, with the URL set, for Prometheus. */
export type PrometheusVariables = { readonly PROMETHEUS_URL: string } & {
  readonly [Name in Exclude<keyof typeof PROMETHEUS_VARIABLES, "PROMETHEUS_URL">]?: string | undefined;
};

export interface PrometheusAccess {
  /** Where the paths of the HTTP API begin; ends with a slash and contains no login. */
  readonly base: URL;
  /** Undefined for http://. */
  readonly tls: TlsOptions | undefined;
  /** The headers of a request. Throws SecretUnreadable. */
  headers(): Promise<Record<string, string>>;
}

/** How the server is reached. Throws an Error in one line that names the variable. */
export function prometheusAccess(variables: PrometheusVariables): PrometheusAccess {
  const { PROMETHEUS_URL, PROMETHEUS_USERNAME } = variables;
  const url = parseServerUrl(PROMETHEUS_URL, RULES);
  if (url.parameters.size > 0)
    throw new Error("PROMETHEUS_URL: it must have no parameters; headers go into PROMETHEUS_HEADERS");
  const tls = tlsOptions(variables, "PROMETHEUS", url.scheme === "https");
  if (tls !== undefined && url.scheme === "http")
    throw new Error("PROMETHEUS_URL: the PROMETHEUS_TLS variables need https://");
  const user = PROMETHEUS_USERNAME ?? url.user;
  const password = secretOf(variables, "PROMETHEUS_PASSWORD") ?? fixed(url.password);
  const token = secretOf(variables, "PROMETHEUS_BEARER_TOKEN");
  if (password !== undefined && user === undefined)
    throw new Error("PROMETHEUS_PASSWORD: it needs a user in PROMETHEUS_USERNAME or PROMETHEUS_URL");
  if (user !== undefined && token !== undefined)
    throw new Error("PROMETHEUS_BEARER_TOKEN: there is also a user; use one of the two");
  const more = secretOf(variables, "PROMETHEUS_HEADERS");
  if (more?.value !== undefined) parseHeaders(more.value);
  const path = new URL(PROMETHEUS_URL).pathname.replace(/\/*$/, "/");
  return {
    base: new URL(`${url.scheme}://${hostAndPort(url.host, url.port)}${path}`),
    tls,
    async headers() {
      const headers = more === undefined ? {} : parseHeaders(await more.read());
      if (token !== undefined) return { ...headers, authorization: `Bearer ${await token.read()}` };
      if (user === undefined) return headers;
      const login = `${user}:${(await password?.read()) ?? ""}`;
      return { ...headers, authorization: `Basic ${Buffer.from(login).toString("base64")}` };
    },
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const RULES = {
  variable: "PROMETHEUS_URL",
  schemes: ["http", "https"],
  example: "http://host:9090",
  passwordVariable: "PROMETHEUS_PASSWORD",
};

const fixed = (value: string | undefined): Secret | undefined =>
  value === undefined ? undefined : { value, read: async () => value };

function parseHeaders(text: string): Record<string, string> {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== "");
  return Object.fromEntries(
    lines.map((line) => {
      const [, name, value] = /^\s*([\w!#$%&'*+.^`|~-]+)\s*:\s*([\t\x20-\x7e]*?)\s*$/.exec(line) ?? [];
      if (name === undefined || value === undefined)
        throw new Error("PROMETHEUS_HEADERS: write one header on each line, as in X-Scope-OrgID: team-a");
      return [name.toLowerCase(), value];
    }),
  );
}
