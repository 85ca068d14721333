/** Runs every query of the dashboard on the Prometheus that scraped a run. */
import assert from "node:assert/strict";
import type { Report } from "../../../coordinator/judge/report-data.ts";
import { dashboard, dashboardQueries, substitute } from "../../support/dashboard.ts";
import { prometheusOf, type Series } from "./prometheus.ts";
import { scenario } from "./scenario.ts";
import type { Site } from "./site.ts";

export function dashboardTests(of: () => { readonly site: Site; readonly report: Report }): void {
  scenario(
    "has data for every panel, annotation and list of its dashboard",
    () => [of().site],
    async () => {
      const { site, report } = of();
      await using prometheus = await prometheusOf(site);
      const start = Date.parse(report.startedAt) / 1_000;
      const end = Date.now() / 1_000;
      const variables = { report: report.report, rateInterval: "5s", range: `${Math.ceil(end - start)}s` };
      const ask = async (expr: string, instant: boolean) =>
        numbers(instant ? await prometheus.now(expr) : await prometheus.range(expr, start, end));

      const panels = new Map<string, number>();
      for (const { panel, instant, expr } of dashboardQueries(variables))
        panels.set(panel, (panels.get(panel) ?? 0) + (await ask(expr, instant)).length);
      const dead = [...panels].flatMap(([panel, samples]) => (samples === 0 ? [panel] : []));
      assert.deepEqual(dead, [], "panels without data");
      assert.ok(panels.size > 10, `${panels.size} panels`);

      for (const { name, expr } of dashboard.annotations.list)
        if (expr !== undefined) assert.notEqual((await ask(substitute(expr, variables), false)).length, 0, name);
      const definition = dashboard.templating.list.find(({ name }) => name === "report")!.definition!;
      const reports = await prometheus.now(
        substitute(definition.replace(/^query_result\((.*)\)$/, "$1"), { ...variables, report: "" }),
      );
      assert.deepEqual(
        reports.map(({ metric }) => metric.report),
        [report.report],
      );

      const only = (title: string) => dashboardQueries(variables).find(({ panel }) => panel === title)!.expr;
      assert.deepEqual(await ask(only("Against theory"), true), [1]);
      assert.deepEqual(await ask(only("Largest difference between the counts"), true), [0]);
    },
  );
}

/** A panel cannot show NaN. */
const numbers = (series: readonly Series[]) =>
  series
    .flatMap(({ value, values }) => (value === undefined ? (values ?? []) : [value]))
    .map(([, text]) => Number(text))
    .filter((number) => !Number.isNaN(number));
