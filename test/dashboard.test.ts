/** Checks the dashboard without a Grafana: it can be parsed, its metrics exist, and no field is empty. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parser } from "@prometheus-io/lezer-promql";
import { createCoordinatorMetrics } from "../coordinator/runner/metrics.ts";
import { METRICS } from "../worker/contract.ts";
import { dashboard, dashboardQueries, substitute } from "./support/dashboard.ts";

// biome-ignore lint/suspicious/noTemplateCurlyInString: the variable is Grafana's.
const DATASOURCE = "${datasource}";
const HISTOGRAMS: readonly string[] = [METRICS.operationSeconds.name, METRICS.lockWaitSeconds.name];
const known = new Set([
  // prom-client's default metrics are in the coordinator's registry as well as in a worker's.
  ...createCoordinatorMetrics("test")
    .registry.getMetricsAsArray()
    .map(({ name }) => name),
  ...Object.values(METRICS).flatMap(({ name }) =>
    HISTOGRAMS.includes(name) ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
  ),
]);
const isCounter = (metric: string) => /_(total|bucket|sum|count)$/.test(metric);

const raw = [
  ...dashboard.panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr, refId }) => ({ at: `${title} ${refId}`, expr })),
  ),
  ...dashboard.annotations.list.flatMap(({ name, expr }) =>
    expr === undefined ? [] : [{ at: `annotation ${name}`, expr }],
  ),
];

for (const { at, expr } of raw) {
  test(`query of ${at}`, () => {
    const selectors = selectorsOf(expr);
    assert.notEqual(selectors.length, 0, "selects nothing");
    for (const { metric, inside, range } of selectors) {
      assert.ok(known.has(metric), `nobody exports ${metric}`);
      if (isCounter(metric)) {
        assert.ok(inside === "rate" || inside === "increase", `the counter ${metric} stands outside rate and increase`);
        assert.equal(range, "[$__rate_interval]", `the range of ${metric}`);
      }
    }
    assert.match(expr, /report=~"\$report"/, "not confined to the report");
  });
}

test("a syntax error, an unknown metric and a bare counter would be found", () => {
  assert.throws(() => selectorsOf("sum by (x (up)"), /syntax error/);
  assert.equal(known.has("holdfast_operation_total"), false);
  assert.deepEqual(selectorsOf("sum(a_total) / max(rate(b_total[$__rate_interval]))"), [
    { metric: "a_total", inside: undefined, range: undefined },
    { metric: "b_total", inside: "rate", range: "[$__rate_interval]" },
  ]);
});

test("every panel says what it shows, in which unit and from where", () => {
  for (const panel of dashboard.panels.filter(({ type }) => type !== "row")) {
    assert.ok(panel.title, `panel ${panel.id} has a title`);
    assert.match(panel.description ?? "", /^[A-Z].*\.$/, `${panel.title}: description`);
    assert.ok(panel.fieldConfig?.defaults.unit, `${panel.title}: unit`);
    assert.ok((panel.targets ?? []).length > 0, `${panel.title}: queries`);
    for (const { datasource } of [panel, ...(panel.targets ?? [])])
      assert.deepEqual(datasource, { type: "prometheus", uid: DATASOURCE }, `${panel.title}: data source`);
    const refIds = (panel.targets ?? []).map(({ refId }) => refId);
    assert.equal(new Set(refIds).size, refIds.length, `${panel.title}: refIds`);
  }
});

test("panels have ids of their own and do not overlap", () => {
  const { panels } = dashboard;
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  assert.equal(new Set(panels.map(({ title }) => title)).size, panels.length);
  const cells = new Map<string, string>();
  for (const { title, gridPos } of panels) {
    assert.ok(gridPos.x >= 0 && gridPos.x + gridPos.w <= 24, `${title} is outside the grid`);
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1)
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
        const other = cells.get(`${x},${y}`);
        assert.equal(other, undefined, `${title} lies over ${other}`);
        cells.set(`${x},${y}`, title);
      }
  }
});

test("the dashboard is read-only, has a stable uid and variables that follow the time range", () => {
  assert.equal(dashboard.uid, "holdfast");
  assert.equal(dashboard.editable, false);
  const variables = dashboard.templating.list;
  assert.deepEqual(
    variables.map(({ name }) => name),
    ["datasource", "report", "run", "strategy", "step"],
  );
  for (const { name, refresh } of variables.slice(1, 4)) assert.equal(refresh, 2, name);
  for (const { definition } of variables)
    for (const metric of definition?.match(/\b(holdfast|process)_\w+/g) ?? []) assert.ok(known.has(metric), metric);
});

test("queries come with their variables filled in", () => {
  const queries = dashboardQueries({ report: "r1", strategy: "none|redis" });
  assert.equal(queries.length, raw.length - dashboard.annotations.list.filter(({ expr }) => expr !== undefined).length);
  for (const { expr } of queries) assert.doesNotMatch(expr, /\$/);
  assert.equal(
    substitute('x{report=~"$report", run=~"$run"}[$__range]', { report: "r1" }),
    'x{report=~"r1", run=~".+"}[15m]',
  );
  assert.throws(() => substitute("x[$__rate]", { report: "r1" }), /no variable \$__rate/);
});

interface Selector {
  readonly metric: string;
  /** The function whose argument the selector is. */
  readonly inside: string | undefined;
  readonly range: string | undefined;
}

/** Throws on a syntax error. */
function selectorsOf(expr: string): Selector[] {
  // Grafana's variables are not PromQL. These have the same length, so positions are the same in both texts.
  const parsed = expr.replace(/\[\$(\w+)\]/g, (_, name: string) => `[${"1".repeat(name.length)}s]`);
  const text = (node: { from: number; to: number } | null | undefined) => node && expr.slice(node.from, node.to);
  const selectors: Selector[] = [];
  parser.parse(parsed).iterate({
    enter({ type, node, from }) {
      if (type.isError) throw new Error(`syntax error at ${from}: ${expr.slice(0, from)}<here>${expr.slice(from)}`);
      if (type.name !== "VectorSelector") return;
      const matrix = node.parent?.name === "MatrixSelector" ? node.parent : null;
      const call = (matrix ?? node).parent?.parent;
      selectors.push({
        metric: text(node.getChild("Identifier")) ?? "",
        inside: call?.name === "FunctionCall" ? (text(call.getChild("FunctionIdentifier")) ?? undefined) : undefined,
        range: matrix ? expr.slice(node.to, matrix.to) : undefined,
      });
    },
  });
  return selectors;
}
