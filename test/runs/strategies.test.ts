/** Each strategy in a run as theory expects and, if theory says that it can fail, in a run in which it fails. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Redis } from "ioredis";
import { OPERATIONS_MIN } from "../../coordinator/judge/checks/vacuity.ts";
import type { RunReport } from "../../coordinator/judge/report-data.ts";
import { missingFor } from "../../coordinator/plan/requirements.ts";
import { planRuns } from "../../coordinator/plan/scenarios/index.ts";
import { readRunOptions } from "../../coordinator/plan/settings.ts";
import {
  LOCK_KEY_PREFIX,
  LOCK_SERVICES,
  rowsMin,
  STRATEGIES,
  STRATEGY_NAMES,
  type StrategyFacts,
  type StrategyName,
} from "../../worker/contract.ts";
import { startCuttingProxy } from "../support/cutting-proxy.ts";
import { createRig, type Rig } from "../support/rig.ts";

let rig: Rig;
before(async () => {
  const lockServices = LOCK_SERVICES.filter((service) => STRATEGY_NAMES.some((name) => name === service));
  rig = await createRig({ redisServers: 3, lockServices });
});
after(() => rig[Symbol.asyncDispose]());

function assertHolds(report: RunReport) {
  assert.equal(report.data.value, "holds", `${JSON.stringify(report.data)} ${report.problems}`);
  assert.equal(report.agreement, "expected", report.reasons.join("; "));
  assert.equal(report.lostMoney, 0);
}

const checkOf = (report: RunReport, name: string) => report.checks.find(({ check }) => check === name)!;
const countOf = (report: RunReport, errorClass: string, outcome: string) =>
  report.errors.find((error) => error.class === errorClass && error.outcome === outcome)?.count ?? 0;

/**
 * A worker that has just released a polled lock takes it again at once, unless it pauses. Longer than usual for busy
 * machines.
 */
const UNFAIR = { durationMs: 2_500, pauseMs: 10 };

/** What a run of a strategy shows in addition to the law. */
const FURTHER: Partial<Record<StrategyName, (report: RunReport) => void>> = {
  "shared-row-lock"(report) {
    assert.ok(countOf(report, "deadlock", "retried") > 0, "every deadlock is rolled back, retried and counted");
  },
  version({ drawing, reported }) {
    const drawn = drawing?.rejected?.reduce((sum, count) => sum + count, 0) ?? 0;
    assert.equal(drawn, reported.rejected, "each rejection is drawn where it happened");
  },
  nested(report) {
    assert.ok(report.ledgerRows > (report.operations?.committed ?? 0), "transfers change two rows");
  },
};

/** The law that every strategy of the list must pass: what theory expects of it is what its run shows. */
for (const strategy of STRATEGY_NAMES) {
  // test/own-lock/runs.test.ts has its runs: there is no program of its own.
  if (strategy === "own") continue;
  const facts: StrategyFacts = STRATEGIES[strategy];
  const here = { redisUrls: ["a", "b", "c"], missingServices: {}, missingFaults: {}, cluster: false };
  const [planned] = planRuns(readRunOptions({ strategies: [strategy], rows: rowsMin(strategy) }).settings);
  const missing = missingFor(planned!, here);
  if (missing !== undefined)
    test(`${strategy} is not run here, with the reason`, () => {
      assert.ok(facts.needs !== undefined, missing);
      assert.match(missing, /^needs /);
      assert.equal(missingFor(planned!, { ...here, cluster: true }), undefined);
    });
  else
    test(`${strategy}: data ${facts.expects.data}, exclusion ${facts.expects.exclusion}`, async (t) => {
      const notInstalled = (rig.servers.missing as Partial<Record<string, Error>>)[strategy];
      if (notInstalled !== undefined) return t.skip(notInstalled.message);
      const report = await rig.run(strategy, { ...UNFAIR, rows: rowsMin(strategy) });
      assert.equal(report.agreement, "expected", report.reasons.join("; "));
      assert.equal(report.data.value, facts.expects.data, JSON.stringify(report.data));
      if (facts.expects.exclusion !== "unclaimed") assert.equal(report.exclusion.value, facts.expects.exclusion);
      assert.equal(report.lostMoney === 0, facts.expects.data === "holds", `${report.lostMoney} lost`);
      for (const check of ["set", "metrics"]) assert.equal(checkOf(report, check).status, "holds", check);
      FURTHER[strategy]?.(report);
    });
}

test("nested without its process lock: money comes from nowhere", async () => {
  const report = await rig.run("nested", { rows: 4 }, { bug: "no-process-lock" });
  assert.equal(report.data.value, "violated");
  assert.equal(report.agreement, "mismatch");
  assert.ok((report.lostMoney ?? 0) < 0, `lost ${report.lostMoney}`);
  assert.ok(checkOf(report, "chain").witnesses.every(({ text }) => text.startsWith("employee 1: ")));
});

test("a worker that a busy node starts late: the others continue, so all run together for the planned duration", async () => {
  const report = await rig.run("row-lock", {}, { bug: "starts-late" });
  assertHolds(report);
  assert.equal(report.overlap, 1);
  assert.ok(report.seconds > 2, `${report.seconds} s from the first start to the last end, 1.5 were planned`);
});

test("a run whose planned time is too short for a verdict goes on until it has enough operations", async () => {
  const report = await rig.run("row-lock", { durationMs: 500, holdMs: 60 });
  assertHolds(report);
  assert.ok(report.ledgerRows >= OPERATIONS_MIN);
  const note = /in place of 500 ms: (\d+) operations? had been committed in the planned time/;
  assert.ok(Number(note.exec(report.notes?.join() ?? "")?.[1]) < OPERATIONS_MIN, `${report.notes}`);
});

