/** How heartbeats and the launcher's reports change the state of a worker. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { OPERATIONS_MIN } from "../../coordinator/judge/checks/vacuity.ts";
import { EXTENSION_MS_MAX } from "../../coordinator/platform/platform.ts";
import { createRoster, SILENCE_MS_MAX } from "../../coordinator/runner/roster.ts";
import type { Heartbeat, WorkerFinal } from "../../worker/contract.ts";

const FINAL: WorkerFinal = {
  ...{ committed: 3, rejected: 0, unknown: 0, raised: 21, naive: 0, releaseFailures: 0 },
  ...{ startedAtUs: 1, endedAtUs: 2, writers: [], errors: [], residentBytes: 1 },
};
const DELETED = { index: 1, reason: "pod demo-1 was deleted", fatal: true };

const PLAN = { run: "r", workers: 2, durationMs: 1_000, strategy: "redis", guard: "none" } as const;

function beat(index: number, rest: Partial<Heartbeat> = {}): Heartbeat {
  const identity = { run: "r", index, uid: `uid-${index}`, node: "n", metricsPort: 1 };
  return { ...identity, phase: "running", committed: OPERATIONS_MIN, rejected: 0, unknown: 0, ...rest };
}

function rosterOf(...beats: Heartbeat[]) {
  const roster = createRoster(PLAN);
  for (const each of beats) roster.receive(each);
  return roster;
}

const reasons = (roster: ReturnType<typeof createRoster>) => roster.lost().map(({ index, reason }) => [index, reason]);

test("a finished worker is not lost, whatever happens to its pod", () => {
  const roster = rosterOf(beat(1, { phase: "done", final: FINAL }));
  roster.note([DELETED]);
  assert.deepEqual(reasons(roster), []);
});

test("a worker that was stopped early is lost by the failure it sent, which the launcher's reason replaces", () => {
  const stopped = beat(1, { phase: "done", final: FINAL, failure: "stopped before its end by SIGTERM" });
  const roster = rosterOf(stopped);
  roster.note([]);
  assert.deepEqual(reasons(roster), [[1, "stopped before its end by SIGTERM"]]);
  roster.note([DELETED]);
  assert.deepEqual(reasons(roster), [[1, DELETED.reason]]);

  const other = rosterOf(beat(1));
  other.note([DELETED]);
  other.receive(stopped);
  other.note([{ ...DELETED, reason: "pod demo-1 was deleted, exited with 3" }]);
  assert.deepEqual(reasons(other), [[1, DELETED.reason]], "the first reason stays");
});

test("the failure that a worker sent replaces a launcher's reason, whose log stays", () => {
  const roster = rosterOf(beat(0, { failure: "MySQL: refused" }));
  roster.note([{ index: 0, reason: "exited with 1", fatal: true }]);
  assert.deepEqual(reasons(roster), [[0, "MySQL: refused"]]);
  const logged = rosterOf(beat(0, { failure: "MySQL: refused" }));
  logged.note([{ index: 0, reason: "exited with 1: MySQL: refused", fatal: true, log: "MySQL: refused\n" }]);
  assert.deepEqual(reasons(logged), [[0, "MySQL: refused"]]);
  assert.equal(logged.lost()[0]!.log, "MySQL: refused\n");
  const loggedLater = rosterOf(beat(0, { failure: "MySQL: refused" }));
  loggedLater.note([]);
  loggedLater.note([{ index: 0, reason: "exited with 1: bye", fatal: true, log: "bye\n" }]);
  assert.deepEqual(reasons(loggedLater), [[0, "MySQL: refused"]]);
  assert.equal(loggedLater.lost()[0]!.log, "bye\n");
});

test("a worker whose problem may heal is waiting, not lost, for as long as the problem is reported", () => {
  const roster = rosterOf();
  roster.note([{ index: 0, reason: "Unschedulable", fatal: false }]);
  assert.deepEqual([roster.lost().length, roster.waiting().length], [0, 1]);
  roster.note([]);
  assert.deepEqual([roster.lost().length, roster.waiting().length], [0, 0]);
});

test("a silent worker is lost after the start and waiting before it", (t) => {
  let nowMs = 1_000;
  t.mock.method(performance, "now", () => nowMs);
  const roster = rosterOf(beat(0), beat(1));
  nowMs += SILENCE_MS_MAX + 1_000;
  roster.receive(beat(0));
  roster.note([]);
  assert.deepEqual([reasons(roster), roster.waiting()], [[], ["worker-1: no heartbeat for 11 s (node n)"]]);
  roster.start(0);
  roster.note([]);
  assert.deepEqual(reasons(roster), [[1, "no heartbeat for 11 s (node n)"]]);
});

test("a worker that ends after an abort is not lost; a worker that fails by itself is", () => {
  const roster = rosterOf(beat(0), beat(1));
  roster.abort("the run is over");
  roster.receive(beat(0));
  roster.receive(beat(1, { failure: "Redis refuses user lock" }));
  roster.note([0, 1].map((index) => ({ index, reason: "exited with 3", fatal: true })));
  assert.deepEqual(
    roster.lost().map(({ index }) => index),
    [1],
  );
});

test("the first few of many waiting workers are listed", () => {
  const roster = createRoster({ ...PLAN, workers: 20 });
  roster.note(Array.from({ length: 20 }, (_, index) => ({ index, reason: "Pending", fatal: false })));
  assert.equal(roster.waiting().at(0), "worker-0: Pending");
  assert.equal(roster.waiting().at(-1), "and 12 more");
});

test("a worker that cannot reach a server yet is waiting, with the reason that it sent, until it can", () => {
  const roster = rosterOf(beat(0, { phase: "warming", waitingFor: "Redis at r:6379 is unreachable" }));
  roster.note([]);
  assert.deepEqual([reasons(roster), roster.waiting()], [[], ["worker-0: Redis at r:6379 is unreachable"]]);
  roster.receive(beat(0, { phase: "ready" }));
  roster.note([]);
  assert.deepEqual(roster.waiting(), []);
});

test("running workers continue until the one that started last has run for the planned duration", (t) => {
  const now = t.mock.method(performance, "now", () => 10_000);
  const roster = rosterOf(beat(0, { phase: "ready" }), beat(1, { phase: "ready" }));
  roster.start(0);
  assert.deepEqual(roster.receive(beat(0, { phase: "ready" })), { command: "start", inMs: 0 });
  assert.deepEqual(roster.receive(beat(0, { runningMs: 400 })), { command: "continue", forMs: 600 });
  // A heartbeat that takes longer than an earlier one does not move the start.
  now.mock.mockImplementation(() => 10_100);
  assert.deepEqual(roster.receive(beat(0, { runningMs: 450 })), { command: "continue", forMs: 500 });
  assert.deepEqual(roster.receive(beat(1, { runningMs: 0 })), { command: "continue", forMs: 1_000 });
  now.mock.mockImplementation(() => 10_500);
  assert.deepEqual(roster.receive(beat(0, { runningMs: 900 })), { command: "continue", forMs: 600 });
  now.mock.mockImplementation(() => 12_000);
  assert.deepEqual(roster.receive(beat(0, { runningMs: 2_400 })), { command: "continue", forMs: 0 });
});

test("running workers continue for as long as the run is delayed", (t) => {
  let delayMs = 0;
  const roster = createRoster({ ...PLAN, workers: 1 }, { delayMs: () => delayMs });
  t.mock.method(performance, "now", () => 5_000);
  roster.receive(beat(0, { phase: "ready" }));
  roster.start(0);
  assert.deepEqual(roster.receive(beat(0, { phase: "running", runningMs: 900 })), { command: "continue", forMs: 100 });
  delayMs = 3_000;
  assert.deepEqual(roster.receive(beat(0, { phase: "running", runningMs: 900 })), {
    command: "continue",
    forMs: 3_100,
  });
});

test("a run that has committed too few operations goes on until it has enough, but not for ever", (t) => {
  const now = t.mock.method(performance, "now", () => 10_000);
  const roster = rosterOf(beat(0, { phase: "ready", committed: 0 }), beat(1, { phase: "ready", committed: 0 }));
  const forMs = (index: number, nowMs: number, counts: Partial<Heartbeat>) => {
    now.mock.mockImplementation(() => nowMs);
    const command = roster.receive(beat(index, { runningMs: nowMs - 10_000, ...counts }));
    return command.command === "continue" ? command.forMs : command;
  };
  roster.start(0);
  roster.receive(beat(0, { committed: 0 }));
  assert.equal(roster.durationMs(), 1_000, "before it is known when the operations began");
  forMs(0, 10_000, { committed: 0 });
  forMs(1, 10_000, { committed: 0 });
  const stepMs = forMs(0, 10_900, { committed: OPERATIONS_MIN - 2 });
  assert.ok(Number(stepMs) > 1_000, `${stepMs} ms: longer than planned`);
  assert.equal(roster.durationMs(), 1_000);
  forMs(1, 12_000, { committed: 1 });
  assert.equal(roster.durationMs(), 2_000, "with the extension so far");
  assert.equal(forMs(1, 11_000 + EXTENSION_MS_MAX - 100, { committed: 1 }), 100, "no longer than the limit");
  assert.equal(forMs(1, 15_000, { committed: 2 }), 0, "enough");
  assert.equal(roster.durationMs(), 1_000);
  assert.equal(forMs(1, 15_000, { committed: 0 }), stepMs, "one that has committed nothing is waited for");
  const refused = { committed: 0, rejected: OPERATIONS_MIN };
  assert.equal(forMs(0, 15_000, refused), 0, "more time would not help where most operations are rejected");
});

const violated = { data: "violated", exclusion: "violated", because: "a fault" } as const;
for (const [what, plan, others, committed] of [
  [
    "in a mix of strategies, a worker that is starved does not make the run longer",
    { mix: ["redis", "version"] },
    OPERATIONS_MIN,
    0,
  ],
  ["a run in which theory expects a violation is not made longer", { expects: violated }, 1, 1],
] as const)
  test(what, () => {
    const roster = createRoster({ ...PLAN, ...plan });
    for (const index of [0, 1]) roster.receive(beat(index, { phase: "ready" }));
    roster.start(0);
    roster.receive(beat(0, { runningMs: 1_000, committed: others }));
    assert.deepEqual(roster.receive(beat(1, { runningMs: 1_000, committed })), { command: "continue", forMs: 0 });
  });
