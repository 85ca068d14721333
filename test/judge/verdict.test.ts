import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Evidence } from "../../coordinator/judge/evidence.ts";
import { buildLedger } from "../../coordinator/judge/ledger.ts";
import type { Judgement } from "../../coordinator/judge/report-data.ts";
import { type JudgedRun, judgeReport } from "../../coordinator/judge/report-verdict.ts";
import { judge } from "../../coordinator/judge/run-verdict.ts";
import type { RunPlan } from "../../coordinator/plan/run-plan.ts";
import { unproven } from "../../coordinator/plan/scenarios/draft.ts";
import { expectedErrors, isControl, theoryOf } from "../../coordinator/plan/theory.ts";
import { GUARDS, STRATEGY_NAMES, type StrategyName, writerOf } from "../../worker/contract.ts";
import * as locks from "../../worker/locks/lock.ts";
import { ERROR_CLASSES } from "../../worker/outcome.ts";
import {
  op,
  SETTINGS,
  serial,
  serialTurns,
  simulate,
  type Turn,
  withErrors,
  withFinal,
  withLost,
  withRows,
  writerOfWorker,
} from "../support/histories.ts";

/** Worker 0 reads before, and writes after, the first of these turns by another worker. */
const racing = (plan: Partial<RunPlan> = {}, races = 40): Evidence => {
  const turn = (worker: number): Turn => ({ worker, employee: 1, raise: 3, end: "committed", afterUs: 500 });
  const other = (index: number) => 1 + (index % 3);
  return simulate(
    Array.from({ length: races }, (_, index) => [turn(0), turn(other(index)), turn(other(index)), turn(0)]).flat(),
    { strategy: "none", ...plan },
  ).evidence;
};

/** The evidence without the final counts of this worker, or of all workers. */
const unheard = (evidence: Evidence, only?: number): Evidence => ({
  ...evidence,
  workers: evidence.workers.map((worker) =>
    only === undefined || worker.index === only ? { ...worker, final: undefined } : worker,
  ),
});

const values = ({ data, exclusion, agreement }: Judgement) => [data.value, exclusion.value, agreement];

// --- One run --------------------------------------------------------------------------------------------------------

test("a lock that held, with its strength", () => {
  const judgement = judge(serial(150));
  assert.deepEqual(values(judgement), ["holds", "holds", "expected"]);
  assert.deepEqual(judgement.data, { value: "holds", operations: 150, rateBelow: 0.02 });
  assert.deepEqual(judgement.reasons, []);
  assert.deepEqual(
    judgement.checks.map(({ check, status }) => `${check} ${status}`),
    [
      "chain holds",
      "value holds",
      "set holds",
      "exclusion holds",
      "fence skipped",
      "liveness holds",
      "metrics holds",
      "errors holds",
      "naive skipped",
      "vacuity holds",
    ],
  );
  const { grantedMoney, lostUpdates, lostMoney, overlap } = judgement;
  assert.deepEqual([lostUpdates, lostMoney, overlap], [0, 0, 1]);
  assert.equal(
    grantedMoney,
    serialTurns(150)
      .filter((_, index) => index % 2 === 0)
      .reduce((sum, { raise }) => sum + raise, 0),
  );
});

test("a control that is violated is as theory expects, a lock with the same history is not", () => {
  const control = judge(racing());
  assert.deepEqual(values(control), ["violated", "violated", "expected"]);
  assert.equal(control.data.value === "violated" && control.data.count, 40);
  assert.equal(control.lostUpdates, 40);
  const lock = judge(racing({ strategy: "redis" }));
  assert.deepEqual(values(lock), ["violated", "violated", "mismatch"]);
  assert.match(lock.reasons.join("; "), /^data should hold, but 40 of 80 writes were stale \(lost updates\)/);
});

test("a control that is not violated is a mismatch", () => {
  const judgement = judge(serial(100, 4, { strategy: "none" }));
  assert.deepEqual(values(judgement), ["holds", "holds", "mismatch"]);
  assert.match(judgement.reasons.join("; "), /data should be violated, but 100 operations show no violation/);
});

