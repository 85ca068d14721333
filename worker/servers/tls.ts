import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { checkServerIdentity, createSecureContext, type PeerCertificate } from "node:tls";
import * as z from "zod";

/** What `tls.connect` needs. It checks the server's certificate and its name, unless NODE_TLS_REJECT_UNAUTHORIZED is 0. */
export interface TlsOptions {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  /** The name that the server's certificate must have, if it is not the host of the URL. */
  readonly servername?: string;
  readonly checkServerIdentity?: (host: string, certificate: PeerCertificate) => Error | undefined;
}

/** The variables of one server. CA, CERT and KEY are paths of PEM files. */
export const tlsVariables = <Prefix extends string>(prefix: Prefix) =>
  ({
    [`${prefix}_TLS`]: z.enum(["required", "off"]).optional(),
    ...Object.fromEntries(SETTINGS.map((setting) => [`${prefix}_TLS_${setting}`, z.string().optional()])),
  }) as { [Key in `${Prefix}_TLS`]: z.ZodOptional<z.ZodEnum<{ required: "required"; off: "off" }>> } & {
    [Key in `${Prefix}_TLS_${(typeof SETTINGS)[number]}`]: z.ZodOptional<z.ZodString>;
  };

/** The first variable that asks for TLS, if any is set. */
export const tlsRequest = (variables: object, prefix: string): string | undefined => {
  const { [`${prefix}_TLS`]: mode, ...given } = variables as Readonly<Record<string, string | undefined>>;
  if (mode === "required") return `${prefix}_TLS`;
  return SETTINGS.map((setting) => `${prefix}_TLS_${setting}`).find((name) => given[name] !== undefined);
};

/**
 * Returns undefined where nothing asks for TLS. `byUrl` says whether the URL does. Throws an Error, one line, if a file
 * cannot be used or the variables contradict each other: a request for TLS is never answered with plain text.
 */
export function tlsOptions(variables: object, prefix: string, byUrl: boolean): TlsOptions | undefined {
  const all = variables as Readonly<Record<string, string | undefined>>;
  const request = tlsRequest(variables, prefix) ?? (byUrl ? `${prefix}_URL` : undefined);
  if (request === undefined) return undefined;
  if (all[`${prefix}_TLS`] === "off")
    throw new Error(`${prefix}_TLS: it is off, but ${request} asks for TLS; unset one of them`);
  const read = (setting: Setting) => readPem(`${prefix}_TLS_${setting}`, all[`${prefix}_TLS_${setting}`]);
  const [ca, cert, key] = [read("CA"), read("CERT"), read("KEY")];
  if ((cert === undefined) !== (key === undefined))
    throw new Error(`${prefix}_TLS_CERT and ${prefix}_TLS_KEY: a client certificate needs both`);
  checkKeyPair(prefix, cert, key);
  const name = all[`${prefix}_TLS_SERVER_NAME`];
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
    ...(name === undefined ? {} : { checkServerIdentity: (_, certificate) => checkServerIdentity(name, certificate) }),
    ...(name === undefined || isIP(name) ? {} : { servername: name }),
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const SETTINGS = ["CA", "CERT", "KEY", "SERVER_NAME"] as const;
type Setting = (typeof SETTINGS)[number];

function readPem(variable: string, path: string | undefined): Buffer | undefined {
  if (path === undefined) return undefined;
  let pem: Buffer;
  try {
    pem = readFileSync(path);
  } catch (error) {
    throw new Error(`${variable}: cannot read ${path}: ${(error as NodeJS.ErrnoException).code}`);
  }
  const kind = variable.endsWith("KEY") ? "PRIVATE KEY" : "CERTIFICATE";
  if (!new RegExp(`-----BEGIN ([A-Z]+ )?${kind}-----`).test(pem.toString("latin1")))
    throw new Error(`${variable}: ${path} contains no ${kind.toLowerCase()} in PEM format`);
  return pem;
}

function checkKeyPair(prefix: string, cert: Buffer | undefined, key: Buffer | undefined) {
  if (cert === undefined || key === undefined) return;
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const reason =
      code === "ERR_OSSL_X509_KEY_VALUES_MISMATCH"
        ? "the key does not belong to the certificate"
        : (code ?? "unusable");
    throw new Error(`${prefix}_TLS_CERT and ${prefix}_TLS_KEY: ${reason}`);
  }
}
