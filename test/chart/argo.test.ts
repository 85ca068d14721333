/** Argo CD renders the chart like `helm template` and applies the objects itself. The cluster test is test/e2e/argo.test.ts. */
import assert from "node:assert/strict";
import test from "node:test";
import { syncSteps } from "../support/argo.ts";
import { bothHelms } from "./helm.ts";
import { type Any, CI_VALUES, nameOf, objectsOf, podTemplates, template } from "./objects.ts";

for (const helm of bothHelms()) {
  test(`Helm ${helm.major}: with existing Secrets, each sync of Argo CD renders the same`, () => {
    const render = () => template(helm, "--values", "helm/ci/existing-secret-values.yaml");
    assert.equal(render(), render());
  });

  for (const values of CI_VALUES)
    test(`Helm ${helm.major}, ${values}: each sync of Argo CD applies every object before the pods that need it`, () => {
      const objects = objectsOf(template(helm, "--values", `helm/ci/${values}`));
      const steps = syncSteps(objects);
      assert.deepEqual([...new Set(steps.map(({ phase }) => phase))], ["Sync"], "no hook runs before the first sync");
      const applied: string[] = [];
      for (const { object, replace } of steps) {
        const name = nameOf(object);
        // The Job's template cannot be changed, so a second sync must replace it.
        assert.equal(replace, object.kind === "Job", name);
        for (const needed of neededBy(object).filter((one) => objects.some((other) => nameOf(other) === one)))
          assert.ok(applied.includes(needed), `${name} comes before ${needed}`);
        applied.push(name);
      }
      const left = objects.filter((object) => !applied.includes(nameOf(object))).map(nameOf);
      assert.deepEqual(left.map((name) => name.replace(/^.*-/, "")).sort(), ["reset", "verdict"], "left out");
    });
}

/** Names of the objects without which the pods of this object do not start. */
function neededBy(object: Any): string[] {
  const { template, jobTemplate } = object.spec ?? {};
  if ((template ?? jobTemplate) === undefined && object.kind !== "Pod") return [];
  const { spec } = podTemplates([object, { kind: "ConfigMap", data: { "worker.yaml": "" } }])[0]!;
  const secrets = spec.containers[0].env.flatMap(({ valueFrom }: Any) => valueFrom?.secretKeyRef?.name ?? []);
  const volumes = spec.volumes.flatMap(({ configMap, secret }: Any) => [
    ...(configMap === undefined ? [] : [`ConfigMap/${configMap.name}`]),
    ...(secret === undefined ? [] : [`Secret/${secret.secretName}`]),
  ]);
  return [
    `ServiceAccount/${spec.serviceAccountName}`,
    `RoleBinding/${spec.serviceAccountName}`,
    ...secrets.map((name: string) => `Secret/${name}`),
    ...volumes,
  ];
}