test("data and exclusion are judged apart", () => {
  const early = withRows(serial(100), (rows) => {
    rows[50]!.readAtUs -= 1_500;
  });
  assert.deepEqual(values(judge(early)), ["holds", "violated", "mismatch"]);
  const unclaimed = { ...early, plan: { ...early.plan, strategy: "version" as const } };
  assert.deepEqual(values(judge(unclaimed)), ["holds", "violated", "expected"]);
});

test("a token that goes back is a loss of exclusion, and leaves the data", () => {
  const tokens = withRows(serial(100), (rows) => {
    for (const [index, row] of rows.entries()) row.fence = index + 1;
    rows[60]!.fence = 60;
  });
  assert.deepEqual(values(judge(tokens)), ["holds", "violated", "mismatch"]);
});

for (const [what, change, reason] of [
  [
    "a worker that was lost",
    (e: Evidence) => withLost(e, 2, "killed by SIGKILL"),
    "worker-2 was lost: killed by SIGKILL",
  ],
  [
    "a worker that ended badly after all",
    (e) => ({ ...e, workers: e.workers.map((w, i) => (i === 1 ? { ...w, lost: "exit 7" } : w)) }),
    "worker-1 was lost: exit 7",
  ],
  [
    "a fleet that waited for a worker that was lost: the others are not to blame",
    (e) => ({
      ...withLost(unheard(e), 2, "exit 1"),
      problems: ["not started"],
    }),
    "not started; worker-2 was lost: exit 1",
  ],
  [
    "several workers with one cause, and another one",
    (e) =>
      ["Access denied for 'a'@'10.0.0.1'", "Access denied for 'a'@'10.0.0.2'", "exit 1"].reduce(
        (lost, cause, index) => withLost(lost, index, cause),
        e,
      ),
    "2 of 4 workers were lost: Access denied for 'a'@'10.0.0.1'; worker-2 was lost: exit 1",
  ],
  ["a worker without its final numbers", (e) => unheard(e, 1), "worker-1 gave no final numbers"],
  ["a worker that never came", (e) => ({ ...e, plan: { ...e.plan, workers: 5 } }), "worker-4 never reported"],
  [
    "many workers that never came",
    (e) => ({ ...e, plan: { ...e.plan, workers: 20 } }),
    "worker-4 and 15 more: each never reported",
  ],
  [
    "a problem of the run",
    (e) => ({ ...e, problems: ["Prometheus did not answer for 30 s"] }),
    "Prometheus did not answer for 30 s",
  ],
  ["no Prometheus", (e) => ({ ...e, prometheus: undefined }), "Prometheus has no final numbers"],
  [
    "a Prometheus without one worker",
    (e) => ({ ...e, prometheus: { ...e.prometheus!, workers: e.prometheus!.workers.slice(1) } }),
    "Prometheus has no numbers of worker-0",
  ],
  [
    "too little overlap",
    (e) => ({ ...e, plan: { ...e.plan, durationMs: 2 * e.plan.durationMs } }),
    "all workers were active at the same time for only 50 % of the planned duration, but at least 90 % is needed",
  ],
  [
    "a ledger that could not be read",
    (e) => ({ ...e, ledger: buildLedger([]), final: [], problems: ["MySQL is gone"] }),
    "MySQL is gone",
  ],
] satisfies [string, (evidence: Evidence) => Evidence, string][]) {
  test(`${what} is unknown, with the reason`, () => {
    const judgement = judge(change(serial(100)));
    assert.deepEqual(values(judgement), ["unknown", "unknown", "unknown"]);
    assert.equal(judgement.data.value === "unknown" && judgement.data.reasons.join("; "), reason);
    assert.equal(judgement.reasons.join("; "), reason);
  });
  if (what !== "a ledger that could not be read")
    test(`a violation remains one despite ${what}`, () => {
      assert.equal(judge(change(racing({ strategy: "redis" }))).agreement, "mismatch");
      assert.equal(judge(change(racing())).data.value, "violated");
    });
}

test("an unread ledger shows no violation, and its measures are no data", () => {
  const { checks, lostUpdates, lostMoney } = judge({ ...serial(100), ledger: buildLedger([]), final: [] });
  assert.deepEqual(
    new Set(checks.filter(({ check }) => check !== "naive").map(({ status }) => status)),
    new Set(["unknown"]),
  );
  assert.deepEqual([lostUpdates, lostMoney], [null, null]);
});

