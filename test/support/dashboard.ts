/** The dashboard of the chart, and its queries with their variables filled in. */
import { readFileSync } from "node:fs";

export interface Target {
  readonly refId: string;
  readonly expr: string;
  readonly instant?: boolean;
  readonly datasource: unknown;
}

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly datasource?: unknown;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string } };
  readonly targets?: readonly Target[];
}

export interface Dashboard {
  readonly uid: string;
  readonly editable: boolean;
  readonly panels: readonly Panel[];
  readonly annotations: { readonly list: readonly { readonly name: string; readonly expr?: string }[] };
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly refresh: number; readonly definition?: string }[];
  };
}

export const dashboard: Dashboard = JSON.parse(
  readFileSync(new URL("../../helm/files/dashboard.json", import.meta.url), "utf8"),
);

export interface DashboardVariables {
  readonly report: string;
  /** Regular expressions, as Grafana fills in variables with several values; the default is all values. */
  readonly run?: string;
  readonly strategy?: string;
  /** At least four scrape intervals. */
  readonly rateInterval?: string;
  /** Length of the selected time range. */
  readonly range?: string;
}

export interface DashboardQuery {
  readonly panelId: number;
  readonly panel: string;
  readonly refId: string;
  /** Whether the query is for one instant; otherwise it is for the time range. */
  readonly instant: boolean;
  readonly expr: string;
}

/** Every query of every panel. A panel is alive when one of its queries has data; some depend on the server's kind. */
export function dashboardQueries(variables: DashboardVariables): DashboardQuery[] {
  return dashboard.panels.flatMap((panel) =>
    (panel.targets ?? []).map(({ refId, instant = false, expr }) => ({
      panelId: panel.id,
      panel: panel.title,
      refId,
      instant,
      expr: substitute(expr, variables),
    })),
  );
}

/** Throws on a variable that the dashboard does not have. */
export function substitute(expr: string, variables: DashboardVariables): string {
  const { report, run = ".+", strategy = ".+", rateInterval = "15s", range = "15m" } = variables;
  const values: Record<string, string> = { report, run, strategy, __rate_interval: rateInterval, __range: range };
  return expr.replaceAll(/\$\{?(\w+)\}?/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`the dashboard has no variable $${name}: ${expr}`);
    return value;
  });
}
