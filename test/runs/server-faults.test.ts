/**
 * Faults of the servers, as the scenario `faults` plans them. Each must break something that theory says it breaks, or a
 * planted bug: a fault that breaks nobody may not have happened.
 */
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { RunReport } from "../../coordinator/judge/report-data.ts";
import { expectedUnder } from "../../coordinator/plan/fault-theory.ts";
import type { ServerFaultName } from "../../coordinator/plan/run-plan.ts";
import { planRuns } from "../../coordinator/plan/scenarios/index.ts";
import { readRunOptions } from "../../coordinator/plan/settings.ts";
import { untilTaken } from "../../coordinator/platform/fault-maker.ts";
import { createLocalFaultMaker, faultedServers } from "../../coordinator/platform/local/faults.ts";
import { failOverToNew } from "../../coordinator/platform/local/restart-faults.ts";
import { findClockLibraries } from "../../coordinator/platform/local/servers/fake-clock.ts";
import type { MakeFault } from "../../coordinator/platform/platform.ts";
import { catchUp } from "../../coordinator/platform/redis-failover.ts";
import type { Guard, StrategyName } from "../../worker/contract.ts";
import { createRig, type Meddling, type Rig } from "../support/rig.ts";

let rig: Rig;
before(async () => {
  rig = await createRig({ redisServers: 3, fakeClocks: true });
});
after(() => rig[Symbol.asyncDispose]());

/** A run with some faults at once, as the scenario makes each of them. */
async function run(
  strategy: StrategyName,
  faults: readonly ServerFaultName[],
  guard: Guard = "none",
  meddling: Meddling = {},
) {
  const plans = faults.map((fault) => planOf(strategy, fault, guard));
  const report = await rig.run(strategy, oneAfterTheOther(plans), meddling);
  const times = report.faultTimes ?? [];
  const made = new Set(times.map(({ server }) => server));
  assert.deepEqual([...made].sort(), [...faults].sort(), JSON.stringify(report.problems));
  const startedAtMs = Date.parse(report.startedAt);
  for (const { startedAtUs, endedAtUs } of times) {
    const afterMs = startedAtUs / 1_000 - startedAtMs;
    assert.ok(afterMs > 0 && afterMs < 60_000 && endedAtUs >= startedAtUs, "by the database's clock");
  }
  await rig.leavesNothing(faults.join(" and "), strategy);
  return report;
}

/** One plan with the faults of all. A server that is away cannot be ended, so the later ones come later. */
function oneAfterTheOther(plans: readonly ReturnType<typeof planOf>[]) {
  const durationMs = plans.reduce((sum, plan) => sum + (plan.durationMs ?? 0), 0);
  const serverFaults = plans.flatMap(({ serverFaults = [] }, place) =>
    serverFaults.map((fault) => ({ ...fault, afterMs: fault.afterMs + (durationMs * place) / plans.length })),
  );
  return { ...plans[0], durationMs, serverFaults };
}

/** A fault that lasts a moment happens often enough to meet a holder, also on a slow machine. */
const DURATIONS: Partial<Record<ServerFaultName, string>> = {
  "lock-deleted": "8s",
  "redis-data-loss": "8s",
  "clock-jump": "5s",
};

function planOf(strategy: StrategyName, fault: ServerFaultName, guard: Guard) {
  const options = { scenario: "faults", strategies: [strategy], faults: [fault], duration: DURATIONS[fault] };
  const { settings } = readRunOptions(options);
  const plan = planRuns(settings).find((each) => each.serverFaults !== undefined);
  return { ...plan, guard, expects: expectedUnder(strategy, fault, guard) };
}

/** Libraries that a machine may lack must be there in CI. */
const noClocks = process.env.CI === undefined && (await findClockLibraries()) === undefined;
const reasonToSkip = (...faults: readonly ServerFaultName[]) =>
  noClocks && faults.includes("clock-jump") && '"make test" installs libfaketime from Debian and Ubuntu';