const error = (name: string, count: number, outcome: "rejected" | "unknown" | "retried" = "rejected") => ({
  class: name,
  outcome,
  count,
  example: `${name} of a test`,
});

test("nothing committed at all is unknown, and the reason is the most frequent error", () => {
  const none = simulate(serialTurns(100).map((turn) => ({ ...turn, end: "rejected" as const }))).evidence;
  const judgement = judge(none);
  assert.deepEqual(values(judgement), ["unknown", "unknown", "unknown"]);
  assert.deepEqual(judgement.reasons, ["all 100 operations were rejected: lock-wait-timeout of a test"]);
  assert.deepEqual(judge(withErrors(none, 0, [error("LockUnreachable", 150)])).reasons, [
    "all 250 operations were rejected, 150 of them with LockUnreachable: LockUnreachable of a test",
  ]);
  assert.deepEqual(judge(withErrors(serial(20), 0, [error("commit-unanswered", 30, "unknown")])).reasons, [
    "30 of 50 operations were of unknown outcome: commit-unanswered of a test",
  ]);
  // A strategy that rejects most operations and still makes enough of them has shown what it can.
  const ends = (index: number) => (index % 3 === 0 ? ("committed" as const) : ("rejected" as const));
  const turns = serialTurns(300).map((turn, index) => ({ ...turn, end: ends(Math.floor(index / 2)) }));
  assert.equal(judge(simulate(turns, { strategy: "version" }).evidence).data.value, "holds");
});

test("an error that the strategy never has leaves its run unknown, with its class and count", () => {
  const judged = (name: string, plan: Partial<RunPlan>, outcome?: "retried") =>
    judge(withErrors(serial(100, 4, plan), 1, [error(name, 3, outcome)]));
  const refused = judged("database", { strategy: "skip-locked" });
  assert.deepEqual(values(refused), ["unknown", "unknown", "unknown"]);
  assert.deepEqual(refused.reasons, ['3 errors of class database, which "skip-locked" never has: database of a test']);
  for (const [name, strategy] of [
    ["deadlock", "row-lock"],
    ["snapshot-changed", "row-lock"],
    ["conflict", "redis"],
    ["LockLost", "file"],
    ["row-missing", "version"],
  ] as const) {
    assert.deepEqual(values(judged(name, { strategy })), ["unknown", "unknown", "unknown"], `${name} of ${strategy}`);
    assert.equal(judged(name, { strategy }, "retried").agreement, "unknown");
  }
  for (const [name, strategy] of [
    ["LockLost", "redis"],
    ["LockTimeout", "file"],
    ["conflict", "version"],
    ["deadlock", "shared-row-lock"],
    ["lock-wait-timeout", "row-lock"],
    ["connection", "row-lock"],
  ] as const)
    assert.equal(judged(name, { strategy }).agreement, "expected", `${name} of ${strategy}`);
  const galera = judged("deadlock", { strategy: "row-lock", mysqlServers: 2 });
  assert.equal(galera.agreement, "expected", "a cluster rejects at COMMIT what another server changed meanwhile");
});

test("locks that are lost although they are extended: most of those that overran the TTL, or a few", () => {
  const fault: RunPlan["fault"] = { at: "after-read", action: "sleep", worker: 0, forMs: 600, every: 4, afterMs: 0 };
  const judged = (lost: number, plan: Partial<RunPlan> = {}) => {
    const evidence = serial(100, 4, { fault, lockTtlMs: 400, extend: true, ...plan });
    return judge(withErrors(withFinal(evidence, 0, { faulted: 6 }), 0, lost === 0 ? [] : [error("LockLost", lost)]));
  };
  assert.equal(judged(0).agreement, "expected");
  const none = judged(5);
  assert.deepEqual(values(none), ["holds", "holds", "mismatch"]);
  assert.deepEqual(none.reasons, [
    "a holder that overruns its TTL should keep its lock, because the lock is extended, but 5 of 6 such holders lost it: LockLost of a test",
  ]);
  assert.equal(judged(1).agreement, "unknown");
  assert.equal(judged(5, { extend: false }).agreement, "expected");
  assert.equal(judged(5, { lockTtlMs: 700 }).agreement, "expected", "no holder overran this TTL");
  const stalled = withErrors(withFinal(serial(100, 4, { fault, lockTtlMs: 400 }), 0, { faulted: 6 }), 1, [
    error("LockLost", 5),
  ]);
  assert.equal(judge(stalled).agreement, "expected", "only worker 0 overran it");
});

