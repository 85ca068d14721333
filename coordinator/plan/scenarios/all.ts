import { STRATEGY_NAMES } from "../../../worker/contract.ts";
import { enoughRows, type Scenario } from "./draft.ts";

export const all: Scenario = {
  summary: "every strategy that can run here, in turn, on as many rows as it needs",
  strategies: STRATEGY_NAMES,
  defaults: {},
  unused: [],
  workersMin: 1,
  breaksLocks: false,
  raisesRows: true,
  drafts: (settings, strategies) => strategies.map((strategy) => ({ strategy, rows: enoughRows(strategy, settings) })),
};
