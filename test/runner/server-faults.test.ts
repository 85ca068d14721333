import assert from "node:assert/strict";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { RunPlan } from "../../coordinator/plan/run-plan.ts";
import { planRuns } from "../../coordinator/plan/scenarios/index.ts";
import { readRunOptions } from "../../coordinator/plan/settings.ts";
import type { MakeFault } from "../../coordinator/platform/platform.ts";
import { createServerFaults } from "../../coordinator/runner/server-faults.ts";

test("faults of the servers are made one after the other, also where their times overlap", async () => {
  const told: string[] = [];
  const makeFault: MakeFault = async ({ name, forMs }) => {
    told.push(`${name} begins`);
    await sleep(forMs);
    told.push(`${name} ends`);
  };
  const problems: string[] = [];
  const faults = createServerFaults(planOf(), { database: { nowUs: async () => 0 }, makeFault }, problems);
  faults.begin(0);
  while (faults.times.length < 2) await sleep(5);
  await faults.end();
  assert.deepEqual(told, [
    "acl-revoked begins",
    "acl-revoked ends",
    "redlock-minority begins",
    "redlock-minority ends",
  ]);
  assert.deepEqual(problems, []);
});

test("one whose turn comes after the end is not made, and the report says so", async () => {
  const made: string[] = [];
  const makeFault: MakeFault = async ({ name }, { over }) => {
    made.push(name);
    await sleep(60_000, undefined, { signal: over }).catch(() => {});
  };
  const problems: string[] = [];
  const faults = createServerFaults(planOf(), { database: { nowUs: async () => 0 }, makeFault }, problems);
  faults.begin(0);
  await sleep(100);
  await faults.end();
  assert.deepEqual(made, ["acl-revoked"]);
  assert.deepEqual(problems, ["the fault redlock-minority never happened: the run ended before its time"]);
});

// --- Internal helpers -----------------------------------------------------------------------------------------------

function planOf() {
  const [plan] = planRuns(readRunOptions({ scenario: "compare", strategies: ["redlock"] }).settings);
  const fault = { everyMs: 1_000, times: 1, forMs: 50 };
  const serverFaults = [
    { ...fault, name: "acl-revoked", afterMs: 10 },
    { ...fault, name: "redlock-minority", afterMs: 20 },
  ] as const;
  return RunPlan.parse({ ...plan, run: "faulted-1", serverFaults });
}