test("late writes of a lock that is not extended: after most overruns, or after a few, which a slow write explains", () => {
  const fault: RunPlan["fault"] = { at: "after-read", action: "sleep", worker: 0, forMs: 600, every: 4, afterMs: 0 };
  const judged = (races: number, plan: Partial<RunPlan> = {}) => {
    const evidence = racing({ strategy: "redis", fault, lockTtlMs: 400, extend: false, ...plan }, races);
    return judge(withFinal(evidence, 0, { faulted: 20 }));
  };
  const { lostUpdates } = judged(3);
  assert.ok(lostUpdates! > 0 && lostUpdates! < 10, "few of the overruns");
  assert.deepEqual(values(judged(40)), ["violated", "violated", "mismatch"]);
  const few = judged(3);
  assert.deepEqual(values(few), ["violated", "violated", "unknown"]);
  assert.match(few.reasons.join("; "), /fewer than half of the 20 overruns of the TTL led to it/);
  assert.equal(judged(3, { extend: true }).agreement, "mismatch");
  assert.equal(judged(3, { lockTtlMs: 700 }).agreement, "mismatch", "no holder overran this TTL");
  const gone = withRows(
    racing({ strategy: "redis", fault, lockTtlMs: 400, extend: false }, 3),
    (rows) => void rows.pop(),
  );
  assert.equal(judge(withFinal(gone, 0, { faulted: 20 })).agreement, "mismatch", "a late write does not lose a commit");
});

test("every class that a strategy may have is one that exists", () => {
  const known = new Set<string>([...ERROR_CLASSES, ...Object.keys(locks)]);
  for (const strategy of STRATEGY_NAMES)
    for (const guard of GUARDS)
      for (const name of expectedErrors(strategy, { guard, mix: undefined })) assert.ok(known.has(name), name);
});

describe("a holder of a lock whose write the guard rejects", () => {
  const judged = (strategy: StrategyName, guard: RunPlan["guard"], ...names: string[]) =>
    judge(
      withErrors(
        serial(100, 4, { strategy, guard }),
        1,
        names.map((name) => error(name, 7)),
      ),
    );
  test("because the version has changed was not alone", () => {
    for (const strategy of ["file", "redis", "seed-mutex"] as const) {
      const judgement = judged(strategy, "version", "conflict");
      assert.deepEqual(values(judgement), ["holds", "violated", "mismatch"]);
      assert.deepEqual(judgement.reasons, [
        "exclusion should hold, but the guard rejected 7 holders of the lock, because others had written meanwhile",
      ]);
    }
  });
  test("may be due to a statement that was carried out late", () => {
    const judgement = judged("file", "version", "conflict", "statement-timeout");
    assert.deepEqual(values(judgement), ["holds", "unknown", "unknown"]);
    assert.match(judgement.reasons.join(), /may be due to the 7 statements that the database did not answer/);
  });
  test("may be due to a statement of a worker that has ended", () => {
    const evidence = withErrors(serial(100, 4, { strategy: "file", guard: "version" }), 1, [error("conflict", 1)]);
    const judgement = judge(withLost(evidence, 2, "killed"));
    assert.deepEqual(values(judgement), ["unknown", "unknown", "unknown"]);
    const { detail } = judgement.checks.find(({ check }) => check === "exclusion")!;
    assert.match(detail, /may be due to the last statements of 1 worker that did not finish/);
  });
  test("may be due to somebody who writes outside the ledger", () => {
    const evidence = withErrors(serial(100, 4, { strategy: "file", guard: "version" }), 1, [error("conflict", 7)]);
    const gap = judge(withRows(evidence, (rows) => void rows.splice(50, 1)));
    assert.deepEqual(values(gap), ["violated", "unknown", "mismatch"]);
    const { detail } = gap.checks.find(({ check }) => check === "exclusion")!;
    assert.match(detail, /7 holders of the lock, which may be due to the writes outside the ledger/);
  });
  test("because its token is old may only show that tokens were lost", () => {
    assert.deepEqual(values(judged("redis", "fence-claim", "fenced")), ["holds", "unknown", "unknown"]);
  });
  test("says nothing where no exclusion is promised", () => {
    assert.deepEqual(values(judged("none", "version", "conflict")), ["holds", "holds", "expected"]);
    assert.deepEqual(values(judged("version", "none", "conflict")), ["holds", "holds", "expected"]);
  });
});

