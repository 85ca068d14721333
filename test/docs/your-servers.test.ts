/** docs/your-servers.md names every variable that says how a server is reached, and no other. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { VARIABLE_NAMES } from "../../worker/servers/variables.ts";

const page = readFileSync(join(import.meta.dirname, "../../docs/your-servers.md"), "utf8");
/** Read by config.ts. */
const OTHERS = ["HOLDFAST_LISTEN", "HOLDFAST_TOKEN"];

/** What the page says once for all secrets, and once for the TLS of all servers. */
const explainedAs = (name: string) =>
  name.replace(/_(FILE|COMMAND)$/, "").replace(/^(REDIS|PROMETHEUS|ZOOKEEPER|CONSUL|ETCD)_TLS/, "MYSQL_TLS");

test("every variable is explained", () => {
  assert.ok(VARIABLE_NAMES.length > 30);
  const missing = VARIABLE_NAMES.filter((name) => !page.includes(explainedAs(name)));
  assert.deepEqual(missing, []);
});

test("every name on the page exists", () => {
  const names = new Set(
    [...page.matchAll(/\b(?:MYSQL|REDIS|PROMETHEUS|ZOOKEEPER|CONSUL|ETCD|HOLDFAST)_[A-Z_]+\b/g)].map(([name]) => name),
  );
  const known = new Set([...VARIABLE_NAMES, ...OTHERS]);
  assert.ok(names.size > 15);
  assert.deepEqual(
    [...names].filter((name) => !known.has(name)),
    [],
  );
});
