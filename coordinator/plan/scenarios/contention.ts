import type { StrategyName } from "../../../worker/contract.ts";
import type { RunSettings } from "../options.ts";
import { type Draft, stepsTo, unproven } from "./draft.ts";

const WORKERS = [1, 2, 4, 8, 16, 32];
const LONGER = 5;
const ALONE = "one writer alone has nobody to contend with; it is where the curve begins";

/** Workers from 1 to `workers`, with the user's hold time and with one that is five times as long. */
export function contention(
  { workers, concurrency, holdMs }: RunSettings,
  strategies: readonly StrategyName[],
): Draft[] {
  const holds = holdMs > 0 ? [holdMs, holdMs * LONGER] : [0, 2];
  return holds.flatMap((hold) =>
    strategies.flatMap((strategy) =>
      stepsTo(workers, WORKERS).map((step): Draft => {
        const draft = { strategy, workers: step, holdMs: hold };
        return step * concurrency === 1 ? { ...draft, expects: unproven(strategy, ALONE) } : draft;
      }),
    ),
  );
}