test("operations that are shorter than the hold time leave exclusion unknown, a few of them do not", () => {
  const judged = (strategy: StrategyName, short: number, holdMs = 3) => {
    const evidence = withRows(serial(300, 4, { strategy, holdMs }), (rows) => {
      for (const [index, row] of rows.entries()) row.readAtUs = row.writtenAtUs - (index < short ? 900 : 2_000);
      for (const [index, row] of rows.entries())
        row.readAtUs = Math.max(row.readAtUs, rows[index - 1]?.writtenAtUs ?? 0);
    });
    return judge(evidence);
  };
  const wrong = judged("redis", 300);
  assert.deepEqual(values(wrong), ["holds", "unknown", "unknown"]);
  assert.match(wrong.reasons.join(), /300 of 300 operations took less than half of the hold time of 3 ms from read to/);
  assert.deepEqual(values(judged("redis", 3)), ["holds", "holds", "expected"]);
  assert.deepEqual(values(judged("atomic", 300)), ["holds", "holds", "expected"]);
  assert.deepEqual(values(judged("redis", 300, 2)), ["holds", "holds", "expected"], "a timer may fire 1 ms early");
});

test("a violated control with incomplete counts proves nothing", () => {
  const lost = judge(withLost(racing(), 2, "killed"));
  assert.deepEqual([lost.data.value, lost.agreement], ["violated", "unknown"]);
  assert.deepEqual(lost.reasons, ["data was violated as expected, but worker-2 was lost: killed"]);
});

test("a control that is violated by something else than lost updates is not the control that theory means", () => {
  const taken = serial(100, 4, { strategy: "none" });
  const last = taken.final[0]!;
  const judgement = judge({ ...taken, final: [{ ...last, salary: last.salary - 5 }] });
  assert.deepEqual([judgement.data.value, judgement.agreement], ["violated", "mismatch"]);
  const both = racing();
  const version = both.final[0]!.version + 1;
  const foreign = judge({ ...both, final: [{ ...both.final[0]!, version }] });
  assert.deepEqual([foreign.data.value, foreign.agreement], ["violated", "unknown"]);
  assert.match(foreign.reasons.join("; "), /not by lost updates alone/);
});

for (const [what, change] of [
  [
    "a ledger row changed by hand",
    (e: Evidence) => withRows(e, (rows) => void rows.splice(50, 1, { ...rows[50]!, raise: 5_000 })),
  ],
  ["a salary changed behind the workers' backs", (e) => ({ ...e, final: [{ ...e.final[0]!, salary: 1 }] })],
  [
    "a worker that reports one operation too many",
    (e) => withFinal(e, 1, { committed: e.workers[1]!.final!.committed + 1 }),
  ],
  ["an acknowledged operation that is gone", (e) => withRows(e, (rows) => void rows.pop())],
  ["a row by nobody", (e) => withRows(e, (rows) => void rows.push({ ...rows[99]!, op: op(70, 1) }))],
] satisfies [string, (evidence: Evidence) => Evidence][])
  test(`not fooled by ${what}`, () => {
    const judgement = judge(change(serial(100)));
    assert.deepEqual([judgement.data.value, judgement.agreement], ["violated", "mismatch"]);
  });

/** The evidence as a server would record it that assigns ids to these workers from a later block than to the others. */
const inTwoBlocks = (evidence: Evidence, workers: readonly number[]): Evidence =>
  withRows(evidence, (rows) => {
    const late = (row: { op: number }) => workers.some((worker) => writerOf(row.op) === writerOfWorker(worker));
    rows.splice(0, rows.length, ...rows.filter((row) => !late(row)), ...rows.filter(late));
  });

