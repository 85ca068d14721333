import assert from "node:assert/strict";
import test from "node:test";
import { RunOptions } from "../../coordinator/plan/settings.ts";
import { KubernetesSettings, KubernetesTarget } from "../../coordinator/platform/kubernetes/settings.ts";
import { parseWorkerTemplate } from "../../coordinator/platform/kubernetes/worker-job.ts";
import { YOUNG_HEAP } from "../../coordinator/platform/local/launcher.ts";
import { WorkerEnvironment } from "../../worker/environment.ts";
import { bothHelms } from "./helm.ts";
import { type Any, CI_VALUES, objectsOf, podTemplates, template, workerTemplate } from "./objects.ts";

const SHAPES = ["ConfigMap", "Secret", "PersistentVolumeClaim", "EmptyDir", "Projected", "DownwardAPI", "Csi"];

for (const helm of bothHelms()) {
  for (const values of CI_VALUES) {
    const objects = objectsOf(template(helm, "--values", `helm/ci/${values}`));
    for (const { of, metadata, spec } of podTemplates(objects)) {
      test(`Helm ${helm.major}, ${values}: the pods of ${of} are restricted and complete`, () => {
        assert.equal(spec.securityContext.runAsNonRoot, true);
        assert.ok(spec.securityContext.runAsUser > 0);
        assert.equal(spec.securityContext.seccompProfile.type, "RuntimeDefault");
        for (const key of ["hostNetwork", "hostPID", "hostIPC"]) assert.equal(spec[key], undefined);
        for (const volume of spec.volumes)
          assert.ok(
            SHAPES.some((shape) => volume[shape[0]!.toLowerCase() + shape.slice(1)] !== undefined),
            volume.name,
          );

        assert.equal(spec.enableServiceLinks, false);
        assert.equal(typeof spec.serviceAccountName, "string");
        const withToken = ["coordinator", "prometheus", "reset", "verdict"];
        if (values === "lease-values.yaml") withToken.push("worker");
        const asksTheApi = withToken.includes(metadata.labels["app.kubernetes.io/component"]);
        assert.equal(spec.automountServiceAccountToken, asksTheApi);

        const sidecars = of === "worker" && values === "lease-values.yaml" ? 1 : 0;
        assert.equal(spec.initContainers?.length ?? 0, sidecars);
        for (const container of [...spec.containers, ...(spec.initContainers ?? [])]) {
          assert.deepEqual(container.securityContext, {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ["ALL"] },
          });
          assert.match(container.image, /^[a-z0-9./-]+(:[\w.-]+|@sha256:[0-9a-f]{64})$/);
          assert.doesNotMatch(container.image, /:latest$/);
          assert.ok(
            container.resources.requests.cpu &&
              container.resources.requests.memory &&
              container.resources.limits.memory,
          );
          assert.equal(container.resources.limits.cpu, undefined, "a CPU limit would distort lock times");
          assertUnique((container.env ?? []).map(({ name }: Any) => name));
          assertUnique((container.ports ?? []).map(({ containerPort }: Any) => containerPort));
          assertUnique(container.volumeMounts.map(({ mountPath }: Any) => mountPath));
          for (const { name, value, valueFrom } of container.env ?? [])
            assert.ok(typeof value === "string" || valueFrom !== undefined, `${name} is ${JSON.stringify(value)}`);
          for (const { name } of container.volumeMounts)
            assert.ok(
              spec.volumes.some((volume: Any) => volume.name === name),
              `no volume ${name}`,
            );
        }
      });
    }
  }

  test(`Helm ${helm.major}: the coordinator finds what it reads in its environment`, () => {
    const objects = objectsOf(
      template(
        helm,
        "--set",
        "workers=8,strategies={redis,row-lock},locks.mine.command={x},rows=100000,extend=false,worker.jobAnnotations.queue=a\\, b",
      ),
    );
    const env = environmentOf(
      objects.find(({ kind, metadata }) => kind === "Job" && metadata.name === "coordinator").spec.template.spec,
    );
    assert.deepEqual(KubernetesSettings.parse(env).HOLDFAST_WORKER_JOB_ANNOTATIONS, { queue: "a, b" });
    const given = Object.keys(RunOptions.shape).map((option) => {
      const name = `HOLDFAST_${option.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
      assert.ok(env[name] !== undefined, `${name} is not passed on`);
      return [option, env[name]];
    });
    const { workers, strategies, rows, extend, lockTtl } = Object.fromEntries(given);
    assert.deepEqual([workers, strategies, rows, extend, lockTtl], ["8", "redis,row-lock", "100000", "false", "2s"]);
    assert.equal(env.REDIS_URLS, "redis://demo-holdfast-redis-0:6379");
    for (const hook of objects.filter(({ metadata }) => metadata.annotations?.["helm.sh/hook"] !== undefined))
      assert.equal(
        KubernetesTarget.parse(environmentOf(podTemplates([hook, ...objects])[0]!.spec)).HOLDFAST_JOB_NAME,
        "coordinator",
      );
  });

  test(`Helm ${helm.major}: the coordinator alone mounts the volume of histories, a claim or another volume`, () => {
    for (const [sets, volume] of [
      ["history.volume=my-claim", { persistentVolumeClaim: { claimName: "my-claim" } }],
      ["history.volume.csi.driver=files.example", { csi: { driver: "files.example" } }],
      ["history.volume=", undefined],
    ] as const) {
      const rendered = template(helm, "--set", sets);
      const objects = objectsOf(rendered);
      const { spec } = podTemplates(objects).find(({ of }) => of === "Job/coordinator")!;
      const { HOLDFAST_HISTORY_FOLDER: folder } = KubernetesSettings.parse(environmentOf(spec));
      const mounts = spec.containers[0].volumeMounts.filter(({ name }: Any) => name === "history");
      assert.deepEqual(mounts, volume === undefined ? [] : [{ name: "history", mountPath: folder }]);
      const volumes = spec.volumes.filter(({ name }: Any) => name === "history");
      assert.deepEqual(volumes, volume === undefined ? [] : [{ name: "history", ...volume }]);
      assert.equal(rendered.split("/history").length - 1, volume === undefined ? 0 : 2);
    }
  });

  test(`Helm ${helm.major}: the coordinator can make workers of their template`, () => {
    const spec = parseWorkerTemplate(workerTemplate(objectsOf(template(helm))), "worker.yaml").spec!;
    const env = environmentOf(spec);
    WorkerEnvironment.parse({ ...env, HOLDFAST_SPEC: "{}" });
    assert.equal(env.REDIS_PASSWORD_MONITOR, undefined, "the monitor's password is the coordinator's alone");
    assert.equal(spec.restartPolicy, "Never");
  });

  test(`Helm ${helm.major}: what is added to the worker's pod is still there in the Job that the coordinator makes`, () => {
    const yaml = workerTemplate(objectsOf(template(helm, "--values", "helm/ci/restricted-values.yaml")));
    const { containers, volumes } = JSON.parse(JSON.stringify(parseWorkerTemplate(yaml, "worker.yaml").spec));
    assert.deepEqual(containers[0].envFrom, [{ secretRef: { name: "worker-settings", optional: true } }]);
    assert.deepEqual(containers[0].volumeMounts.at(-1), { name: "credentials", mountPath: "/credentials" });
    assert.deepEqual(volumes.at(-1).csi, { driver: "secrets-store.csi.k8s.io", readOnly: true });
  });

  test(`Helm ${helm.major}: a worker in a pod is started as one on this machine is`, () => {
    const { spec } = parseWorkerTemplate(workerTemplate(objectsOf(template(helm))), "worker.yaml");
    assert.deepEqual(spec!.containers[0]!.command, ["node", YOUNG_HEAP, "/app/worker.js"]);
  });

  test(`Helm ${helm.major}: what keeps sidecars out reaches every pod, and no autoscaler moves a pod of a run`, () => {
    const sets = "coordinator.podLabels.mesh=off,worker.podLabels.mesh=off,commonAnnotations.inject=disabled";
    const stay = ["cluster-autoscaler.kubernetes.io/safe-to-evict", "karpenter.sh/do-not-disrupt"];
    const pods = podTemplates(objectsOf(template(helm, "--set", sets)));
    for (const { of, metadata } of pods) {
      const component = metadata.labels["app.kubernetes.io/component"];
      const ofRun = ["coordinator", "worker", "reset", "verdict"].includes(component);
      assert.equal(metadata.annotations.inject, "disabled", of);
      assert.equal(metadata.labels.mesh, ofRun ? "off" : undefined, of);
      assert.deepEqual(
        stay.map((key) => metadata.annotations[key]),
        ofRun ? ["false", "true"] : [undefined, undefined],
        of,
      );
    }
    assert.equal(pods.length, 8);
  });

  test(`Helm ${helm.major}: on OpenShift no pod asks for a user or group, and all stay restricted`, () => {
    for (const { of, spec } of podTemplates(objectsOf(template(helm, "--set", "openshift.enabled=true"))))
      assert.deepEqual(spec.securityContext, { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } }, of);
  });

  test(`Helm ${helm.major}: with a token of its own, no Secret of the chart has one`, () => {
    const objects = objectsOf(template(helm, "--set", "tokenExistingSecret=mine,tokenKey=key"));
    const [secret] = objects.filter(({ kind, metadata }) => kind === "Secret" && metadata.name === "demo-holdfast");
    assert.equal(secret.stringData.token, undefined);
    const refs = podTemplates(objects).flatMap(({ spec }) =>
      (spec.containers[0].env ?? []).flatMap(({ name, valueFrom }: Any) =>
        name === "HOLDFAST_TOKEN" ? [valueFrom.secretKeyRef] : [],
      ),
    );
    assert.deepEqual(refs, [
      { name: "mine", key: "key" },
      { name: "mine", key: "key" },
    ]);
  });

  test(`Helm ${helm.major}: as many independent Redis servers as asked for, each with an address`, () => {
    const objects = objectsOf(template(helm, "--set", "redis.instances=3"));
    assert.equal(
      objects.find(({ kind, metadata }) => kind === "StatefulSet" && metadata.name === "demo-holdfast-redis").spec
        .replicas,
      3,
    );
    const env = environmentOf(parseWorkerTemplate(workerTemplate(objects), "worker.yaml").spec);
    const hosts = [0, 1, 2].map((place) => `demo-holdfast-redis-${place}`);
    assert.equal(env.REDIS_URLS, hosts.map((host) => `redis://${host}:6379`).join(","));
    for (const host of hosts) {
      const service = objects.find(({ kind, metadata }) => kind === "Service" && metadata.name === host);
      assert.equal(service.spec.selector["statefulset.kubernetes.io/pod-name"], host);
    }
  });
}

function assertUnique(items: readonly unknown[]) {
  assert.deepEqual(items, [...new Set(items)]);
}

/** The environment of the container; values that Kubernetes fills in become placeholders. */
function environmentOf(podSpec: Any): Record<string, string> {
  const env = podSpec.containers[0].env;
  return Object.fromEntries(env.map(({ name, value }: Any) => [name, value ?? `filled in: ${name}`]));
}
