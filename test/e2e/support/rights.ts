/** The permissions of a release's accounts, as the API server reports them. */
import assert from "node:assert/strict";
import { tryKubectl } from "./cluster.ts";
import { scenario } from "./scenario.ts";
import type { Site } from "./site.ts";

/**
 * Verb, resource, and the namespace if it is not the release's own. `configmaps/a` is one object, `pods:log` a
 * subresource.
 */
type Right = readonly [verb: string, resource: string, namespace?: string];

const NEEDED: readonly Right[] = [
  ...["create", "get", "list", "delete"].map((verb): Right => [verb, "jobs.batch"]),
  ...["list", "delete"].map((verb): Right => [verb, "pods"]),
  ["get", "pods:log"],
  ["get", "configmaps/demo-holdfast-report"],
  ["patch", "configmaps/demo-holdfast-report"],
  ["list", "events"],
  ["create", "events.events.k8s.io"],
];

const REFUSED: readonly Right[] = [
  ...["get", "list", "watch", "create", "patch", "delete"].map((verb): Right => [verb, "secrets"]),
  ["get", "secrets/demo-holdfast"],
  ...["pods", "jobs.batch", "events", "configmaps"].map((resource): Right => ["watch", resource]),
  ...["pods", "jobs.batch", "secrets", "configmaps"].map((resource): Right => ["list", resource, "kube-system"]),
  ["list", "pods", "default"],
  ["create", "jobs.batch", "default"],
  ["get", "pods"],
  ["create", "pods"],
  ["create", "pods:exec"],
  ["patch", "jobs.batch"],
  ["list", "configmaps"],
  ["get", "configmaps/demo-holdfast-worker"],
  ["create", "roles.rbac.authorization.k8s.io"],
  ["create", "rolebindings.rbac.authorization.k8s.io"],
  ["list", "nodes"],
  ["create", "events"],
  ["list", "events.events.k8s.io"],
];

export function rightsTests(site: () => Site): void {
  const test = (name: string, body: () => Promise<void>) => scenario(name, () => [site()], body);

  test("lets its coordinator do what it needs, in its namespace", async () => {
    assert.deepEqual(await answers(site(), "coordinator", NEEDED), all(NEEDED, "yes"));
  });

  test("refuses its coordinator Secrets, other namespaces, watching, and everything else", async () => {
    assert.deepEqual(await answers(site(), "coordinator", REFUSED), all(REFUSED, "no"));
  });

  test("lets its Prometheus see pods and nothing else", async () => {
    const granted: Right[] = ["get", "list", "watch"].map((verb) => [verb, "pods"]);
    assert.deepEqual(await answers(site(), "prometheus", granted), all(granted, "yes"));
    const refused: Right[] = [
      ["list", "pods", "default"],
      ["get", "secrets"],
      ["delete", "pods"],
      ["list", "nodes"],
    ];
    assert.deepEqual(await answers(site(), "prometheus", refused), all(refused, "no"));
  });

  test("gives workers and servers no rights and no token", async () => {
    const rights: Right[] = [
      ["list", "pods"],
      ["get", "secrets"],
      ["create", "jobs.batch"],
    ];
    for (const account of ["worker", "mysql", "redis", "grafana"])
      assert.deepEqual(await answers(site(), account, rights), all(rights, "no"), account);
    for (const component of ["mysql", "redis", "grafana"]) {
      const { items } = await site().json(["get", "pods", "--selector", `app.kubernetes.io/component=${component}`]);
      for (const pod of items) assert.deepEqual(tokensOf(pod), [], component);
    }
  });
}

/** Names of the volumes of a pod that hold a token for the API server. */
export const tokensOf = (pod: {
  spec: { volumes?: { name: string; projected?: { sources: { serviceAccountToken?: object }[] } }[] };
}) =>
  (pod.spec.volumes ?? [])
    .filter(({ projected }) => projected?.sources.some((source) => source.serviceAccountToken !== undefined))
    .map(({ name }) => name);

const told = ([verb, resource, namespace]: Right) =>
  [verb, resource, ...(namespace ? [`in ${namespace}`] : [])].join(" ");
const all = (rights: readonly Right[], answer: string) => rights.map((right) => `${told(right)}: ${answer}`);

async function answers({ namespace }: Site, account: string, rights: readonly Right[]): Promise<string[]> {
  const as = `system:serviceaccount:${namespace}:demo-holdfast-${account}`;
  const said: string[] = [];
  for (const right of rights) {
    const [verb, resource, elsewhere = namespace] = right;
    const [kind = "", part] = resource.split(":");
    const what = part === undefined ? [kind] : [kind, `--subresource=${part}`];
    const { stdout } = await tryKubectl(["auth", "can-i", verb, ...what, "--as", as, "--namespace", elsewhere]);
    said.push(`${told(right)}: ${stdout.trim()}`);
  }
  return said;
}
