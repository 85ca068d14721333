import type { RunSettings } from "../options.ts";
import type { Draft } from "./draft.ts";

/** Two rows, always in the same order or in either: nobody waits in a circle, or somebody is turned away. */
export function deadlock(_settings: RunSettings): Draft[] {
  const run = (draft: Partial<Draft>): Draft => ({ strategy: "row-pair", rows: 2, ...draft });
  return [
    run({ pair: { order: "same", onDeadlock: "give-up" } }),
    run({ pair: { order: "opposite", onDeadlock: "give-up" } }),
    run({ pair: { order: "opposite", onDeadlock: "retry" } }),
    run({
      pair: { order: "opposite", onDeadlock: "carry-on" },
      expects: {
        data: "violated",
        exclusion: "unclaimed",
        because: "the deadlock has ended the transaction and its locks, so what follows is written from an old read",
        halfApplied: true,
      },
    }),
  ];
}
