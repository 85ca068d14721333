import type { Scenario } from "./draft.ts";

export const acl: Scenario = {
  summary: "tries what each Redis user must not do; starts no workers",
  strategies: [],
  defaults: {},
  unused: [
    "strategies",
    "lock",
    "workers",
    "concurrency",
    "duration",
    "hold",
    "pause",
    "rows",
    "lockTtl",
    "extend",
    "lockTimeout",
    "guard",
    "keyScope",
    "seed",
  ],
  workersMin: 1,
  breaksLocks: false,
  raisesRows: false,
  drafts: () => [],
};
