import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parse } from "yaml";
import { withChartValues } from "../../../coordinator/platform/kubernetes/chart-values.ts";
import { LOCK_SERVICE_VARIABLES } from "../../../worker/servers/lock-services.ts";
import { VARIABLE_NAMES } from "../../../worker/servers/variables.ts";

const CHART = parse(readFileSync(new URL("../../../helm/values.yaml", import.meta.url), "utf8"));
const BEHIND = / \(in the values of the chart: ([^)]+)\)$/;

test("each variable of a server leads to values that the chart has", () => {
  // The chart has no lock services beside Redis.
  const names = VARIABLE_NAMES.filter((name) => !name.startsWith("NODE_") && !(name in LOCK_SERVICE_VARIABLES));
  for (const variable of names) {
    const [, values = ""] = BEHIND.exec(withChartValues(`x: wrong; correct ${variable}`)) ?? [];
    assert.notEqual(values, "", variable);
    for (const value of values.split(", "))
      assert.notEqual(
        value.split(".").reduce((at, key) => at?.[key], CHART),
        undefined,
        `${variable}: ${value}`,
      );
  }
});

test("options lead to their values, each value stands there once, and other messages stay as they are", () => {
  assert.equal(
    withChartValues("--lock-ttl 100ms is shorter than --hold 200ms; raise --lock-ttl"),
    "--lock-ttl 100ms is shorter than --hold 200ms; raise --lock-ttl (in the values of the chart: hold, lockTtl)",
  );
  assert.equal(
    withChartValues("MySQL at db: no; set MYSQL_TLS or MYSQL_TLS_CA"),
    "MySQL at db: no; set MYSQL_TLS or MYSQL_TLS_CA (in the values of the chart: mysql.external.tls)",
  );
  for (const message of ["Kubernetes: refused; check the Role", "MYSQL: no"])
    assert.equal(withChartValues(message), message);
});