const told = ({ data, exclusion, agreement, reasons, errors, problems, faults }: RunReport) =>
  JSON.stringify({ data, exclusion, agreement, reasons, errors, problems, faults });

const broken: readonly (readonly [strategy: StrategyName, fault: ServerFaultName])[] = [
  ["redis", "lock-deleted"],
  ["redis", "redis-data-loss"],
  ["seed-mutex", "redis-stall"],
  ["redis", "redis-restart"],
  ["redlock", "redlock-amnesia"],
  ["redis", "redis-failover"],
  ["redis", "clock-jump"],
];
for (const [strategy, fault] of broken)
  test(`${strategy} breaks under ${fault}, as theory says`, { skip: reasonToSkip(fault) }, async () => {
    const report = await run(strategy, [fault]);
    assert.deepEqual([report.data.value, report.agreement], ["violated", "expected"], told(report));
    assert.ok(report.lostUpdates! > 0);
  });

const held: readonly (readonly [strategy: StrategyName, faults: ServerFaultName[], guard: Guard])[] = [
  ["redis", ["lock-deleted"], "fence-claim"],
  ["redis", ["clock-jump"], "fence-claim"],
  ["redis", ["redis-stall"], "none"],
  ["row-lock", ["foreign-writer"], "none"],
  ["row-lock", ["mysql-kill-connections"], "none"],
];
for (const [strategy, faults, guard] of held)
  test(`${strategy} with guard ${guard} holds under ${faults.join(" and ")}`, {
    skip: reasonToSkip(...faults),
  }, async () => {
    const report = await run(strategy, faults, guard);
    assert.deepEqual([report.data.value, report.agreement], ["holds", "expected"], told(report));
  });

