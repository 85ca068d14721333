/** Scheduled runs: the CronJob, and what its alerts say of series such as those of the coordinator and kube-state-metrics. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { KubernetesSettings } from "../../coordinator/platform/kubernetes/settings.ts";
import { bothHelms } from "./helm.ts";
import { type Any, objectsOf, podTemplates, template } from "./objects.ts";

const VALUES = ["--values", "helm/ci/podmonitor-values.yaml"];

for (const helm of bothHelms()) {
  const objects = objectsOf(template(helm, ...VALUES));
  const find = (kind: string, name: string, all = objects): Any =>
    all.find((object) => object.kind === kind && object.metadata.name === name);

  test(`Helm ${helm.major}: the Jobs of the schedule are like the coordinator's, but for the history`, () => {
    const job = find("Job", "coordinator").spec;
    const { schedule, timeZone, concurrencyPolicy, jobTemplate } = find("CronJob", "demo-holdfast-schedule").spec;
    assert.deepEqual([schedule, timeZone, concurrencyPolicy], ["30 3 * * MON-FRI", "Europe/Berlin", "Forbid"]);
    const { env } = jobTemplate.spec.template.spec.containers[0];
    assert.equal(KubernetesSettings.parse(filledIn(env)).HOLDFAST_HISTORY_LIMIT, 5);
    assert.deepEqual(env.pop(), { name: "HOLDFAST_HISTORY_LIMIT", value: "5" });
    assert.deepEqual(jobTemplate.spec, job);
    assert.equal(
      KubernetesSettings.parse(filledIn(job.template.spec.containers[0].env)).HOLDFAST_HISTORY_LIMIT,
      undefined,
    );
    assert.equal(jobTemplate.metadata.labels["app.kubernetes.io/component"], "coordinator", "by which Jobs are listed");
  });

  test(`Helm ${helm.major}: without a schedule there is no CronJob, and no alert on one`, () => {
    const others = objectsOf(template(helm, ...VALUES, "--set", "schedule=,timeZone="));
    assert.equal(others.filter(({ kind }) => kind === "CronJob").length, 0);
    assert.equal(podTemplates(objects).length, podTemplates(others).length + 1);
    const rules = find("PrometheusRule", "demo-holdfast", others).spec.groups[0].rules;
    assert.deepEqual(
      rules.map(({ alert }: Any) => alert),
      ["HoldfastNotAsExpected", "HoldfastUnknown"],
    );
  });

  test(`Helm ${helm.major}: no PrometheusRule where the operator's API is missing, or has only PodMonitors`, () => {
    const bare = helm.run("template", "demo", "helm", ...VALUES);
    const old = helm.run("template", "demo", "helm", ...VALUES, "--api-versions", "monitoring.coreos.com/v1");
    for (const yaml of [bare, old]) assert.doesNotMatch(yaml, /kind: PrometheusRule/);
  });
}

const OURS = `job="lab/demo-holdfast",run="r-1",strategy="redis"`;
const CRON = `namespace="lab",cronjob="demo-holdfast-schedule"`;
/** kube-state-metrics, one sample a minute: a run was scheduled at minute 1 and the next one is due at minute 120. */
const cronJob = (active: string, succeeded?: string) => ({
  [`kube_cronjob_status_last_schedule_time{${CRON}}`]: "_ 60x400",
  [`kube_cronjob_next_schedule_time{${CRON}}`]: "_ 7200x400",
  [`kube_cronjob_status_active{${CRON}}`]: active,
  ...(succeeded === undefined ? {} : { [`kube_cronjob_status_last_successful_time{${CRON}}`]: succeeded }),
});

const CASES: readonly (readonly [name: string, series: Record<string, string>, minute: number, alerts: string[]])[] = [
  ["a verdict as expected", { [`holdfast_agreement{${OURS}}`]: "1x5" }, 5, []],
  ["a mismatch", { [`holdfast_agreement{${OURS}}`]: "0x1 stale" }, 45, ["HoldfastNotAsExpected"]],
  ["a mismatch of long ago", { [`holdfast_agreement{${OURS}}`]: "0x1 stale" }, 70, []],
  ["an unknown verdict", { [`holdfast_agreement{${OURS}}`]: "-1x5" }, 5, ["HoldfastUnknown"]],
  ["another release", { 'holdfast_agreement{job="lab/other",run="r-1",strategy="redis"}': "0x5" }, 5, []],
  ["a run that is going on", cronJob("_ 1x400"), 60, []],
  ["a run that succeeded", cronJob("_ 1x9 0x400", "_x11 600x400"), 60, []],
  ["the first run failed", cronJob("_ 1x9 0x400"), 60, ["HoldfastScheduledRunFailed"]],
  ["a later run failed", cronJob("_ 1x9 0x400", "30x400"), 60, ["HoldfastScheduledRunFailed"]],
  ["a run that does not end", cronJob("_ 1x400"), 140, ["HoldfastScheduledRunUnfinished"]],
  ["a run that does not begin", cronJob("_ 1x9 0x400", "_x11 600x400"), 200, ["HoldfastScheduledRunMissing"]],
];

test("promtool: each alert fires when it should, and for nothing else", () => {
  const [rule] = objectsOf(template(bothHelms()[0]!, ...VALUES)).filter(({ kind }) => kind === "PrometheusRule");
  const alerts: string[] = rule.spec.groups[0].rules.map(({ alert }: Any) => alert);
  assert.deepEqual(
    alerts.filter((alert) => !CASES.some(([, , , fired]) => fired.includes(alert))),
    [],
    "untested",
  );
  const folder = mkdtempSync(join(tmpdir(), "holdfast-alerts-"));
  try {
    const write = (name: string, content: object) => writeFileSync(join(folder, name), JSON.stringify(content));
    write("rules.yml", { groups: rule.spec.groups });
    const promtool = (...args: string[]) =>
      execFileSync("promtool", args, { cwd: folder, encoding: "utf8", stdio: "pipe" });
    promtool("check", "rules", "--lint-fatal", "rules.yml");
    const tests = CASES.map(([name, series, minute, fired]) => ({
      name,
      interval: "1m",
      input_series: Object.entries(series).map(([one, values]) => ({ series: one, values })),
      promql_expr_test: alerts.map((alert) => ({
        expr: `count(ALERTS{alertname="${alert}",alertstate="firing"}) or vector(0)`,
        eval_time: `${minute}m`,
        exp_samples: [{ value: fired.includes(alert) ? 1 : 0 }],
      })),
    }));
    write("tests.yml", { rule_files: ["rules.yml"], evaluation_interval: "1m", tests });
    promtool("test", "rules", "tests.yml");
    // A rule that fires for everything must not pass.
    const planted = rule.spec.groups[0].rules.map((one: Any) => ({ ...one, expr: one.expr.replace("== 0", ">= 0") }));
    write("rules.yml", { groups: [{ name: "planted", rules: planted }] });
    assert.throws(() => promtool("test", "rules", "tests.yml"), /HoldfastNotAsExpected/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** The environment; values that Kubernetes fills in become placeholders. */
const filledIn = (env: readonly Any[]) =>
  Object.fromEntries(env.map(({ name, value }) => [name, value ?? `filled in: ${name}`]));
