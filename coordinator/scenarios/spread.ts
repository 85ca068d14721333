import type { StrategyName } from "../../worker/contract.ts";
import type { RunSettings } from "../options.ts";
import { type Draft, isGuarding, isKeyed, stepsTo } from "./draft.ts";

const ROWS = [1, 2, 10, 100];

/** Each strategy on more and more rows; those with a key also with one key for all. Controls on one row only. */
export function spread({ rows }: RunSettings, strategies: readonly StrategyName[]): Draft[] {
  const steps = stepsTo(rows, ROWS);
  return strategies.flatMap((strategy): Draft[] => {
    if (!isGuarding(strategy)) return [{ strategy, rows: 1 }];
    const each = steps.map((step) => ({ strategy, rows: step, keyScope: "row" as const }));
    if (!isKeyed(strategy)) return each;
    const all = steps.filter((step) => step > 1).map((step) => ({ strategy, rows: step, keyScope: "global" as const }));
    return [...each, ...all];
  });
}
