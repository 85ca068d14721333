/** The chart's value `locks`: what the coordinator reads, the variables of the programs, and the workers' NetworkPolicy. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { dirname } from "node:path";
import test from "node:test";
import { readRunOptions } from "../../coordinator/plan/settings.ts";
import { parseWorkerTemplate } from "../../coordinator/platform/kubernetes/worker-job.ts";
import { WorkerEnvironment } from "../../worker/environment.ts";
import { programEnvironment } from "../../worker/own-lock/environment.ts";
import { guestUrl } from "../../worker/servers/redis.ts";
import { bothHelms } from "./helm.ts";
import { objectsOf, podTemplates, template, workerTemplate } from "./objects.ts";

for (const helm of bothHelms())
  test(`Helm ${helm.major}: the program gets its arguments unchanged, and workers may connect to what it needs`, () => {
    const objects = objectsOf(template(helm, "--values", "helm/ci/lease-values.yaml"));
    const coordinator = podTemplates(objects).find(({ of }) => of === "Job/coordinator")!;
    const { value } = coordinator.spec.containers[0].env.find(({ name }: { name: string }) => name === "HOLDFAST_LOCK");
    // As Kubernetes does where no variable is meant.
    const lock = value.replaceAll("$$(", "$(").split("\n");
    const { locks } = readRunOptions({ lock }).settings;
    assert.deepEqual(
      locks.map(({ name }) => name),
      ["aside", "mine", "second"],
    );
    const { aside, mine } = Object.fromEntries(locks.map((each) => [each.name, each]));
    const [shell, flag, command] = mine!.command!;
    const words = execFileSync(shell, [flag!, `printf '%s\\n' ${command}`], { encoding: "utf8" });
    assert.equal(words, "/usr/local/bin/mylock\n--name\nit's $(HOSTNAME)\n");

    const { containers, initContainers } = parseWorkerTemplate(workerTemplate(objects), "worker.yaml").spec!;
    const worker = containers[0]!;
    const given = Object.fromEntries(worker.env!.map(({ name, value = "from elsewhere" }) => [name, value]));
    assert.deepEqual(programEnvironment(given, { name: "mine" }), {
      HOLDFAST_LOCK_FOLDER: "/locks",
      CONSUL_HTTP_ADDR: "http://192.0.2.1:8500",
      CONSUL_HTTP_TOKEN: "from elsewhere",
    });
    assert.deepEqual(programEnvironment(given, { name: "second", redisUrl: "redis://guest:p@r" }), {
      HOLDFAST_LOCK_FOLDER: "/locks",
      HOLDFAST_LOCK_REDIS_URL: "",
    });
    const { REDIS_URL, REDIS_PASSWORD_GUEST } = WorkerEnvironment.parse({ ...given, HOLDFAST_SPEC: "{}" });
    assert.equal(
      guestUrl({ REDIS_URL, REDIS_PASSWORD_GUEST }),
      "redis://guest:from%20elsewhere@demo-holdfast-redis-0:6379",
    );

    const [sidecar, ...others] = initContainers!;
    assert.deepEqual([sidecar!.name, sidecar!.restartPolicy, others], ["lock-aside", "Always", []]);
    const { HOLDFAST_LOCK_SOCKET: socket, ...env } = Object.fromEntries(
      sidecar!.env!.map(({ name, value = "from elsewhere" }) => [name, value]),
    );
    assert.equal(socket, aside!.socket);
    assert.deepEqual(env, {
      HOLDFAST_LOCK_FOLDER: "/locks",
      HOLDFAST_LOCK_REDIS_PASSWORD: "from elsewhere",
      HOLDFAST_LOCK_REDIS_URL: "redis://guest:$(HOLDFAST_LOCK_REDIS_PASSWORD)@demo-holdfast-redis-0:6379",
      LEVEL: "debug",
    });
    for (const { volumeMounts } of [worker, sidecar!])
      assert.equal(volumeMounts!.find(({ mountPath }) => mountPath === dirname(socket!))?.name, "lock-socket");

    const policy = (component: string) =>
      objects.find(
        ({ kind, spec }) =>
          kind === "NetworkPolicy" && spec.podSelector.matchLabels["app.kubernetes.io/component"] === component,
      );
    const rule = { ports: [{ port: 8500 }], to: [{ ipBlock: { cidr: "192.0.2.0/24" } }] };
    assert.deepEqual(policy("worker").spec.egress.at(-1), rule);
    assert.doesNotMatch(JSON.stringify(policy("coordinator")), /192\.0\.2/);
  });
