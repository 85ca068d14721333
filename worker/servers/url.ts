/** Strict reading of server URLs. No message repeats a part of a URL that could belong to a password. */

export interface ServerUrl {
  /** In lower case, without the colon. */
  readonly scheme: string;
  /** A name or an address; an IPv6 address has no brackets. */
  readonly host: string;
  readonly port: number | undefined;
  readonly user: string | undefined;
  readonly password: string | undefined;
  /** What follows the first slash, decoded. */
  readonly path: string;
  readonly parameters: URLSearchParams;
}

/** Where a URL comes from and what it may look like. */
export interface UrlRules {
  /** The environment variable, which begins every message. */
  readonly variable: string;
  readonly schemes: readonly string[];
  /** How the URL should look, for the message. */
  readonly example: string;
  /** The variable that takes the password, where it needs no encoding. */
  readonly passwordVariable: string;
}

/** Throws an Error whose message is one line that begins with the variable and contains no part of the password. */
export function parseServerUrl(text: string, { variable, schemes, example, passwordVariable }: UrlRules): ServerUrl {
  const malformed = () => new Error(`${variable}: not a valid URL; write ${example}`);
  const parts = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)(.*)$/is.exec(text);
  const scheme = parts?.[1]?.toLowerCase();
  if (parts === null || scheme === undefined || !schemes.includes(scheme)) throw malformed();
  const [, , authority = "", rest = ""] = parts;
  // The host would end at such a character, so whatever precedes it would be taken for the host, and printed.
  if (rest.includes("@") || rest.includes("#"))
    throw new Error(
      `${variable}: in a user or password write / as %2F, ? as %3F and # as %23, or put the password into ${passwordVariable}`,
    );
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const port = /:(\d+)$/.exec(authority)?.[1];
  const host = url?.hostname.replace(/^\[(.*)\]$/, "$1") ?? "";
  if (url === undefined || !HOST.test(host) || (port !== undefined && !(Number(port) >= 1 && Number(port) <= 65535)))
    throw malformed();
  return {
    scheme,
    host,
    port: port === undefined ? undefined : Number(port),
    user: decode(url.username, variable, passwordVariable) || undefined,
    password: decode(url.password, variable, passwordVariable) || undefined,
    path: decode(url.pathname.slice(1), variable, passwordVariable),
    parameters: url.searchParams,
  };
}

/** `host` or `host:port`, with brackets around an IPv6 address. */
export const hostAndPort = (host: string, port?: number): string =>
  `${host.includes(":") ? `[${host}]` : host}${port === undefined ? "" : `:${port}`}`;

/** The URLs of a list that is separated by commas. */
export const splitUrls = (list: string): string[] =>
  list
    .split(",")
    .map((url) => url.trim())
    .filter((url) => url !== "");

/** Returns a URL for each host of a list, which a URL cannot have: a://user@b,c/d becomes a://user@b/d and a://user@c/d. */
export function splitHosts(text: string): string[] {
  const [, before, hosts, after] = /^([^/?#]*:\/\/(?:[^/?#]*@)?)([^/?#]*)(.*)$/s.exec(text) ?? [];
  return hosts === undefined ? [text] : hosts.split(",").map((host) => `${before}${host}${after}`);
}

/** Throws an Error that names the first parameter that is not allowed, with the advice for it. */
export function checkParameters(
  { parameters }: ServerUrl,
  variable: string,
  allowed: readonly string[],
  advise: (name: string) => string,
): void {
  for (const name of parameters.keys())
    if (!allowed.includes(name))
      throw new Error(`${variable}: unknown parameter "${name.slice(0, 40)}"; ${advise(name)}`);
}

/** Whether a parameter of a URL asks for TLS, by the names that common drivers use. */
export const isTlsParameter = (name: string): boolean => /ssl|tls|cert|sni/i.test(name);

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** A host name or an address. The URL parser does not check the hosts of schemes that it does not know. */
const HOST = /^([a-z0-9_]([a-z0-9_.-]*[a-z0-9_.])?|[0-9a-f:.]*:[0-9a-f:.]*)$/i;

function decode(text: string, variable: string, passwordVariable: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Error(`${variable}: write % as %25, or put the password into ${passwordVariable}`);
  }
}
