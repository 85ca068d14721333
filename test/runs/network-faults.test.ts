/**
 * Faults of the network between a worker and its servers. Each must break something that theory says it breaks, or a
 * planted bug: a fault that breaks nobody may not have happened.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { RunReport } from "../../coordinator/judge/report-data.ts";
import { factsOf } from "../../coordinator/plan/fault-theory.ts";
import type { Fault, Link, StrategyName } from "../../worker/contract.ts";
import { createRig, type Meddling, type Rig } from "../support/rig.ts";

const TTL_MS = 400;
/** So that somebody holds the lock when a late release arrives. */
const HOLD_MS = 10;
/** So that each worker gets its turn: a lock that is polled is not handed over in order. */
const PAUSE_MS = 20;

let rig: Rig;
before(async () => {
  rig = await createRig();
});
after(() => rig[Symbol.asyncDispose]());

const COMMON = { worker: 0, afterMs: 300, every: 1 } as const;
const partition = (at: Fault["at"], link?: Link): Fault => ({
  ...COMMON,
  action: "partition",
  at,
  times: 2,
  forMs: TTL_MS * 2.5,
  ...(link === undefined ? {} : { link }),
});
const slow: Fault = {
  ...COMMON,
  action: "slow-network",
  at: "after-read",
  // It varies by half of itself, and the shortest must still be longer than the TTL.
  delayMs: TTL_MS * 2.5,
  forMs: TTL_MS * 3,
  times: 3,
};
const lostAnswer = (at: Fault["at"], link: Link): Fault => ({
  ...COMMON,
  action: "lost-answer",
  at,
  link,
  every: 3,
  times: 5,
  forMs: 0,
});

async function run(
  strategy: StrategyName,
  fault: Fault,
  guard: "none" | "fence-claim" = "none",
  meddling: Meddling = {},
) {
  const plan = { fault, guard, lockTtlMs: TTL_MS, durationMs: 3_000, holdMs: HOLD_MS, pauseMs: PAUSE_MS };
  const report = await rig.run(strategy, plan, meddling);
  await rig.leavesNothing(`${fault.action} ${fault.at} ${fault.link ?? "all"}`, strategy);
  return report;
}

function happened(report: RunReport, times = 1) {
  assert.ok((report.faultTimes?.length ?? 0) >= times, JSON.stringify([report.faults, report.problems]));
  const { startedAtUs, endedAtUs } = report.faultTimes![0]!;
  const startedAtMs = Date.parse(report.startedAt);
  assert.ok(startedAtUs / 1_000 > startedAtMs && startedAtUs / 1_000 < startedAtMs + 30_000, "by the database's clock");
  assert.ok(endedAtUs >= startedAtUs);
}

const broken: readonly (readonly [title: string, strategy: StrategyName, fault: Fault])[] = [
  [
    "a partition from MySQL delays a write beyond a TTL that nobody extends",
    "seed-mutex",
    partition("before-write", "mysql"),
  ],
  ["a partition from both delays a write beyond a TTL that cannot be extended", "redis", partition("before-write")],
  ["a slow network delays a write beyond its TTL", "redis", slow],
];
for (const [title, strategy, fault] of broken)
  test(title, async () => {
    const report = await run(strategy, fault);
    happened(report);
    assert.equal(report.data.value, "violated", JSON.stringify(report.data));
    assert.ok(report.lostUpdates! > 0);
  });

test("a partition from Redis delays a release, which then deletes the lock of another", async () => {
  // The scenario's own plan: it breaks the lock only if somebody holds it just then and another one waits.
  const times = { durationMs: 3_000, lockTtlMs: TTL_MS };
  const plan = {
    ...times,
    ...factsOf("partition-redis").plan(times, "seed-mutex"),
    pauseMs: PAUSE_MS,
    guard: "none",
  } as const;
  const report = await rig.run("seed-mutex", plan);
  await rig.leavesNothing("partition from Redis", "seed-mutex");
  happened(report);
  assert.equal(report.data.value, "violated", JSON.stringify(report.data));
});

test("behind a claimed token, late writes are rejected, and the data hold", async () => {
  const report = await run("redis", partition("before-write"), "fence-claim");
  happened(report);
  assert.equal(report.data.value, "holds", JSON.stringify(report.data));
  assert.ok(
    report.errors.some((error) => error.class === "fenced"),
    JSON.stringify(report.errors),
  );
});

test("a lock that is extended outlives a partition from MySQL", async () => {
  const report = await run("redis", partition("before-write", "mysql"));
  happened(report);
  assert.deepEqual([report.data.value, report.agreement], ["holds", "expected"], JSON.stringify(report.reasons));
});

test("lost answers to COMMIT are resolved by the id of their operation", async () => {
  const report = await run("row-lock", lostAnswer("before-commit", "mysql"));
  happened(report, 3);
  assert.deepEqual([report.data.value, report.agreement], ["holds", "expected"], JSON.stringify(report.reasons));
  const unknown = report.reported.unknown;
  assert.ok(unknown >= 3 && unknown === report.faultTimes!.length, JSON.stringify(report.errors));
  const detail = report.checks.find(({ check }) => check === "set")?.detail ?? "";
  assert.match(detail, new RegExp(`it has ${unknown} of ${unknown} operations of unknown outcome`));
  assert.deepEqual(report.resolved, { applied: unknown, notApplied: 0 });
});

const planted: readonly (readonly [bug: string, strategy: StrategyName, fault: Fault, found: RegExp])[] = [
  ["fails-open", "redis", lostAnswer("before-acquire", "redis"), /stale \(lost updates\)/],
  ["releases-again", "seed-mutex", lostAnswer("before-release", "redis"), /stale \(lost updates\)/],
  ["commits-again", "row-lock", lostAnswer("before-commit", "mysql"), /applied twice/],
];
for (const [bug, strategy, fault, found] of planted)
  test(`${bug} is seen in ${strategy} when an answer is lost`, async () => {
    const report = await run(strategy, fault, "none", { bug });
    happened(report);
    assert.equal(report.agreement, "mismatch", JSON.stringify([report.data, report.reasons]));
    assert.match(report.reasons.join(), found);
  });