test("a foreign writer is named, and the lock is not accused", async () => {
  const report = await run("redis", ["foreign-writer"]);
  assert.deepEqual(
    [report.data.value, report.exclusion.value, report.agreement],
    ["violated", "holds", "expected"],
    told(report),
  );
  const witnesses = report.checks.flatMap((check) => check.witnesses.map(({ text }) => text)).join("\n");
  assert.match(witnesses, /the foreign writer's raise of 5 was lost/);
});

test("redlock goes on while one of three servers is down, stands still while two are, and holds", async () => {
  const pids = () => rig.servers.redis!.started.map(({ process }) => process.pid);
  const before = pids();
  const report = await run("redlock", ["redlock-minority", "redlock-majority"]);
  assert.deepEqual([report.data.value, report.agreement], ["holds", "expected"], told(report));
  assert.deepEqual(
    pids().map((pid, server) => pid === before[server]),
    [true, false, false],
  );
  const [minority, majority] = report.faultTimes!;
  const { lockTtlMs } = report.plan;
  // The servers are away from their end on, and a lock that was taken before ends after a TTL at most.
  const away = ({ startedAtUs }: { startedAtUs: number }) =>
    writtenBetween(report.run, startedAtUs + lockTtlMs * 1_000, startedAtUs + lockTtlMs * 1_500);
  assert.ok((await away(minority!)) > 0);
  assert.equal(await away(majority!), 0);
  assert.ok(report.quietSeconds! > 0.4 * (lockTtlMs / 1_000), told(report));
});

/** Writes of a run between two times by the database's clock. */
async function writtenBetween(run: string, fromUs: number, untilUs: number) {
  const { ledger } = await rig.database.snapshot(run);
  return ledger.writtenAtUs.filter((atUs) => atUs > fromUs && atUs < untilUs).length;
}

test("redis holds under a restart with its data and while its rights are revoked or its password is another one, and all have happened", async () => {
  const { process: server, folder } = rig.servers.redis!.started[0]!;
  const before = server.pid;
  const report = await run("redis", ["redis-restart-saved", "acl-revoked", "password-rotated"]);
  assert.deepEqual([report.data.value, report.agreement], ["holds", "expected"], told(report));
  assert.notEqual(server.pid, before);
  assert.ok(!(await readdir(folder)).includes("dump.rdb"), "the next restart comes back empty");
  const refused = report.errors.filter((error) => error.class === "LockDenied");
  assert.deepEqual(
    refused.map(({ outcome }) => outcome),
    ["rejected"],
  );
});

test("row-lock holds under a restart and a crash of MySQL, and both have happened", async () => {
  const processes = new Set<number>();
  const note = () => {
    // None while it starts.
    const { pid } = rig.servers.mysql!.process;
    if (pid !== undefined) processes.add(pid);
  };
  note();
  const report = await run("row-lock", ["mysql-restart", "mysql-crash"], "none", { whileRunning: note });
  note();
  assert.deepEqual([report.data.value, report.agreement], ["holds", "expected"], told(report));
  assert.equal(processes.size, 3, `processes ${[...processes].join()}`);
  assert.match(report.notes!.join(), /^MySQL restarted during this run \(innodb_flush_log_at_trx_commit 1\)$/);
});

test("a run continues when MySQL has been away for longer than its planned duration, and can be judged", async () => {
  const { process: server } = rig.servers.mysql!;
  const slow: MakeFault = async () => {
    await server.stop("SIGTERM");
    await sleep(3_000);
    await server.start();
  };
  const serverFaults = [{ name: "mysql-restart", afterMs: 500, everyMs: 2_500, times: 1, forMs: 0 }] as const;
  const plan = { ...planOf("row-lock", "mysql-restart", "none"), durationMs: 2_500, serverFaults };
  const report = await rig.run("row-lock", plan, { makeFault: slow });
  assert.deepEqual([report.data.value, report.agreement, report.problems], ["holds", "expected", []], told(report));
  const { before, during, after } = report.faultWrites!;
  assert.ok(before > 0 && after > before, JSON.stringify({ before, during, after }));
});

test("a MySQL that acknowledges commits before they are on disk loses some in a crash, and the report names it", async () => {
  await using careless = await createRig({ mysqlOptions: ["--innodb-flush-log-at-trx-commit=0"] });
  const report = await careless.run("row-lock", {
    ...planOf("row-lock", "mysql-crash", "none"),
    durationMs: 3_000,
  });
  assert.equal(report.agreement, "mismatch", told(report));
  assert.match(told(report), /acknowledged/);
});

test("a Redis that comes back without what it should have saved is seen", async () => {
  const unsaved: MakeFault = (fault, during) =>
    createLocalFaultMaker(rig.servers)({ ...fault, name: "redis-restart" }, during);
  const plan = planOf("redis", "redis-restart-saved", "none");
  const report = await rig.run("redis", { ...plan, durationMs: 4_000 }, { makeFault: unsaved });
  assert.equal(report.agreement, "mismatch", told(report));
});

test("redis holds over a failover to a replica that is in step, so it is the lag that breaks it", async () => {
  const before = rig.servers.redis!.started[0]!.process.pid;
  const inStep: MakeFault = (fault, during) =>
    failOverToNew(rig.servers, { servers: faultedServers(rig.servers), fault, ...during }, async (making, pairs) => {
      await untilTaken(making);
      await catchUp(making, pairs);
    });
  // With the operations of a run that holds, of which there must be enough.
  const plan = planOf("redis", "redis-restart-saved", "none");
  const serverFaults = [{ name: "redis-failover", afterMs: 500, everyMs: 1_000, times: 1, forMs: 0 }] as const;
  const report = await rig.run("redis", { ...plan, durationMs: 4_000, serverFaults }, { makeFault: inStep });
  assert.deepEqual([report.data.value, report.agreement], ["holds", "expected"], told(report));
  assert.equal(report.faultTimes?.length, 1, told(report));
  assert.notEqual(rig.servers.redis!.started[0]!.process.pid, before);
});

test("writes-elsewhere is seen in row-lock when connections are killed", async () => {
  const report = await run("row-lock", ["mysql-kill-connections"], "none", { bug: "writes-elsewhere" });
  assert.equal(report.agreement, "mismatch", told(report));
});
