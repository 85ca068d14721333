import type { StrategyName } from "../../../worker/contract.ts";
import type { RunSettings } from "../options.ts";
import { type Draft, unproven } from "./draft.ts";

/** A beat of 100 ms leaves an idle strategy alone with its own time; without pauses it shows what it can bear. */
const BEAT_MS = 100;

/** Each strategy at a fixed rate (every `pause`, or 100 ms), then each as fast as it can. */
export function benchmark({ pauseMs }: RunSettings, strategies: readonly StrategyName[]): Draft[] {
  const intervalMs = pauseMs > 0 ? pauseMs : BEAT_MS;
  const because = "at a fixed rate operations may miss each other by chance; as fast as they can, they do not";
  return [
    ...strategies.map((strategy) => ({
      ...{ strategy, intervalMs, pauseMs: 0 },
      expects: unproven(strategy, because),
    })),
    ...strategies.map((strategy) => ({ strategy, pauseMs: 0 })),
  ];
}
