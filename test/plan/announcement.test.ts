import assert from "node:assert/strict";
import { test } from "node:test";
import { announce } from "../../coordinator/plan/announcement.ts";
import { planRuns } from "../../coordinator/plan/scenarios/index.ts";
import { readRunOptions } from "../../coordinator/plan/settings.ts";

for (const [given, platform, line] of [
  [
    {},
    "local",
    'scenario "compare": 5 runs of 5 s with 4 workers, about 45 s in all: "none", "memory", "redis", "row-lock" and "version"',
  ],
  [
    { strategies: ["none"], workers: 1, duration: "500ms" },
    "local",
    'scenario "compare": 1 run of 500 ms with 1 worker, about 15 s in all: "none"',
  ],
  [
    { scenario: "contention", strategies: ["none"] },
    "kubernetes",
    'scenario "contention": 8 runs of 2 s with 1 to 8 workers, about 3 minutes in all: "none"',
  ],
  [{ scenario: "acl" }, "local", 'scenario "acl": no workers, some seconds'],
] as const)
  test(line, () => {
    const { settings } = readRunOptions(given);
    assert.equal(announce(settings.scenario, planRuns(settings), platform), line);
  });
