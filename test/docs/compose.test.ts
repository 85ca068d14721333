/** compose.yaml has the images of the chart, files that exist, and variables that something reads. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { readInvocation } from "../../coordinator/config.ts";
import { VARIABLE_NAMES } from "../../worker/servers/variables.ts";

const ROOT = join(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");
const { services } = parse(read("compose.yaml"), { merge: true });

test("the servers are those of the chart", () => {
  const { annotations } = parse(read("helm/Chart.yaml"));
  const images = new Map<string, string>(
    parse(annotations["artifacthub.io/images"]).map((each: { name: string; image: string }) => [each.name, each.image]),
  );
  for (const name of ["mysql", "redis", "prometheus"]) assert.equal(services[name].image, images.get(name), name);
});

test("every file that is mounted exists", () => {
  const files = ["mysql", "redis", "prometheus"].flatMap((name): string[] => services[name].volumes);
  assert.ok(files.length >= 5);
  for (const file of files) assert.ok(existsSync(join(ROOT, file.split(":")[0]!)), file);
});

test("the coordinator accepts its variables, and each is one that it knows", () => {
  const { environment } = services.holdfast;
  const known = [...VARIABLE_NAMES, "HOLDFAST_LISTEN"];
  assert.deepEqual(
    Object.keys(environment).filter((name) => !known.includes(name)),
    [],
  );
  readInvocation([], environment, "0");
});
