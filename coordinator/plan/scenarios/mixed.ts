import type { StrategyName } from "../../../worker/contract.ts";
import { theoryOf } from "../theory.ts";
import { type Draft, draftOf, type Scenario } from "./draft.ts";

const PAIRS: readonly (readonly [StrategyName, StrategyName])[] = [
  ["redis", "none"],
  ["redis", "row-lock"],
  ["version", "none"],
  ["version", "row-lock"],
];

/** The pairs that teach most, or all strategies that the user names in one run, with a control where those hold together. */
export const mixed: Scenario = {
  summary: "several strategies at once on one row: which of them protects the others",
  strategies: [],
  defaults: {},
  unused: ["lock"],
  workersMin: 2,
  breaksLocks: false,
  raisesRows: false,
  mistake: ({ strategies, workers }) =>
    strategies.length > 0 && (new Set(strategies).size < 2 || strategies.length > workers)
      ? `scenario "mixed" needs at least two different strategies and a worker for each, not ${workers} workers for ${strategies.join(",")}`
      : undefined,
  drafts({ strategies, workers, guard, pauseMs }) {
    const mixes = strategies.length > 0 ? [strategies] : PAIRS;
    const runs = mixes.map((mix): Draft => {
      const run = { strategy: mix[0]!, mix };
      const holds = theoryOf({ ...run, workers, guard }).data === "holds";
      return holds ? { ...run, pauseMs: Math.max(pauseMs, PAUSE_MS_MIN) } : run;
    });
    const shown = runs.some((run) => theoryOf({ ...run, workers, guard }).data === "violated");
    return shown ? runs : [draftOf("none"), ...runs];
  },
};

/** A strategy that only retries starves next to one that queues for the row, unless the queueing one pauses. */
const PAUSE_MS_MIN = 20;
