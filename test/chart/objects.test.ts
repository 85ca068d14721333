import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";
import { parse } from "yaml";
import { manifests } from "../../helm/tools/manifests.ts";
import { bothHelms } from "./helm.ts";
import { type Any, CI_VALUES, nameOf, objectsOf, podTemplates, ROOT, template } from "./objects.ts";

const read = (name: string) => readFileSync(new URL(name, ROOT), "utf8");
const STANDARD_LABELS = ["name", "instance", "version", "component", "part-of", "managed-by"].map(
  (key) => `app.kubernetes.io/${key}`,
);
const SELECTOR_LABELS = ["name", "instance", "component"].map((key) => `app.kubernetes.io/${key}`);
const CLUSTER_WIDE = ["ClusterRole", "ClusterRoleBinding", "Namespace", "CustomResourceDefinition"];

for (const helm of bothHelms()) {
  for (const values of CI_VALUES) {
    const objects = objectsOf(template(helm, "--values", `helm/ci/${values}`));
    const pods = podTemplates(objects);

    test(`Helm ${helm.major}, ${values}: names, labels and selectors`, () => {
      assert.equal(new Set(objects.map(nameOf)).size, objects.length, "two objects of one name");
      for (const object of objects) {
        const { name, namespace, labels } = object.metadata;
        assert.ok(
          name.length <= (["StatefulSet", "CronJob"].includes(object.kind) ? 52 : 63),
          `${name} leaves no room for what Kubernetes adds`,
        );
        assert.equal(namespace, "lab", nameOf(object));
        for (const label of [...STANDARD_LABELS, "helm.sh/chart"])
          assert.ok(labels[label], `${nameOf(object)} lacks ${label}`);
        assert.equal(labels["app.kubernetes.io/part-of"], "holdfast");
        assert.ok(!CLUSTER_WIDE.includes(object.kind), nameOf(object));
      }
      for (const { kind, spec } of objects.filter(({ spec }) => spec?.selector?.matchLabels && spec.template)) {
        assert.deepEqual(Object.keys(spec.selector.matchLabels).sort(), [...SELECTOR_LABELS].sort(), kind);
        assert.ok(selects(spec.selector.matchLabels, spec.template.metadata.labels));
      }
    });

    test(`Helm ${helm.major}, ${values}: every Service and every policy has pods`, () => {
      for (const { metadata, spec } of objects.filter(({ kind }) => kind === "Service")) {
        const { "statefulset.kubernetes.io/pod-name": _, ...selector } = spec.selector;
        const target = pods.find((pod) => selects(selector, pod.metadata.labels));
        assert.ok(target, `${metadata.name} selects no pod`);
        for (const { targetPort } of spec.ports)
          assert.ok(
            target.spec.containers[0].ports.some((port: Any) => port.name === targetPort),
            `${metadata.name}: no port ${targetPort}`,
          );
      }
      for (const { metadata, spec } of objects.filter(({ kind }) => kind === "NetworkPolicy")) {
        assert.deepEqual(spec.policyTypes, ["Ingress", "Egress"]);
        assert.ok(
          pods.some((pod) => selects(spec.podSelector.matchLabels, pod.metadata.labels)),
          metadata.name,
        );
      }
    });

    test(`Helm ${helm.major}, ${values}: a password is in Secrets only`, () => {
      const secrets = objects.filter(({ kind }) => kind === "Secret");
      const rest = JSON.stringify(objects.filter(({ kind }) => kind !== "Secret"));
      for (const password of secrets.flatMap(({ stringData }) => Object.values<string>(stringData)))
        assert.ok(!rest.includes(password), "a password stands outside the Secrets");
      for (const object of objects.filter(({ kind }) =>
        ["Job", "CronJob", "Deployment", "StatefulSet", "Pod"].includes(kind),
      ))
        for (const { name, value } of podTemplates([object, ...objects])[0]!.spec.containers[0].env ?? [])
          if (/PASSWORD|TOKEN/.test(name)) assert.equal(value, undefined, `${nameOf(object)}: ${name}`);
    });
  }

  test(`Helm ${helm.major}: the coordinator may do its work and nothing else`, () => {
    const role = objectsOf(template(helm)).find(
      ({ kind, metadata }) => kind === "Role" && metadata.name === "demo-holdfast-coordinator",
    );
    assert.deepEqual(role.rules, [
      { apiGroups: ["batch"], resources: ["jobs"], verbs: ["create", "get", "list", "delete"] },
      { apiGroups: [""], resources: ["pods"], verbs: ["list", "delete"] },
      { apiGroups: [""], resources: ["pods/log"], verbs: ["get"] },
      { apiGroups: [""], resources: ["configmaps"], resourceNames: ["demo-holdfast-report"], verbs: ["get", "patch"] },
      { apiGroups: [""], resources: ["pods"], resourceNames: ["demo-holdfast-verdict"], verbs: ["patch"] },
      { apiGroups: [""], resources: ["events"], verbs: ["list"] },
      { apiGroups: ["events.k8s.io"], resources: ["events"], verbs: ["create"] },
    ]);
  });

  test(`Helm ${helm.major}: with a schedule it may also keep and delete ConfigMaps`, () => {
    const rules = (...options: string[]) =>
      objectsOf(template(helm, ...options)).find(
        ({ kind, metadata }) => kind === "Role" && metadata.name === "demo-holdfast-coordinator",
      ).rules;
    const known = rules();
    const added = rules("--set", "schedule=@daily").filter(
      (rule: Any) => !known.some((one: Any) => JSON.stringify(one) === JSON.stringify(rule)),
    );
    const verbs = ["create", "get", "list", "patch", "delete"];
    assert.deepEqual(added, [{ apiGroups: [""], resources: ["configmaps"], verbs }]);
  });

  test(`Helm ${helm.major}: the report's ConfigMap has no data, and only upgrades and tests have hooks`, () => {
    const objects = objectsOf(template(helm));
    const report = objects.find(({ metadata }) => metadata.name === "demo-holdfast-report");
    assert.deepEqual(Object.keys(report).sort(), ["apiVersion", "kind", "metadata"]);
    const hooks = objects.flatMap(({ metadata }) => metadata.annotations?.["helm.sh/hook"] ?? []);
    assert.deepEqual(hooks.sort(), ["pre-upgrade,pre-rollback", "test"]);
  });

  test(`Helm ${helm.major}: a long release name is shortened, and two of them stay apart`, () => {
    const first = `${"long-".repeat(9)}release`;
    const names = (release: string) => objectsOf(helm.run("template", release, "helm")).map(nameOf);
    const other = names(`${"long-".repeat(9)}another`);
    assert.deepEqual(
      names(first).filter((name) => other.includes(name)),
      ["Service/coordinator", "Job/coordinator"],
    );
  });

  test(`Helm ${helm.major}: k8s/ is what \`make k8s\` writes`, () => {
    const files = manifests((arguments_) => helm.run(...arguments_), read("helm/files/users.acl"));
    assert.deepEqual(readdirSync(new URL("k8s", ROOT)).sort(), Object.keys(files).sort());
    const old = Object.keys(files).filter((name) => read(`k8s/${name}`) !== files[name]);
    assert.deepEqual(old, [], "run `make k8s`");
  });
}

