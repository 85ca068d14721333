import type { Draft, Scenario } from "./draft.ts";

/** Two rows, locked in the same order by all operations or in either order, which deadlocks. */
export const deadlock: Scenario = {
  summary: "two rows locked in opposite order: deadlocks given up, retried, or ignored by mistake",
  strategies: ["row-pair"],
  defaults: {},
  unused: ["strategies", "lock", "rows", "guard", "keyScope", "lockTtl", "extend", "lockTimeout"],
  workersMin: 2,
  breaksLocks: false,
  raisesRows: false,
  drafts() {
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
          because: "the deadlock ended the transaction and its locks, so the next write is based on an old read",
          halfApplied: true,
        },
      }),
    ];
  },
};
