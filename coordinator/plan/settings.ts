/** The options of a scenario: checked one by one, against each other and against what the scenario needs. */
import * as z from "zod";
import { rowsMin } from "../../worker/contract.ts";
import { ConfigError } from "../errors.ts";
import { CommonOptions, kebabCase, parse, type RunSettings, toSettings } from "./options.ts";
import { SCENARIO_NAMES, SCENARIOS, type Scenario, type ScenarioName } from "./scenarios/index.ts";

export const RunOptions = z.strictObject({
  scenario: z.enum(SCENARIO_NAMES).default("compare").describe("which runs to make"),
  ...CommonOptions.shape,
  verbose: z
    .boolean()
    .default(false)
    .describe("print the whole report: all tables, each refused command, every count, the environment"),
});
export type RunOptions = z.infer<typeof RunOptions>;

/** The options of a scenario with durations in milliseconds. */
export interface ScenarioSettings extends RunSettings {
  readonly scenario: ScenarioName;
}

/** `given`: what the user set; the scenario's defaults stand in for the rest. Throws ConfigError. */
export function readRunOptions(given: Record<string, unknown>): { options: RunOptions; settings: ScenarioSettings } {
  if (Array.isArray(given.lock) && given.lock.length === 0)
    throw new ConfigError("--lock is empty: write name=command");
  const { scenario } = parse(RunOptions.pick({ scenario: true }).loose(), given, "options");
  const options = parse(RunOptions, { ...SCENARIOS[scenario].defaults, ...given }, "options");
  const { verbose: _, ...common } = options;
  const settings = { ...toSettings(common), scenario };
  const mistake = mistakeIn(options, settings, given);
  if (mistake !== undefined) throw new ConfigError(mistake);
  return { options, settings };
}

export const isDefault = (option: keyof RunOptions, value: unknown) =>
  JSON.stringify(value) === JSON.stringify(RunOptions.shape[option].parse(undefined));

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** The first mistake in options that are each well-formed, in one line. */
function mistakeIn(
  options: RunOptions,
  settings: ScenarioSettings,
  given: Record<string, unknown>,
): string | undefined {
  const { duration, hold, lockTtl, rows, scenario, workers } = options;
  const { strategies } = settings;
  const { unused, workersMin, breaksLocks, raisesRows, mistake }: Scenario = SCENARIOS[scenario];
  if (settings.durationMs < 500) return `--duration ${duration} is too short to show anything: at least 500ms`;
  if (settings.lockTtlMs < 50) return `--lock-ttl ${lockTtl} may be shorter than a round trip: at least 50ms`;
  const foreign = scenario === "faults" || scenario === "soak" ? [] : (["faults"] as const);
  const idle = [...unused, ...foreign].filter(
    (option) => given[option] !== undefined && !isDefault(option, given[option]),
  );
  if (idle.length > 0)
    return `scenario "${scenario}" does not use ${idle.map((option) => `--${kebabCase(option)}`).join(", ")}: leave it out`;
  if (workers < workersMin) return `scenario "${scenario}" needs at least ${workersMin} workers, not ${workers}`;
  const own = mistake?.(settings);
  if (own !== undefined) return own;
  const narrow = strategies.find((strategy) => rowsMin(strategy) > rows);
  if (narrow !== undefined && !raisesRows)
    return `strategy "${narrow}" needs at least ${rowsMin(narrow)} rows, not ${rows}: raise --rows`;
  if (!settings.extend && settings.lockTtlMs <= settings.holdMs && !breaksLocks)
    return `--lock-ttl ${lockTtl} is not longer than --hold ${hold} and locks are not extended, so every lock would expire before its holder has finished: raise --lock-ttl or leave --extend on`;
  return undefined;
}