/** Now and then one worker holds its lock for longer than the TTL, which is longer than a busy machine is stalled. */
const OUTSTAYED = {
  durationMs: 3_000,
  lockTtlMs: 600,
  fault: { at: "after-read", action: "sleep", worker: 0, afterMs: 0, every: 6, forMs: 900 },
} as const;

test("seed-mutex with a holder that overruns its TTL: violated, with witnesses", async () => {
  const expects = { data: "violated", exclusion: "violated", because: "holders outstay the TTL" } as const;
  const report = await rig.run("seed-mutex", { ...OUTSTAYED, expects });
  assert.equal(report.data.value, "violated", JSON.stringify(report.data));
  assert.equal(report.exclusion.value, "violated");
  assert.equal(report.agreement, "expected", report.reasons.join("; "));
  assert.match(
    checkOf(report, "chain").witnesses[0]?.text ?? "",
    /worker-\d wrote version \d+ based on version \d+: .*lost/,
  );
});

test("redis with the same holder and extension: holds", async () => {
  assertHolds(await rig.run("redis", OUTSTAYED));
});

// A holder with two votes of three that loses one of them can be joined by another: theory promises nothing here, and the
// report must say what the ledger shows, whichever it is.
test("redlock with its key lost on one server: the report says what the ledger shows", async () => {
  const { urls, passwords } = rig.servers.redis!;
  const connection = new Redis(urls[0]!, { username: "lock", password: passwords.lock, enableReadyCheck: false });
  let key = "";
  let lost = 0;
  const thief = setInterval(async () => {
    if (key !== "") lost += await connection.del(key);
  }, 10);
  try {
    const report = await rig.run("redlock", UNFAIR, {
      whileRunning: (roster) => {
        key = `${LOCK_KEY_PREFIX}${roster.run}/1`;
      },
    });
    const stale = Number(await rig.stale(report.run));
    assert.equal(report.lostUpdates, stale);
    assert.equal(report.data.value, stale > 0 ? "violated" : "holds", JSON.stringify(report.data));
    assert.ok(report.ledgerRows > 0);
    assert.ok(lost > 0, "keys were there to be lost");
  } finally {
    clearInterval(thief);
    connection.disconnect();
  }
});

const killOnce = (pid: number) => {
  let killed = false;
  return () => {
    if (!killed) process.kill(pid, "SIGKILL");
    killed = true;
  };
};

test("redlock with one of three servers down: holds", async () => {
  const third = rig.servers.pids.at(-1)!;
  assertHolds(await rig.run("redlock", UNFAIR, { whileRunning: killOnce(third) }));
});

test("redlock with two of three servers down: no progress, for a clear reason, and nothing is lost", async () => {
  const second = rig.servers.pids.at(-2)!;
  const report = await rig.run("redlock", { ...UNFAIR, lockTimeoutMs: 1_000 }, { whileRunning: killOnce(second) });
  for (const check of ["chain", "value", "set", "metrics"]) assert.equal(checkOf(report, check).status, "holds", check);
  assert.equal(report.lostMoney, 0);
  const refused = report.errors.find((error) => error.class === "LockUnreachable");
  assert.match(refused?.example ?? "", /no majority of the 3 Redis servers could .*2 must be up/);
});

test("redlock with two of three servers down from the start: not started, for the same reason", async () => {
  const report = await rig.run("redlock", { lockTimeoutMs: 500 });
  assert.equal(report.data.value, "unknown");
  assert.match(JSON.stringify(report.data), /no majority of the 3 Redis servers could be reached/);
  assert.equal(report.ledgerRows, 0);
});

// A transaction ends with a round trip that commits; a write without a transaction is itself such a round trip.
for (const strategy of ["row-lock", "redis"] as const)
  test(`a connection cut during COMMIT of ${strategy}: unknown, and the ledger resolves it by the operation's id`, async () => {
    const target = new URL(rig.servers.mysql!.url);
    await using proxy = await startCuttingProxy(target, 15);
    const through = Object.assign(new URL(target), { port: String(proxy.port) });
    const report = await rig.run(strategy, {}, { environment: { MYSQL_URL: through.href } });
    assertHolds(report);
    assert.ok(proxy.cuts.before > 0 && proxy.cuts.after > 0, JSON.stringify(proxy.cuts));
    const unknown = proxy.cuts.before + proxy.cuts.after;
    assert.equal(report.reported.unknown, unknown);
    assert.equal(countOf(report, "commit-unanswered", "unknown"), unknown);
    assert.match(
      checkOf(report, "set").detail,
      new RegExp(`it has ${proxy.cuts.after} of ${unknown} operations of unknown outcome$`),
    );
  });

const skips: readonly (readonly [StrategyName, bug: string, reason: RegExp])[] = [
  ["file", "folders-of-their-own", /needs a folder that all workers share: 1 of 4 workers share /],
  ["redis-semaphore", "no-optional-packages", /npm package redis-semaphore is not installed/],
  ["redlock-npm", "no-optional-packages", /npm package redlock is not installed/],
];
for (const [strategy, bug, reason] of skips)
  test(`${strategy} is skipped where it cannot run: ${bug}`, async () => {
    await assert.rejects(rig.run(strategy, {}, { bug }), { name: "StrategyUnavailable", message: reason });
  });
