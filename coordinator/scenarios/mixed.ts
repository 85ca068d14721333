import type { StrategyName } from "../../worker/contract.ts";
import type { RunSettings } from "../options.ts";
import { theoryOf } from "../theory.ts";
import { type Draft, draftOf } from "./draft.ts";

const PAIRS: readonly (readonly [StrategyName, StrategyName])[] = [
  ["redis", "none"],
  ["redis", "row-lock"],
  ["version", "none"],
  ["version", "row-lock"],
];

/** The pairs that teach most, or all that the user names at once, with a control where those hold together. */
export function mixed({ strategies, workers, guard }: RunSettings): Draft[] {
  const mixes = strategies.length > 0 ? [strategies] : PAIRS;
  const runs = mixes.map((mix): Draft => ({ strategy: mix[0]!, mix }));
  const shown = runs.some((run) => theoryOf({ ...run, workers, guard }).data === "violated");
  return shown ? runs : [draftOf("none"), ...runs];
}
