import { type Draft, isGuarding, isKeyed, type Scenario, stepsTo, unproven } from "./draft.ts";

const ROWS = [1, 2, 10, 100];

/** Each strategy on more and more rows; those with a key also with one key for all rows. Controls on one row only. */
export const spread: Scenario = {
  summary: "1, 2, 10 and 100 rows, up to --rows, with a key for each row and with one for all",
  strategies: ["none", "redis", "row-lock", "version"],
  defaults: { rows: 100, duration: "4s" },
  unused: ["keyScope"],
  workersMin: 2,
  breaksLocks: false,
  raisesRows: false,
  drafts({ rows, workers, concurrency }, strategies) {
    const steps = stepsTo(rows, ROWS);
    return strategies.flatMap((strategy): Draft[] => {
      const farApart = { expects: unproven(strategy, FAR_APART) };
      const apart = (step: number) => (step > workers * concurrency * ROWS_PER_LOOP_MAX ? farApart : {});
      if (!isGuarding(strategy)) return [{ strategy, rows: 1 }];
      const each = steps.map((step) => ({ strategy, rows: step, keyScope: "row" as const, ...apart(step) }));
      if (!isKeyed(strategy)) return each;
      const all = steps
        .filter((step) => step > 1)
        .map((step) => ({ strategy, rows: step, keyScope: "global" as const, ...apart(step) }));
      return [...each, ...all];
    });
  },
};

/** With more rows for each loop, two operations seldom contend for one of them. */
const ROWS_PER_LOOP_MAX = 10;
const FAR_APART = "on so many rows operations seldom contend; the runs on fewer rows show that they are kept apart";
