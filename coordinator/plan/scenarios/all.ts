import { rowsMin, STRATEGY_NAMES } from "../../../worker/contract.ts";
import type { Scenario } from "./draft.ts";

export const all: Scenario = {
  summary: "every strategy that can run here, in turn, on as many rows as it needs",
  strategies: STRATEGY_NAMES,
  defaults: {},
  unused: [],
  workersMin: 1,
  breaksLocks: false,
  raisesRows: true,
  drafts: ({ rows }, strategies) =>
    strategies.map((strategy) => ({ strategy, rows: Math.max(rows, rowsMin(strategy)) })),
};
