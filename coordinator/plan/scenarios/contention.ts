import { type Draft, type Scenario, stepsTo, unproven } from "./draft.ts";

const WORKERS = [1, 2, 4, 8, 16, 32];
const LONGER = 5;

/** Workers from 1 to `--workers`, with the user's hold time and with one that is five times as long. */
export const contention: Scenario = {
  summary: "more and more workers, up to --workers, and a longer hold: the cost of waiting and of retrying",
  strategies: ["none", "redis", "row-lock", "version"],
  defaults: { workers: 8, duration: "2s" },
  unused: ["pause"],
  workersMin: 2,
  breaksLocks: false,
  raisesRows: false,
  drafts({ workers, concurrency, holdMs }, strategies) {
    const holds = holdMs > 0 ? [holdMs, holdMs * LONGER] : [0, 2];
    return holds.flatMap((hold) =>
      strategies.flatMap((strategy) =>
        stepsTo(workers, WORKERS).map((step): Draft => {
          const draft = { strategy, workers: step, holdMs: hold };
          return step * concurrency === 1 ? { ...draft, expects: unproven(strategy, ALONE) } : draft;
        }),
      ),
    );
  },
};

const ALONE = "a single writer has no contention; it is the first point of the curve";
