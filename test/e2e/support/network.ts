/** Tests who can connect to whom: pods of the release can reach what they need, and no other pod can reach anything. */
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { kubectlJson } from "./cluster.ts";
import { opened } from "./probe.ts";
import { tokensOf } from "./rights.ts";
import { scenario } from "./scenario.ts";
import { createSite, type Site } from "./site.ts";
import { until } from "./wait.ts";

export function networkTests(siteOf: () => Site): void {
  describe("its network, while a fleet is at work", () => {
    let site: Site;
    let elsewhere: Site;
    /** What the pods of each part can reach, and two pods of no part. */
    let opens: Record<string, readonly string[]>;
    const test = (name: string, body: () => Promise<void>) => scenario(name, () => [site], body);

    before(async () => {
      site = siteOf();
      elsewhere = await createSite("elsewhere");
      // Long, with little load: the pods only have to exist.
      await site.upgrade({ strategies: ["row-lock"], duration: "10m", pause: "200ms" });
      await site.running("row-lock");
      opens = await openedByAll(site.namespace, elsewhere.namespace, await addresses(site));
    });

    after(async () => {
      // The test does not wait for the run: its Job is deleted with everything that it owns.
      await site?.tryKubectl(["delete", "job", "coordinator", "--ignore-not-found"]);
      await elsewhere?.[Symbol.asyncDispose]();
    });

    test("a foreign pod of the namespace reaches no part of it", async () => {
      assert.deepEqual(opens.foreign, ["API server"]);
    });

    test("a pod of another namespace does not, even with the labels of a worker", async () => {
      assert.deepEqual(opens.elsewhere, ["API server"]);
    });

    test("a worker reaches MySQL, Redis and the coordinator, and neither Prometheus, other workers nor the API server", async () => {
      assert.deepEqual(opens.worker, ["MySQL", "Redis", "coordinator"]);
    });

    test("Prometheus reaches what it scrapes and the API server, and no server", async () => {
      assert.deepEqual(opens.prometheus, ["API server", "coordinator", "worker-0", "worker-3"]);
    });

    test("Grafana reaches Prometheus alone", async () => {
      assert.deepEqual(opens.grafana, ["Prometheus"]);
    });

    test("MySQL and Redis reach nothing", async () => {
      assert.deepEqual(opens.mysql, []);
      assert.deepEqual(opens.redis, []);
    });

    test("workers have no token for the API server", async () => {
      const fleet = await site.fleet("row-lock");
      assert.equal(fleet.length, 4);
      for (const pod of fleet) assert.deepEqual(tokensOf(pod), [], pod.metadata.name);
    });
  });
}

const PARTS = ["worker", "prometheus", "grafana", "mysql", "redis"];

/** Each pod waits for seconds, so all are asked at the same time. */
async function openedByAll(namespace: string, otherNamespace: string, targets: Readonly<Record<string, string>>) {
  const asked = {
    foreign: opened({ namespace, targets }),
    elsewhere: opened({ namespace: otherNamespace, labels: partOf("worker"), targets }),
    ...Object.fromEntries(PARTS.map((part) => [part, opened({ namespace, labels: partOf(part), targets })])),
  };
  const answers = await Promise.all(Object.entries(asked).map(async ([who, answer]) => [who, await answer] as const));
  return Object.fromEntries(answers);
}

const partOf = (component: string) => ({
  "app.kubernetes.io/name": "holdfast",
  "app.kubernetes.io/instance": "demo",
  "app.kubernetes.io/component": component,
});

/** Addresses of pods, so that a name that does not resolve is not mistaken for a dropped packet. */
async function addresses(site: Site): Promise<Record<string, string>> {
  const api = await kubectlJson(["get", "service", "kubernetes", "--namespace", "default"]);
  const ip = async (service: string) => (await site.json(["get", "service", service])).spec.clusterIP;
  const fleet = await until("addresses of the workers", 30_000, async () => {
    const pods = await site.fleet("row-lock");
    return pods.length === 4 && pods.every(({ status }) => status.podIP !== undefined) && pods;
  });
  return {
    MySQL: `${await ip("demo-holdfast-mysql")}:3306`,
    Redis: `${await ip("demo-holdfast-redis-0")}:6379`,
    Prometheus: `${await ip("demo-holdfast-prometheus")}:9090`,
    coordinator: `${await ip("coordinator")}:8080`,
    "worker-0": `${fleet[0].status.podIP}:9464`,
    "worker-3": `${fleet[3].status.podIP}:9464`,
    "API server": `${api.spec.clusterIP}:443`,
  };
}