test("every file of helm/files is used, and every file that is used is there", () => {
  const templates = readdirSync(new URL("helm/templates", ROOT), { recursive: true, encoding: "utf8" }).filter((name) =>
    /\.(yaml|tpl)$/.test(name),
  );
  const used = templates.flatMap((name) =>
    [...read(`helm/templates/${name}`).matchAll(/\.Files\.Get "files\/([^"]+)"/g)].map(([, file]) => file),
  );
  const shipped = readdirSync(new URL("helm/files", ROOT)).filter(
    (name) => !read("helm/.helmignore").includes(`files/${name}\n`),
  );
  assert.deepEqual([...new Set(used)].sort(), shipped.sort());
});

test("Chart.yaml names the images that are installed, and the version of the project", () => {
  const chart = parse(read("helm/Chart.yaml"));
  const listed = parse(chart.annotations["artifacthub.io/images"]).map(({ image }: Any) => image);
  const every = template(bothHelms()[0]!, "--values", "helm/ci/lock-services-values.yaml");
  const used = podTemplates(objectsOf(every)).map(({ spec }) => spec.containers[0].image);
  assert.deepEqual([...new Set(used)].sort(), listed.sort());
  assert.equal(chart.appVersion, JSON.parse(read("package.json")).version);
});

const selects = (selector: Record<string, string>, labels: Record<string, string>) =>
  Object.entries(selector).every(([key, value]) => labels[key] === value);
