/** A release with ZooKeeper and etcd, each with three members: the strategies that use them, and who reaches them. */
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { assertAgreement, assertBooksAgree, dataOf } from "./support/findings.ts";
import { opened } from "./support/probe.ts";
import { type Body, scenario } from "./support/scenario.ts";
import { createSite, type End, type Site } from "./support/site.ts";
import { QUICK } from "./support/values.ts";

const STRATEGIES = ["none", "redis", "zookeeper", "etcd"];
const MEMBERS = { enabled: true, replicas: 3 };

let site: Site;
let end: End;
const onSite = (name: string, body: Body) => scenario(name, () => [site], body);

before(async () => {
  site = await createSite("locks");
});
after(() => site?.[Symbol.asyncDispose]());

onSite("ZooKeeper and etcd with three members each: every strategy does what theory expects", async (t) => {
  // Other pods that start on the nodes can delay a fleet for seconds, and disks that are busy slow these services down.
  const longer = { duration: "20s", hold: "50ms", startDeadline: "120s" };
  await site.install({ ...QUICK, ...longer, strategies: STRATEGIES, zookeeper: MEMBERS, etcd: MEMBERS });
  end = await site.ended();
  for (const { strategy, throughput } of end.report.runs) t.diagnostic(`${strategy}: ${throughput} committed/s`);
  assertAgreement(end, 0);
  assert.deepEqual(dataOf(end.report), ["none violated", "redis holds", "zookeeper holds", "etcd holds"]);
  assert.deepEqual(end.report.skipped, []);
  for (const run of end.report.runs) assertBooksAgree(run, 4);
});

onSite("the report lists what both services refused the account of the workers", () => {
  for (const service of ["zookeeper", "etcd"]) {
    const probes = end.report.acl.filter((probe) => probe.service === service);
    assert.ok(probes.length >= 3, `${service}: ${JSON.stringify(probes)}`);
    for (const probe of probes) assert.equal(probe.outcome, "refused", JSON.stringify(probe));
  }
});

onSite("workers reach the ports of clients, members those of members, and no other pod reaches either", async () => {
  const targets: Record<string, string> = {};
  for (const [service, ports] of Object.entries({ zookeeper: [2181, 2888, 3888], etcd: [2379, 2380] })) {
    const pods = await site.json(["get", "pods", "--selector", `app.kubernetes.io/component=${service}`]);
    const ips: string[] = pods.items.map(({ status }: { status: { podIP: string } }) => status.podIP);
    for (const port of ports) targets[`${service} ${port}`] = `${ips[0]}:${port}`;
  }
  const openedBy = (component: string) =>
    opened({
      namespace: site.namespace,
      targets,
      labels: {
        "app.kubernetes.io/name": "holdfast",
        "app.kubernetes.io/instance": "demo",
        "app.kubernetes.io/component": component,
      },
    });
  // Each pod waits for seconds, so all are asked at the same time.
  const [foreign, worker, etcd, zookeeper, redis] = await Promise.all([
    opened({ namespace: site.namespace, targets }),
    ...["worker", "etcd", "zookeeper", "redis"].map(openedBy),
  ]);
  assert.deepEqual(foreign, [], "a foreign pod");
  assert.deepEqual(worker, ["etcd 2379", "zookeeper 2181"]);
  assert.deepEqual(etcd, ["etcd 2380"]);
  // Only the leader of ZooKeeper listens on 2888.
  assert.deepEqual(
    zookeeper!.filter((name) => name !== "zookeeper 2888"),
    ["zookeeper 3888"],
  );
  assert.deepEqual(redis, []);
});
