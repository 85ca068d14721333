/** Whether two reports can be compared, and how else they differ. Pure. */
import type { Guard } from "../../worker/contract.ts";
import { labelsOf, nameOfStrategy } from "../plan/run-names.ts";
import type { PlanSettings } from "../plan/run-plan.ts";
import { duration, list, plural, quoted } from "../text/format.ts";
import { eachRepeat, settingsOf } from "./repeats.ts";
import type { Report, RunReport } from "./report-data.ts";

/** The runs of both reports, each with its repeats as one. */
interface Runs {
  readonly base: readonly RunReport[];
  readonly new: readonly RunReport[];
}

/**
 * Why two reports cannot be compared: another scenario, another platform, another setting of the runs, or a run that only
 * the base has. A run that the new report lists as skipped is no reason: it is a verdict that is missing.
 */
export function findRefusals(base: Report, next: Report, runs: Runs): string[] {
  const wholes = [
    ...differing("scenario", base.scenario, next.scenario),
    ...differing("platform", platformOf(base), platformOf(next)),
  ];
  if (wholes.length > 0) return wholes;
  const settings = (Object.keys(SETTINGS) as SettingName[]).flatMap((setting) => compareSetting(setting, runs));
  if (settings.length > 0) return settings;
  const names = labelsOf(runs.base);
  const known = new Set(runs.new.map(settingsOf));
  const gone = runs.base
    .filter((run) => !known.has(settingsOf(run)))
    .map((run) => names.get(run) ?? run.strategy)
    .filter(
      (name) => !next.skipped.some(({ strategy }) => strategy === name || strategy.startsWith(`${name}, repeat `)),
    );
  return gone.map((name) => `${quoted(name)} ran only for the base report`);
}

/** What may explain a change, and does not prevent a comparison: versions, settings of servers, the number of repeats. */
export function listDifferences(base: Report, next: Report, runs: Runs): string[] {
  const keys = [...new Set([...Object.keys(base.environment), ...Object.keys(next.environment)])];
  const known = new Set(runs.base.map(settingsOf));
  const names = labelsOf(runs.new);
  const added = runs.new
    .filter((run) => !known.has(settingsOf(run)))
    .map((run) => quoted(names.get(run) ?? run.strategy));
  return [
    ...differing("version of Holdfast", base.version, next.version),
    ...keys.flatMap((key) => differing(key, base.environment[key], next.environment[key])),
    ...differing("where", base.where, next.where),
    ...differing("nodes", nodesOf(base), nodesOf(next)),
    ...differing("repeats of each run", repeatsIn(runs.base), repeatsIn(runs.new)),
    ...(added.length > 0
      ? [`${list(added)} ran only for the new report and ${added.length > 1 ? "are" : "is"} not compared`]
      : []),
    ...(base.verdict.value === "expected"
      ? []
      : [`the base report was not as expected: ${plural(base.verdict.reasons.length, "reason")}`]),
  ];
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

type SettingName = Exclude<keyof PlanSettings, "seed"> | "guard";

/** Everything that a run is made of, apart from its seed. */
const SETTINGS: Readonly<Record<SettingName, string>> = {
  workers: "workers",
  concurrency: "loops per worker",
  rows: "rows",
  durationMs: "duration",
  holdMs: "hold",
  pauseMs: "pause",
  intervalMs: "interval",
  guard: "guard",
  keyScope: "key scope",
  lockTtlMs: "TTL of locks",
  extend: "extension of locks",
  lockTimeoutMs: "lock timeout",
  fault: "fault",
  soak: "random faults",
  serverFaults: "faults of the servers",
  pair: "rules of row-pair",
  mysqlServers: "servers of the MySQL cluster",
};

/** Compares the values of a setting in the runs of strategies that both reports have. */
function compareSetting(setting: SettingName, runs: Runs): string[] {
  const strategyOf = (run: RunReport) => run.mix?.join() ?? nameOfStrategy(run);
  const strategies = [runs.base, runs.new].map((some) => new Set(some.map(strategyOf)));
  const valuesIn = (some: readonly RunReport[]) => {
    const shared = some.filter((run) => strategies.every((set) => set.has(strategyOf(run))));
    return list([...new Set(shared.map((run) => settingText(run, setting)))].sort());
  };
  return differing(SETTINGS[setting], valuesIn(runs.base), valuesIn(runs.new));
}

function settingText({ guard, plan }: RunReport, setting: SettingName): string {
  const value: Guard | PlanSettings[Exclude<SettingName, "guard">] = setting === "guard" ? guard : plan[setting];
  if (value === undefined) return "none";
  if (typeof value === "number" && setting.endsWith("Ms")) return duration(value);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

export const platformOf = ({ where }: Report) => (where.startsWith("Kubernetes") ? "Kubernetes" : "one machine");

const nodesOf = ({ runs }: Report) =>
  String(new Set(runs.flatMap(({ reconciliation }) => reconciliation.map(({ node }) => node))).size);

const repeatsIn = (runs: readonly RunReport[]) => String(Math.max(0, ...runs.map((run) => eachRepeat(run).length)));

const differing = (what: string, base: string | undefined, next: string | undefined) =>
  base === next ? [] : [`${what}: ${base || "none"} in the base report, ${next || "none"} in the new one`];
