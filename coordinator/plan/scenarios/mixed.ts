import type { StrategyName } from "../../../worker/contract.ts";
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
export function mixed({ strategies, workers, guard, pauseMs }: RunSettings): Draft[] {
  const mixes = strategies.length > 0 ? [strategies] : PAIRS;
  const runs = mixes.map((mix): Draft => {
    const run = { strategy: mix[0]!, mix };
    const holds = theoryOf({ ...run, workers, guard }).data === "holds";
    return holds ? { ...run, pauseMs: Math.max(pauseMs, ROOM_MS) } : run;
  });
  const shown = runs.some((run) => theoryOf({ ...run, workers, guard }).data === "violated");
  return shown ? runs : [draftOf("none"), ...runs];
}

/** Who only tries starves beside those who wait in line for the row, unless they leave it alone for a while. */
const ROOM_MS = 20;
