import { COMPARED, type Scenario, unproven } from "./draft.ts";

/** Interval of the fixed rate where `--pause` sets none: long enough that a strategy is seldom waited for. */
const INTERVAL_MS = 100;

/** Each strategy at a fixed rate (every `--pause`, or 100 ms), then each as fast as it can. */
export const benchmark: Scenario = {
  summary: "each strategy at a fixed rate and as fast as it can: times, percentiles, errors",
  strategies: COMPARED,
  defaults: { duration: "3s" },
  unused: [],
  workersMin: 1,
  breaksLocks: false,
  raisesRows: false,
  drafts({ pauseMs }, strategies) {
    const intervalMs = pauseMs > 0 ? pauseMs : INTERVAL_MS;
    return [
      ...strategies.map((strategy) => ({
        strategy,
        intervalMs,
        pauseMs: 0,
        expects: unproven(strategy, PACED),
      })),
      ...strategies.map((strategy) => ({ strategy, pauseMs: 0 })),
    ];
  },
};

const PACED = "at a fixed rate operations may avoid each other by chance; as fast as they can, they do not";
