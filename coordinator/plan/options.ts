/** The options of a run: what each may be, and what they may be together. */
import ms from "ms";
import * as z from "zod";
import { GUARDS, KEY_SCOPES, leastRowsOf, STRATEGY_NAMES } from "../../worker/contract.ts";
import { ConfigError } from "../errors.ts";
import { SCENARIO_NAMES, SCENARIOS, type ScenarioFacts } from "./scenarios/index.ts";

export const duration = z.string().regex(/^\d+(\.\d+)?(ms|s|m|h)$/, {
  error: ({ input }) => `${JSON.stringify(input)} is not a duration: write 250ms, 5s or 2m`,
});

/** What a user decides of a run, as they write it: flags, HOLDFAST_* variables and the chart's values. */
export const RunOptions = z.strictObject({
  scenario: z.enum(SCENARIO_NAMES).default("compare").describe("which runs to make"),
  strategies: z
    .array(z.enum(STRATEGY_NAMES))
    .default([])
    .describe("strategies to run, in this order; empty: those of the scenario"),
  workers: z.int().min(1).max(500).default(4).describe("workers in the fleet, each a process or a pod of its own"),
  concurrency: z.int().min(1).max(100).default(1).describe("loops in each worker"),
  duration: duration.default("5s").describe("how long the fleet mutates the rows"),
  hold: duration.default("2ms").describe("time inside the critical section, between read and write"),
  pause: duration.default("0ms").describe("time between two operations of a loop"),
  rows: z.int().min(1).max(100_000).default(1).describe("employees to mutate; each operation picks one at random"),
  lockTtl: duration.default("2s").describe("TTL of a lock"),
  extend: z.boolean().default(true).describe("extend a held lock before its TTL ends"),
  lockTimeout: duration.default("10s").describe("how long one operation waits for its lock"),
  keyScope: z.enum(KEY_SCOPES).default("row").describe("what one lock guards: the row of an operation, or all rows"),
  guard: z.enum(GUARDS).default("none").describe("extra condition inside the write of a locked row"),
  seed: z
    .int()
    .min(0)
    .max(2 ** 31 - 1)
    .default(1)
    .describe("seed of the random raises and waits"),
  startDeadline: duration
    .default("60s")
    .describe("how long the fleet may take until all workers are ready and scraped"),
});
export type RunOptions = z.infer<typeof RunOptions>;

/** The same with durations in milliseconds, checked against each other. */
export interface RunSettings
  extends Omit<RunOptions, "duration" | "hold" | "pause" | "lockTtl" | "lockTimeout" | "startDeadline"> {
  readonly durationMs: number;
  readonly holdMs: number;
  readonly pauseMs: number;
  readonly lockTtlMs: number;
  readonly lockTimeoutMs: number;
  readonly startDeadlineMs: number;
}

/** Checks the options one by one, against each other and against the scenario, whose defaults stand in for what is left out. */
export function readRunOptions(given: Record<string, unknown>): { options: RunOptions; settings: RunSettings } {
  const { scenario } = parse(RunOptions.pick({ scenario: true }).loose(), given, "options");
  const facts: ScenarioFacts = SCENARIOS[scenario];
  const options = parse(RunOptions, { ...facts.defaults, ...given }, "options");
  const { duration, hold, pause, lockTtl, lockTimeout, startDeadline, ...rest } = options;
  const settings: RunSettings = {
    ...rest,
    durationMs: toMs(duration),
    holdMs: toMs(hold),
    pauseMs: toMs(pause),
    lockTtlMs: toMs(lockTtl),
    lockTimeoutMs: toMs(lockTimeout),
    startDeadlineMs: toMs(startDeadline),
  };
  const fault = faultOf(options, settings, facts, given);
  if (fault !== undefined) throw new ConfigError(fault);
  return { options, settings };
}

export const isDefault = (option: keyof RunOptions, value: unknown) =>
  JSON.stringify(value) === JSON.stringify(RunOptions.shape[option].parse(undefined));

/** `lockTtl` as the flag `lock-ttl`. */
export const kebabOf = (option: string) => option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

export const toMs = (text: string): number => ms(text as ms.StringValue);

/** Throws ConfigError with all that is wrong, in one line. `what` names whose value it is, `fix` says what to do. */
export function parse<T>(schema: z.ZodType<T>, value: unknown, what: string, fix = "see --help"): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues.map(({ path, message }) =>
    path.length === 0 ? message : `${path.join(".")}: ${message}`,
  );
  throw new ConfigError(`${what}: ${issues.join("; ")}; ${fix}`);
}

/** Like `parse`, for environment variables. An empty variable counts as not set, as a chart or a Makefile passes it. */
export function readVariables<T>(schema: z.ZodType<T>, variables: NodeJS.ProcessEnv, what: string, fix?: string): T {
  const given = Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== ""));
  return parse(schema, given, what, fix);
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** What is wrong with options that are each well-formed, in one line. */
function faultOf(
  options: RunOptions,
  settings: RunSettings,
  { unused, leastWorkers, breaksLocks }: ScenarioFacts,
  given: Record<string, unknown>,
): string | undefined {
  const { duration, hold, lockTtl, rows, scenario, strategies, workers } = options;
  if (settings.durationMs < 500) return `duration ${duration} is too short to show anything: at least 500ms`;
  if (settings.lockTtlMs < 50) return `lock TTL ${lockTtl} is shorter than a round trip may take: at least 50ms`;
  const idle = unused.filter((option) => given[option] !== undefined && !isDefault(option, given[option]));
  if (idle.length > 0)
    return `scenario ${scenario} makes no use of ${idle.map((option) => `--${kebabOf(option)}`).join(", ")}: leave it out`;
  if (workers < leastWorkers) return `scenario ${scenario} needs at least ${leastWorkers} workers, not ${workers}`;
  if (scenario === "mixed" && strategies.length > 0 && (new Set(strategies).size < 2 || strategies.length > workers))
    return `scenario mixed needs at least two different strategies and a worker for each, not ${workers} workers for ${strategies.join(",")}`;
  const narrow = strategies.find((strategy) => leastRowsOf(strategy) > rows);
  if (narrow !== undefined && scenario !== "all")
    return `strategy ${narrow} needs at least ${leastRowsOf(narrow)} rows, not ${rows}: raise rows`;
  if (!settings.extend && settings.lockTtlMs <= settings.holdMs && !breaksLocks)
    return `lock TTL ${lockTtl} is not longer than the hold time ${hold} and locks are not extended: every lock would end before its work; raise lockTtl or leave extend on`;
  return undefined;
}