for (const rows of [1, 3])
  test(`ids from two blocks change nothing about ${rows} rows: the version is the order of the writes`, () => {
    const sound = serial(120, 4, { rows });
    assert.deepEqual(judge(inTwoBlocks(sound, [1, 3])), judge(sound));
    const global = { rows, keyScope: "global" } as const;
    assert.deepEqual(judge(inTwoBlocks(serial(120, 4, global), [1, 3])), judge(serial(120, 4, global)));
    const stale = racing({ strategy: "redis" });
    assert.deepEqual(judge(inTwoBlocks(stale, [0])), judge(stale));
  });

for (const [what, change] of [
  [
    "a version twice",
    (rows: { newVersion: number; readVersion: number }[]) => {
      rows[50]!.newVersion -= 1;
      rows[50]!.readVersion -= 1;
    },
  ],
  ["a missing row", (rows) => void rows.splice(50, 1)],
  ["a stale read", (rows) => (rows[50]!.readVersion -= 1)],
] satisfies [string, (rows: { newVersion: number; readVersion: number }[]) => unknown][])
  test(`ids from two blocks do not hide ${what}`, () => {
    const judgement = judge(inTwoBlocks(withRows(serial(120), change), [1, 3]));
    assert.deepEqual([judgement.data.value, judgement.agreement], ["violated", "mismatch"]);
    assert.equal(judgement.checks.find(({ check }) => check === "chain")?.status, "violated");
  });

// --- Theory ---------------------------------------------------------------------------------------------------------

test("a guard that rejects stale writes makes the data of every strategy hold", () => {
  for (const strategy of STRATEGY_NAMES)
    for (const guard of ["version", "fence-claim"] as const)
      assert.equal(theoryOf({ strategy, guard, workers: 4 }).data, "holds");
  assert.deepEqual(theoryOf({ strategy: "none", guard: "version", workers: 4 }), {
    data: "holds",
    exclusion: "unclaimed",
  });
  assert.deepEqual(theoryOf({ strategy: "redis", guard: "version", workers: 4 }), {
    data: "holds",
    exclusion: "holds",
  });
});

test("a guard changes nothing for a strategy that does not write under it", () => {
  for (const guard of GUARDS)
    assert.deepEqual(
      theoryOf({ strategy: "get-lock", guard, workers: 4 }),
      theoryOf({ strategy: "get-lock", guard: "none", workers: 4 }),
    );
  const theory = (mix: StrategyName[]) => theoryOf({ strategy: mix[0]!, mix, guard: "version", workers: 4 }).data;
  assert.deepEqual([theory(["redis", "none"]), theory(["get-lock", "version"])], ["holds", "violated"]);
});

describe("where nothing can be shown, nothing is claimed, and", () => {
  const unshown = (strategy: StrategyName, evidence: Evidence): Evidence => ({
    ...evidence,
    plan: { ...evidence.plan, strategy, expects: unproven(strategy, "operations hardly meet") },
  });
  test("a violation is one all the same", () => {
    const judgement = judge(unshown("redis", racing()));
    assert.deepEqual(values(judgement), ["violated", "violated", "mismatch"]);
    assert.match(judgement.reasons.join("; "), /^data should hold, but /);
    // No lock claims exclusion here, and a control may do anything.
    const early = withRows(serial(100), (rows) => {
      rows[50]!.readAtUs -= 1_500;
    });
    assert.equal(judge(unshown("version", early)).agreement, "expected");
    assert.equal(judge(unshown("redis", early)).agreement, "mismatch");
    assert.equal(judge(unshown("none", racing())).agreement, "expected");
  });
  test("what was not seen leaves it unknown", () => {
    assert.equal(judge(unshown("redis", serial(100))).agreement, "expected");
    const lost = judge(unshown("redis", withLost(serial(100), 2, "killed")));
    assert.deepEqual([lost.agreement, lost.reasons], ["unknown", ["worker-2 was lost: killed"]]);
  });
  test("the whole report is violated by it", () => {
    const theory = { data: "unclaimed", exclusion: "unclaimed", unbroken: ["data"] } as const;
    assert.equal(judgeReport([run("none"), { ...broken("redis"), expects: theory }]).exitCode, 1);
    const aside = { ...run("redis"), exclusion: { value: "violated", count: 1, reasons: ["overlap"] } } as const;
    assert.equal(judgeReport([run("none"), { ...aside, expects: theory }]).exitCode, 0);
  });
});

