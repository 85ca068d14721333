/** What the chart's value `faults.enabled` adds, and that it adds nothing else. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import test from "node:test";
import { parseWorkerTemplate } from "../../coordinator/platform/kubernetes/worker-job.ts";
import { REDIS_USERS } from "../../worker/contract.ts";
import { bothHelms, type Helm } from "./helm.ts";
import { type Any, nameOf, objectsOf, ROOT, template, workerTemplate } from "./objects.ts";

/** Without these, each render has passwords of its own. */
const PASSWORDS = [
  ...["token", "mysql.auth.password", "mysql.auth.rootPassword", "grafana.adminPassword"],
  ...REDIS_USERS.map((user) => `redis.auth.passwords.${user}`),
].map((path) => `${path}=of-${path.replaceAll(".", "-")}`);
const ON = [
  "faults.enabled=true",
  "redis.auth.passwords.faults=of-faults",
  "mysql.auth.faultsPassword=of-mysql-faults",
];

for (const helm of bothHelms()) {
  test(`Helm ${helm.major}: faults.enabled adds a user of each server, its password and what the coordinator needs`, () => {
    const [without, added] = [objects(helm), objects(helm, ...ON)];
    assert.deepEqual(changedBetween(without, added), [
      "ConfigMap/demo-holdfast-mysql",
      "Job/coordinator",
      "Secret/demo-holdfast",
      "Secret/demo-holdfast-redis-users",
      "StatefulSet/demo-holdfast-mysql",
      "StatefulSet/demo-holdfast-redis",
    ]);

    // A new checksum replaces the pods, which read their users when they start.
    for (const [server, checksums] of [
      ["redis", ["checksum/users"]],
      ["mysql", ["checksum/config", "checksum/passwords"]],
    ] as const)
      for (const checksum of checksums) {
        const [before, after] = [without, added].map((all) => annotationsOf(all, server));
        assert.notEqual(before[checksum], after[checksum], checksum);
        before[checksum] = after[checksum];
      }

    // The same servers with the same options, which are started again when they have ended.
    for (const [name, program] of [
      ["redis", []],
      ["mysql", ["docker-entrypoint.sh", "mysqld"]],
    ] as const) {
      const [server, ending] = [without, added].map((all) => containerOf(all.get(`StatefulSet/demo-holdfast-${name}`)));
      assert.deepEqual(ending.args.slice(0, 2), ["sh", "-c"]);
      assert.deepEqual(ending.args.slice(3), [...program, ...(server.args ?? [])]);
      server.args = ending.args;
    }

    const script = readFileSync(new URL("helm/files/faults-mysql.sh", ROOT), "utf8");
    without.get("ConfigMap/demo-holdfast-mysql").data["faults.sh"] = script;
    const { spec } = without.get("StatefulSet/demo-holdfast-mysql").spec.template;
    spec.volumes
      .find(({ name }: Any) => name === "schema")
      .configMap.items.push({ key: "faults.sh", path: "faults.sh" });
    const mysqlPassword = {
      name: "MYSQL_PASSWORD_FAULTS",
      valueFrom: { secretKeyRef: { name: "demo-holdfast", key: "mysql-faults-password" } },
    };
    spec.containers[0].env.push(mysqlPassword);
    without.get("Secret/demo-holdfast").stringData["mysql-faults-password"] = "of-mysql-faults";

    without.get("Secret/demo-holdfast").stringData["redis-faults-password"] = "of-faults";
    const line = readFileSync(new URL("helm/files/faults.acl", ROOT), "utf8");
    const hash = createHash("sha256").update("of-faults").digest("hex");
    without.get("Secret/demo-holdfast-redis-users").stringData["users.acl"] += line.replace("%FAULTS%", hash);

    const [env] = [without, added].map(envOf);
    const byName = (a: Any, b: Any) => (a.name < b.name ? -1 : 1);
    env!.push({ name: "HOLDFAST_SERVER_FAULTS", value: "mysql,redis" }, mysqlPassword, {
      name: "REDIS_PASSWORD_FAULTS",
      valueFrom: { secretKeyRef: { name: "demo-holdfast", key: "redis-faults-password" } },
    });
    for (const each of [without, added]) envOf(each).sort(byName);
    assert.deepEqual(added, without);
  });

  test(`Helm ${helm.major}: workers never know of it`, () => {
    const worker = parseWorkerTemplate(workerTemplate([...objects(helm, ...ON).values()]), "worker.yaml");
    assert.doesNotMatch(JSON.stringify(worker), /faults/i);
  });

  test(`Helm ${helm.major}: faults are made only of the servers of the release`, () => {
    const mysql = "mysql.enabled=false,mysql.external.host=db";
    const ownMysql = variables(objects(helm, "faults.enabled=true", mysql));
    assert.equal(ownMysql.HOLDFAST_SERVER_FAULTS, "redis");
    assert.ok(!("MYSQL_PASSWORD_FAULTS" in ownMysql));

    const bare = PASSWORDS.filter((set) => !set.startsWith("redis."));
    const redis = "redis.enabled=false,redis.external.nodes={r:6379},redis.auth.passwords.default=p";
    const ownRedis = variables(byName(helm, ...bare, "faults.enabled=true", redis));
    assert.equal(ownRedis.HOLDFAST_SERVER_FAULTS, "mysql");
    assert.ok(!("REDIS_PASSWORD_FAULTS" in ownRedis));
  });

  test(`Helm ${helm.major}: a replica beside each Redis, which only the coordinator reaches`, () => {
    const replicas = [...ON, "redis.instances=3", "redis.replica.enabled=true"];
    const [without, added] = [objects(helm, ...ON, "redis.instances=3"), objects(helm, ...replicas)];
    assert.deepEqual(changedBetween(without, added), [
      "Job/coordinator",
      "NetworkPolicy/demo-holdfast-coordinator",
      "NetworkPolicy/demo-holdfast-redis",
      "Service/demo-holdfast-redis",
      "Service/demo-holdfast-redis-0",
      "Service/demo-holdfast-redis-1",
      "Service/demo-holdfast-redis-2",
      "StatefulSet/demo-holdfast-redis",
    ]);

    const urls = [0, 1, 2].map((index) => `redis://demo-holdfast-redis-${index}:6380`);
    assert.equal(variables(added).HOLDFAST_REDIS_REPLICA_URLS, urls.join());
    const service = added.get("Service/demo-holdfast-redis-1").spec.ports;
    assert.deepEqual(service.map(({ name, port, targetPort }: Any) => [name, port, targetPort]).sort(), [
      ["redis", 6379, "redis"],
      ["replica", 6380, "replica"],
    ]);

    const [server, replica, ...others] = added.get("StatefulSet/demo-holdfast-redis").spec.template.spec.containers;
    assert.equal(others.length, 0);
    assert.deepEqual(server, containerOf(without.get("StatefulSet/demo-holdfast-redis")));
    // The same server on another port, with files of its own.
    assert.equal(replica.volumeMounts[0].subPath, "replica");
    delete replica.volumeMounts[0].subPath;
    assert.deepEqual(replica.ports, [{ name: "replica", containerPort: 6380 }]);
    const asServer = JSON.stringify({ ...replica, name: "redis", ports: server.ports });
    assert.deepEqual(
      JSON.parse(asServer.replaceAll("redis-cli -p 6380", "redis-cli").replaceAll("6380", "6379")),
      server,
    );

    const callersOf = (port: number) =>
      added
        .get("NetworkPolicy/demo-holdfast-redis")
        .spec.ingress.filter(({ ports }: Any) => ports.some((each: Any) => each.port === port))
        .flatMap(({ from }: Any) =>
          from.map((peer: Any) => peer.podSelector.matchLabels["app.kubernetes.io/component"]),
        );
    assert.deepEqual(callersOf(6380), ["coordinator"]);
    assert.deepEqual(callersOf(6379), ["coordinator", "worker"]);
  });

  test(`Helm ${helm.major}: names alone choose faults, and allow none of the servers`, () => {
    const chosen = variables(objects(helm, "faults.names={stall,foreign-writer}"));
    assert.equal(chosen.HOLDFAST_FAULTS, "stall,foreign-writer");
    for (const name of ["HOLDFAST_SERVER_FAULTS", "REDIS_PASSWORD_FAULTS", "MYSQL_PASSWORD_FAULTS"])
      assert.ok(!(name in chosen), name);
  });

  test(`Helm ${helm.major}: with passwords of an existing Secret, those of the users come from it`, () => {
    const sets = PASSWORDS.filter((set) => !/^(redis|mysql)\./.test(set));
    const secrets = ["redis.auth.existingSecret=mine", "mysql.auth.existingSecret=its"];
    const found = byName(helm, ...sets, ...secrets, "mysql.auth.faultsPasswordKey=its-key", "faults.enabled=true");
    const refOf = (variable: string) => envOf(found).find(({ name }: Any) => name === variable).valueFrom.secretKeyRef;
    assert.deepEqual(refOf("REDIS_PASSWORD_FAULTS"), { name: "mine", key: "redis-faults-password" });
    assert.deepEqual(refOf("MYSQL_PASSWORD_FAULTS"), { name: "its", key: "its-key" });
  });
}

const objects = (helm: Helm, ...sets: string[]) => byName(helm, ...PASSWORDS, ...sets);

function byName(helm: Helm, ...sets: string[]): Map<string, Any> {
  const all = objectsOf(template(helm, "--set", sets.join(",")));
  return new Map(all.map((object) => [nameOf(object), object]));
}

/** The names of the objects that differ. There must be none more or less. */
function changedBetween(without: Map<string, Any>, added: Map<string, Any>): string[] {
  assert.deepEqual([...added.keys()], [...without.keys()], "no object more or less");
  const changed = [...added].filter(([name, object]) => JSON.stringify(object) !== JSON.stringify(without.get(name)));
  return changed.map(([name]) => name).sort();
}

const annotationsOf = (objects: Map<string, Any>, server: string) =>
  objects.get(`StatefulSet/demo-holdfast-${server}`).spec.template.metadata.annotations;
const containerOf = (object: Any) => object.spec.template.spec.containers[0];
const envOf = (objects: Map<string, Any>): Any[] => containerOf(objects.get("Job/coordinator")).env;

const variables = (objects: Map<string, Any>): Record<string, string> =>
  Object.fromEntries(envOf(objects).map(({ name, value }) => [name, value]));
