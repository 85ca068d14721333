import { COMPARED, draftOf, type Scenario } from "./draft.ts";

export const compare: Scenario = {
  summary: "each strategy in turn on the same row",
  strategies: COMPARED,
  defaults: {},
  unused: [],
  workersMin: 1,
  breaksLocks: false,
  raisesRows: false,
  drafts: (_, strategies) => strategies.map(draftOf),
};
