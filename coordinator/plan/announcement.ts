/** What a report will do and how long that takes, in one line, before anything is started. */
import { count, duration, list, plural } from "../text/format.ts";
import { nameOfStrategy } from "./run-names.ts";
import type { PlannedRun, ScenarioName } from "./scenarios/index.ts";

/** Time in addition to the operations, milliseconds, as measured on two cores: before the first run, and in each run. */
const OVERHEAD_MS = {
  local: { start: 10_000, run: 2_000 },
  kubernetes: { start: 15_000, run: 13_000 },
} as const;

export function announce(
  scenario: ScenarioName,
  plans: readonly PlannedRun[],
  platform: keyof typeof OVERHEAD_MS,
): string {
  if (plans.length === 0) return `scenario "${scenario}": no workers, some seconds`;
  const overhead = OVERHEAD_MS[platform];
  const totalMs = plans.reduce((total, { durationMs }) => total + durationMs + overhead.run, overhead.start as number);
  const strategies = [...new Set(plans.flatMap((plan) => plan.mix ?? nameOfStrategy(plan)))].map((name) => `"${name}"`);
  const workers = range(
    plans.map((plan) => plan.workers),
    count,
  );
  const fleets = workers === "1" ? "1 worker" : `${workers} workers`;
  const each = range(
    plans.map((plan) => plan.durationMs),
    duration,
  );
  const runs = `${plural(plans.length, "run")} of ${each} with ${fleets}`;
  return `scenario "${scenario}": ${runs}, about ${aboutTime(totalMs)} in all: ${list(strategies)}`;
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

function range(values: readonly number[], describe: (value: number) => string): string {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return least === most ? describe(least) : `${describe(least)} to ${describe(most)}`;
}

/** Rounded up to 5 s, or to minutes from 2 minutes on. */
const aboutTime = (ms: number) =>
  ms < 120_000 ? `${Math.ceil(ms / 5_000) * 5} s` : plural(Math.ceil(ms / 60_000), "minute");
