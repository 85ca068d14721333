/** Certificates for tests: a private CA, a server on loopback, and a client, as PEM files made by openssl. */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

export interface Certificates extends AsyncDisposable {
  readonly folder: string;
  /** The certificate of the private CA. */
  readonly ca: string;
  /** The certificate of another CA, which has signed nothing. */
  readonly otherCa: string;
  /** For the names `db.test` and, with `addresses`, `localhost`, `127.0.0.1` and `::1`. */
  readonly cert: string;
  readonly key: string;
  readonly clientCert: string;
  readonly clientKey: string;
  /** The same for a client whose certificate has no Common Name. */
  readonly namelessCert: string;
  readonly namelessKey: string;
}

export async function makeCertificates({ addresses = true } = {}): Promise<Certificates> {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-certificates-"));
  const path = (name: string) => join(folder, name);
  const openssl = (...args: string[]) => promisify(execFile)("openssl", args, { cwd: folder });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

  async function authority(name: string) {
    await openssl(
      ..."req -x509 -days 2".split(" "),
      ...key,
      "-subj",
      `/CN=${name}`,
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.crt`,
    );
  }
  async function sign(name: string, extension: string, subject = `/CN=${name}`) {
    await openssl("req", ...key, "-subj", subject, "-keyout", `${name}.key`, "-out", `${name}.csr`);
    await writeFile(path(`${name}.ext`), extension);
    await openssl(
      ..."x509 -req -days 2 -CA ca.crt -CAkey ca.key -CAcreateserial".split(" "),
      ...["-in", `${name}.csr`, "-extfile", `${name}.ext`, "-out", `${name}.crt`],
    );
  }
  const names = ["DNS:db.test", ...(addresses ? ["DNS:localhost", "IP:127.0.0.1", "IP:::1"] : [])];
  await authority("ca");
  await authority("other");
  await sign("server", `subjectAltName=${names.join(",")}\n`);
  await sign("client", "extendedKeyUsage=clientAuth\n");
  await sign("nameless", "extendedKeyUsage=clientAuth\n", "/O=holdfast");
  return {
    folder,
    ca: path("ca.crt"),
    otherCa: path("other.crt"),
    cert: path("server.crt"),
    key: path("server.key"),
    clientCert: path("client.crt"),
    clientKey: path("client.key"),
    namelessCert: path("nameless.crt"),
    namelessKey: path("nameless.key"),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}
