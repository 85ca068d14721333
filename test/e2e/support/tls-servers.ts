/** MySQL and Redis that accept nothing but TLS: those of the chart, with certificates of a private CA, as another release. */
import { parseAllDocuments } from "yaml";
import { REDIS_USERS } from "../../../worker/contract.ts";
import { makeCertificates } from "../../support/certificates.ts";
import type { Json } from "./cluster.ts";
import type { Site, Values } from "./site.ts";

const RELEASE = "tls";
const SECRET = "certificates";
const FOLDER = "/certificates";
const PASSWORDS = {
  mysql: "of-tls-mysql",
  redis: Object.fromEntries(REDIS_USERS.map((user) => [user, `of-tls-${user}`])),
};

/** Starts both in the site's namespace. Returns the values with which a release uses them; Redis wants a client certificate. */
export async function startTlsServers(site: Site): Promise<Values> {
  await using files = await makeCertificates();
  await site.kubectl(["create", "secret", "generic", SECRET, `--from-file=${files.folder}`]);
  const values = { mysql: { auth: { password: PASSWORDS.mysql } }, redis: { auth: { passwords: PASSWORDS.redis } } };
  const yaml = await site.helm(["template", RELEASE, "./helm", "--values", "-"], { input: JSON.stringify(values) });
  const items = parseAllDocuments(yaml)
    .map((document): Json => document.toJS())
    .filter(isOfServers)
    .map((object) => (object.kind === "StatefulSet" ? withTls(object) : object));
  const list = { apiVersion: "v1", kind: "List", items };
  await site.kubectl(["apply", "--filename", "-"], { input: JSON.stringify(list) });
  // The certificate names neither Service.
  const tls = { enabled: true, existingSecret: SECRET, serverName: "db.test" };
  return {
    mysql: {
      enabled: false,
      external: { host: `${RELEASE}-holdfast-mysql`, tls },
      auth: { password: PASSWORDS.mysql },
    },
    redis: {
      enabled: false,
      external: {
        nodes: [`${RELEASE}-holdfast-redis-0:6379`],
        tls: { ...tls, certKey: "client.crt", keyKey: "client.key" },
      },
      auth: { passwords: PASSWORDS.redis },
    },
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

function isOfServers(object: Json): boolean {
  const component = object?.metadata.labels["app.kubernetes.io/component"];
  return object?.kind !== "NetworkPolicy" && ["mysql", "redis", "secrets"].includes(component);
}

const TLS_ARGS: Readonly<Record<string, readonly string[]>> = {
  mysql: [
    "--require-secure-transport=ON",
    `--ssl-ca=${FOLDER}/ca.crt`,
    `--ssl-cert=${FOLDER}/server.crt`,
    `--ssl-key=${FOLDER}/server.key`,
  ],
  // Later arguments override earlier ones.
  redis: [
    ...["--port", "0", "--tls-port", "6379", "--tls-ca-cert-file", `${FOLDER}/ca.crt`],
    ...["--tls-cert-file", `${FOLDER}/server.crt`, "--tls-key-file", `${FOLDER}/server.key`],
  ],
};

function withTls(set: Json): Json {
  const { spec } = set.spec.template;
  const [container] = spec.containers;
  container.args = [...(container.args ?? ["mysqld"]), ...TLS_ARGS[container.name]!];
  container.volumeMounts.push({ name: SECRET, mountPath: FOLDER, readOnly: true });
  spec.volumes.push({ name: SECRET, secret: { secretName: SECRET } });
  // The probes of Redis speak plain text.
  for (const probe of ["startupProbe", "readinessProbe", "livenessProbe"]) delete container[probe];
  return set;
}
