import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { parse } from "yaml";
import { RunOptions } from "../../coordinator/plan/settings.ts";
import { valueDocs, withTable } from "../../helm/tools/readme.ts";
import { valuesSchema } from "../../helm/tools/schema.ts";
import { bothHelms } from "./helm.ts";
import { type Any, ROOT, template } from "./objects.ts";

const read = (name: string) => readFileSync(new URL(name, ROOT), "utf8");
const values = parse(read("helm/values.yaml"));

test("values.schema.json is what `make chart` writes", () => {
  assert.ok(read("helm/values.schema.json") === valuesSchema(), "run `make chart`");
});

test("the README's table is what `make chart` writes", () => {
  const readme = read("helm/README.md");
  assert.ok(readme === withTable(readme, valueDocs(read("helm/values.yaml"))), "run `make chart`");
});

test("the schema knows every value, values.yaml has every value of the schema, and no typo passes anywhere", () => {
  assert.deepEqual(
    keysOfSchema(JSON.parse(valuesSchema())).sort(),
    valueDocs(read("helm/values.yaml")).flatMap(pathsUpTo).sort(),
  );
});

test("the run's values default to what the coordinator takes by itself", () => {
  const options = RunOptions.parse({});
  assert.deepEqual(Object.fromEntries(Object.keys(options).map((key) => [key, values[key]])), options);
});

const REFUSED: [set: string, message: RegExp][] = [
  ["wrokers=3", /wrokers/],
  ["workers=0", /workers.*(got 0, want 1|greater than or equal to 1)/],
  ["workers=two", /workers.*(want integer|Expected: integer)/],
  ["strategies={nope}", /strategies.*row-lock/],
  ["scenario=nope", /scenario.*compare/],
  ["duration=5", /duration.*(want string|Expected: string)/],
  ["duration=5 seconds", /duration/],
  ["coordinator.name=Not_A_Name", /coordinator[./]name/],
  ["mysql.auth.pasword=x", /pasword/],
  ["redis.image.tga=8", /tga/],
  ["worker.resources.limit.memory=1Gi", /limit/],
  ["networkPolicy.allowFrom.mysq=x", /mysq/],
  ["redis.external.nodes={redis://host:6379}", /nodes/],
];

const IMPOSSIBLE: [sets: string, message: RegExp][] = [
  ["mysql.enabled=false", /set mysql\.external\.host/],
  ["mysql.external.host=db", /set mysql\.enabled=false/],
  ["mysql.enabled=false,mysql.external.host=db", /no password for holdfast at db: set mysql\.auth\.password/],
  ["mysql.auth.existingSecret=s,mysql.auth.password=p", /remove one/],
  ["mysql.auth.username=root", /choose another name/],
  ["redis.enabled=false", /set redis\.external\.nodes/],
  ["redis.external.nodes={r:6379}", /set redis\.enabled=false/],
  ["redis.enabled=false,redis.external.nodes={r:6379}", /no password for the Redis user lock at r:6379/],
  ["redis.auth.existingSecret=s,redis.auth.passwords.lock=p", /remove one/],
  ["redis.auth.passwords.nobody=p", /no such user in files\/users\.acl, only lock/],
  ["redis.instances=2", /use an odd number/],
  ["prometheus.enabled=false", /set prometheus\.external\.url/],
  ["prometheus.external.url=http://p:9090", /set prometheus\.enabled=false/],
  ["prometheus.enabled=false,prometheus.external.url=http://p:9090", /set networkPolicy\.allowFrom\.metrics/],
  ["metrics.podMonitor.enabled=true", /set networkPolicy\.allowFrom\.metrics/],
  ["grafana.existingSecret=s,grafana.adminPassword=p", /remove one/],
  ["worker.extraEnv[0].name=A,worker.extraEnv[1].name=A", /worker\.extraEnv names A twice/],
];

for (const helm of bothHelms()) {
  for (const [sets, message] of [...REFUSED, ...IMPOSSIBLE]) {
    test(`Helm ${helm.major} refuses ${sets}`, () => {
      assert.throws(() => template(helm, "--set", sets), { message });
    });
  }

  test(`Helm ${helm.major} accepts values for subcharts and parents under global`, () => {
    template(helm, "--set", "global.somebodyElse.setting=1");
  });
}

/** Returns the paths of all objects and leaves of the schema. Throws if an object allows unknown keys. */
function keysOfSchema(schema: Any, prefix = ""): string[] {
  return Object.entries<Any>(schema.properties).flatMap(([key, property]) => {
    const path = `${prefix}${key}`;
    if (Object.keys(property.properties ?? {}).length === 0) return [path];
    if (path !== "global") assert.equal(property.additionalProperties, false, `${path} allows unknown keys`);
    // values.yaml documents the requests and limits of Kubernetes as a whole, not one by one.
    return path.endsWith(".resources") ? [path] : [path, ...keysOfSchema(property, `${path}.`)];
  });
}

const pathsUpTo = ({ path }: { path: string }, place: number, all: readonly { path: string }[]): string[] => {
  const known = new Set(all.slice(0, place).flatMap((doc) => prefixes(doc.path)));
  return prefixes(path).filter((prefix) => !known.has(prefix));
};

const prefixes = (path: string) => path.split(".").map((_, depth, parts) => parts.slice(0, depth + 1).join("."));