test("a token checked only on the write promises nothing more than its strategy", () => {
  for (const strategy of STRATEGY_NAMES)
    assert.deepEqual(
      theoryOf({ strategy, guard: "fence-write", workers: 4 }),
      theoryOf({ strategy, guard: "none", workers: 4 }),
    );
});

test("a control is one only where it is expected to fail", () => {
  const controls = (workers: number) =>
    STRATEGY_NAMES.flatMap((strategy) =>
      GUARDS.filter((guard) => isControl({ strategy, guard, workers })).map((guard) => `${strategy} ${guard}`),
    );
  assert.deepEqual(controls(4), ["none none", "none fence-write", "memory none", "memory fence-write"]);
  assert.deepEqual(controls(1), ["none none", "none fence-write"]);
});

test("a mutex in memory holds for many loops of one worker", () => {
  const { evidence } = simulate(serialTurns(100, 1), { strategy: "memory", concurrency: 2 });
  const loops = withRows(evidence, (rows) => {
    for (const [index, row] of rows.entries()) {
      if (index % 2 === 1) row.op += 2 ** 28;
      if (index % 2 === 0 && index > 0) row.readOp += 2 ** 28;
    }
  });
  const { writer, attempted, acknowledged } = evidence.workers[0]!.final!.writers[0]!;
  const half = (mask: number) => Buffer.from(acknowledged, "base64").map((byte) => byte & mask);
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
  const writers = [writer, writer + 1].map((id, index) => ({
    writer: id,
    attempted,
    acknowledged: base64(half(index === 0 ? 0b01010101 : 0b10101010)),
    unknown: [],
  }));
  // What one loop was told is rejected for the other one.
  const counts = { committed: attempted, rejected: attempted, unknown: 0 };
  const scraped = evidence.prometheus!.workers.map((worker) => ({ ...worker, ...counts }));
  const both = {
    ...withFinal(loops, 0, { writers, ...counts, errors: [error("lock-wait-timeout", attempted)] }),
    prometheus: { ...evidence.prometheus!, workers: scraped, operation: { count: 2 * attempted } },
    writers: writers.map(({ writer }, loop) => ({ id: writer, worker: 0, loop, uid: "uid-0" })),
    final: [{ ...evidence.final[0]!, lastOp: evidence.final[0]!.lastOp + 2 ** 28 }],
  };
  assert.deepEqual(values(judge(both)), ["holds", "holds", "expected"]);
});

// --- The report -----------------------------------------------------------------------------------------------------

const run = (
  strategy: StrategyName,
  change: Partial<Omit<JudgedRun, "plan">> & { workers?: number } = {},
): JudgedRun => {
  const { workers = 4, guard = "none", ...rest } = change;
  const setting = { strategy, workers, guard };
  const expects = theoryOf(setting);
  const verdict = (expected: string) =>
    expected === "violated"
      ? ({ value: "violated", count: 3, reasons: ["3 of 9 writes were stale"] } as const)
      : ({ value: "holds", operations: 900, rateBelow: 3 / 900 } as const);
  return {
    strategy,
    guard,
    plan: { ...SETTINGS, workers },
    expects,
    control: isControl(setting),
    data: verdict(expects.data),
    exclusion: verdict(expects.exclusion),
    agreement: "expected",
    reasons: [],
    ...rest,
  };
};
const broken = (strategy: StrategyName) =>
  run(strategy, {
    data: { value: "violated", count: 12, reasons: ["12 stale"] },
    agreement: "mismatch",
    reasons: ["data should hold, but 12 stale"],
  });
const unknown = (strategy: StrategyName) =>
  run(strategy, {
    data: { value: "unknown", reasons: ["worker-2 was lost"] },
    agreement: "unknown",
    reasons: ["worker-2 was lost"],
  });
const unbroken = (strategy: StrategyName) =>
  run(strategy, {
    data: { value: "holds", operations: 900, rateBelow: 3 / 900 },
    agreement: "mismatch",
    reasons: ["data should be violated, but 900 operations show no violation"],
  });

