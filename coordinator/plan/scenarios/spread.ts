import type { StrategyName } from "../../../worker/contract.ts";
import type { RunSettings } from "../options.ts";
import { type Draft, isGuarding, isKeyed, stepsTo, unproven } from "./draft.ts";

const ROWS = [1, 2, 10, 100];

/** Each strategy on more and more rows; those with a key also with one key for all. Controls on one row only. */
export function spread({ rows, workers, concurrency }: RunSettings, strategies: readonly StrategyName[]): Draft[] {
  const steps = stepsTo(rows, ROWS);
  return strategies.flatMap((strategy): Draft[] => {
    const farApart = { expects: unproven(strategy, FAR_APART) };
    const apart = (step: number) => (step > workers * concurrency * WIDE ? farApart : {});
    if (!isGuarding(strategy)) return [{ strategy, rows: 1 }];
    const each = steps.map((step) => ({ strategy, rows: step, keyScope: "row" as const, ...apart(step) }));
    if (!isKeyed(strategy)) return each;
    const all = steps
      .filter((step) => step > 1)
      .map((step) => ({ strategy, rows: step, keyScope: "global" as const, ...apart(step) }));
    return [...each, ...all];
  });
}

/** With so many rows for each loop, two operations hardly ever meet on one. */
const WIDE = 10;
const FAR_APART = "on so many rows operations hardly meet; that they are kept apart is shown on fewer";
