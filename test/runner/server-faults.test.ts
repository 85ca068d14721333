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

test("a fault that takes longer than planned is followed by as much time as was planned after the last one", async (t) => {
  let nowMs = 10_000;
  t.mock.method(performance, "now", () => nowMs);
  const ends: (() => void)[] = [];
  const made: string[] = [];
  const makeFault: MakeFault = ({ name }) => {
    made.push(name);
    return new Promise((resolve) => ends.push(resolve));
  };
  const plan = {
    ...planOf(),
    durationMs: 1_000,
    serverFaults: [{ ...FAULT, name: "mysql-restart", afterMs: 200 }],
  } as const;
  const faults = createServerFaults(plan, { database: { nowUs: async () => 0 }, makeFault }, []);
  faults.begin(-200);
  assert.equal(faults.delayMs(), 0);
  while (made.length === 0) await sleep(1);
  // The rest is 1000 - 200 - 50 ms, of the 800 ms that are left.
  assert.equal(faults.delayMs(), 0);
  nowMs += 50;
  assert.equal(faults.delayMs(), 0);
  nowMs += 3_000;
  assert.equal(faults.delayMs(), 3_000, "while it goes on");
  ends[0]!();
  while (faults.times.length === 0) await sleep(1);
  nowMs += 100;
  assert.equal(faults.delayMs(), 3_000, "and when it is over");
  await faults.end();
});

test("the end is not delayed for ever, nor by a fault that could not be made", async (t) => {
  let nowMs = 10_000;
  t.mock.method(performance, "now", () => nowMs);
  const fails: ((error: Error) => void)[] = [];
  const makeFault: MakeFault = () => new Promise((_, reject) => fails.push(reject));
  const plan = {
    ...planOf(),
    durationMs: 1_000,
    serverFaults: [{ ...FAULT, name: "mysql-restart", afterMs: 0 }],
  } as const;
  const problems: string[] = [];
  const faults = createServerFaults(plan, { database: { nowUs: async () => 0 }, makeFault }, problems);
  faults.begin(0);
  while (fails.length === 0) await sleep(1);
  nowMs += 3_600_000;
  assert.equal(faults.delayMs(), faults.delayMsMax);
  fails[0]!(new Error("it did not come back"));
  while (problems.length === 0) await sleep(1);
  assert.equal(faults.delayMs(), 0);
  await faults.end();
});

// --- Internal helpers -----------------------------------------------------------------------------------------------

function planOf() {
  const [plan] = planRuns(readRunOptions({ scenario: "compare", strategies: ["redlock"] }).settings);
  const serverFaults = [
    { ...FAULT, name: "acl-revoked", afterMs: 10 },
    { ...FAULT, name: "redlock-minority", afterMs: 20 },
  ] as const;
  return RunPlan.parse({ ...plan, run: "faulted-1", serverFaults });
}

const FAULT = { everyMs: 1_000, times: 1, forMs: 50 };