test("all as theory expects", () => {
  const names = ["none", "memory", "redis", "row-lock", "version"] as const;
  assert.deepEqual(judgeReport(names.map((name) => run(name))), {
    value: "expected",
    line: 'VERDICT: as theory expects: "none", "memory" violated; "redis", "row-lock", "version" hold (exit 0)',
    exitCode: 0,
    reasons: [],
  });
  assert.match(judgeReport([run("none"), run("redis")]).line, /"none" violated; "redis" holds \(exit 0\)/);
  assert.match(judgeReport([run("none")]).line, /theory expects: "none" violated \(exit 0\)/);
  assert.match(judgeReport([run("none"), run("redis", { guard: "version" })]).line, /"redis\+version" holds/);
});

test("a strategy that should hold and was violated is exit 1, before everything that is unknown", () => {
  const verdict = judgeReport(
    [run("none"), broken("redis"), unknown("version")],
    [{ strategy: "row-lock", reason: "interrupted" }],
  );
  assert.deepEqual([verdict.value, verdict.exitCode], ["violated", 1]);
  assert.equal(verdict.line, 'VERDICT: violated: "redis" should hold and did not (exit 1)');
  assert.deepEqual(verdict.reasons, [
    '"redis": data should hold, but 12 stale',
    '"row-lock" was not run: interrupted',
    '"version": worker-2 was lost',
  ]);
  // The violation itself shows that the checks can detect one.
  assert.equal(judgeReport([broken("redis")]).exitCode, 1);
  const exclusion = run("redis", {
    exclusion: { value: "violated", count: 1, reasons: ["overlap"] },
    agreement: "mismatch",
  });
  assert.equal(judgeReport([run("none"), exclusion]).exitCode, 1);
});

test("a control that is not violated makes the whole report unknown", () => {
  const verdict = judgeReport([unbroken("none"), run("redis")]);
  assert.deepEqual([verdict.value, verdict.exitCode], ["unknown", 3]);
  assert.equal(
    verdict.line,
    'VERDICT: unknown: "none" (positive control): data should be violated, but 900 operations show no violation (exit 3)',
  );
  assert.equal(judgeReport([run("none"), unbroken("memory"), run("redis")]).exitCode, 3);
});

test("an unknown run, a run that was not made, and no run at all are unknown", () => {
  const verdict = judgeReport([run("none"), unknown("redis"), unknown("version")]);
  assert.equal(verdict.exitCode, 3);
  assert.equal(verdict.line, 'VERDICT: unknown: "redis": worker-2 was lost; and 1 more (exit 3)');
  assert.equal(judgeReport([run("none")], [{ strategy: "redis", reason: "interrupted by SIGINT" }]).exitCode, 3);
  assert.deepEqual(judgeReport([]).reasons, ["no run was made"]);
  assert.equal(judgeReport([]).exitCode, 3);
});

test("without a positive control the report is unknown and says what to add", () => {
  const verdict = judgeReport([run("redis"), run("version")]);
  assert.equal(verdict.exitCode, 3);
  assert.match(
    verdict.reasons[0]!,
    /no positive control ran, so this report proves nothing: add "none" or "memory" to --strategies/,
  );
  const guarded = judgeReport([run("none", { guard: "version" }), run("redis", { guard: "version" })]);
  assert.match(
    guarded.reasons[0]!,
    /behind this guard even "none" is expected to hold; also run "none" with --guard none/,
  );
  const alone = judgeReport([run("memory", { workers: 1 })]);
  assert.match(alone.reasons[0]!, /ran: "memory" is expected to hold here/);
});

test("a Redis that lets a user do what it must not is a violation, whatever the strategies did", () => {
  const probe = { user: "lock", attempt: "FLUSHALL", answer: "OK" };
  const runs = [run("none"), run("redis")];
  const verdict = judgeReport(runs, [], [{ ...probe, outcome: "allowed" }]);
  assert.equal(verdict.exitCode, 1);
  assert.match(verdict.line, /Redis lets user "lock" run FLUSHALL/);
  assert.equal(judgeReport(runs, [], [{ ...probe, outcome: "refused" }]).exitCode, 0);
  // A server that does not have the command has not let anybody run it.
  const missing = { ...probe, outcome: "unanswered", answer: "ERR unknown command 'FLUSHALL'" } as const;
  assert.deepEqual(judgeReport(runs, [], [missing]).reasons, []);
  assert.equal(judgeReport(runs, [], [missing]).exitCode, 0);
});
