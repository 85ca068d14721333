/** The content of k8s/: the chart with its defaults, for users of kubectl or kustomize instead of Helm. */

export const MANIFESTS = "k8s";
const NAMESPACE = "holdfast";

/** Nothing generates passwords for plain manifests, so these are public; only the network policies protect the release. */
const PASSWORDS = ["token", "mysql.auth.password", "mysql.auth.rootPassword", "grafana.adminPassword"];

/**
 * Returns the files by name. `helm` runs Helm in the chart's parent folder and returns its output; `users` is the text of
 * files/users.acl.
 */
export function manifests(helm: (arguments_: string[]) => string, users: string): Record<string, string> {
  const redis = [...users.matchAll(/#%([A-Z_]+)%/g)].map(([, user]) => `redis.auth.passwords.${user?.toLowerCase()}`);
  const given = [...PASSWORDS, ...redis].flatMap((path) => [
    "--set-string",
    `${path}=public-${path.replaceAll(".", "-")}`,
  ]);
  const rendered = helm(["template", "holdfast", "helm", "--namespace", NAMESPACE, "--no-hooks", ...given]);

  const files: Record<string, string> = {};
  for (const part of rendered.split(/^---\n# Source: /m).slice(1)) {
    const [source = "", ...lines] = part.split("\n");
    const name = `${source.split("/")[2]?.replace(/\.yaml$/, "")}.yaml`;
    const object = lines.join("\n").trim();
    if (object !== "") files[name] = `${files[name] ?? HEADER}---\n${object}\n`;
  }
  const names = Object.keys(files).sort();
  return { "kustomization.yaml": kustomization(names), "namespace.yaml": NAMESPACE_YAML, ...files };
}

const HEADER = "# Generated from the chart by `make k8s`; change the chart instead.\n";

const NAMESPACE_YAML = `${HEADER}apiVersion: v1
kind: Namespace
metadata:
  name: ${NAMESPACE}
  labels:
    pod-security.kubernetes.io/enforce: restricted
`;

const kustomization = (names: readonly string[]) => `${HEADER}#
#   kubectl apply -k k8s
#   kubectl -n ${NAMESPACE} logs -f job/coordinator
#   kubectl -n ${NAMESPACE} delete job coordinator && kubectl apply -k k8s     # runs again
#   kubectl delete -k k8s
#
# The passwords in secret.yaml are public. The chart generates its own.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: ${NAMESPACE}
resources:
  - namespace.yaml
${names.map((name) => `  - ${name}\n`).join("")}`;
