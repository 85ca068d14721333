import assert from "node:assert/strict";
import { test } from "node:test";
import { explanationsOf, notesOf } from "../../coordinator/judge/notes.ts";
import type { ServerStates } from "../../coordinator/judge/report-data.ts";
import { judge } from "../../coordinator/judge/run-verdict.ts";
import { serial, withRows } from "../support/histories.ts";

const REDIS = {
  ...{ run_id: "a", uptime_in_seconds: "500", role: "master", aof_enabled: "0" },
  ...{ maxmemory_policy: "noeviction", evicted_keys: "7", flushes: "1", asked_at_ms: "1000000" },
};
const MYSQL = {
  hostname: "db-0",
  Uptime: "500",
  read_only: "OFF",
  tx_isolation: "REPEATABLE-READ",
  asked_at_ms: "1000000",
};
/** Ten seconds later. */
const AFTER = "1010000";

function explain(redis: Record<string, string>, mysql: Record<string, string> = {}, before: ServerStates = {}) {
  const servers = {
    before: { redis: REDIS, mysql: MYSQL, ...before },
    after: {
      redis: { ...REDIS, uptime_in_seconds: "510", asked_at_ms: AFTER, ...redis },
      mysql: { ...MYSQL, Uptime: "510", asked_at_ms: AFTER, ...mysql },
    },
  };
  const evidence = serial(100);
  return explanationsOf({ ...evidence, plan: { ...evidence.plan, strategy: "redis" }, servers });
}

for (const [what, redis, mysql, note] of [
  ["nothing happened", {}, {}, ""],
  ["an uptime that is rounded", { uptime_in_seconds: "509" }, { Uptime: "509" }, ""],
  [
    "evictions",
    { evicted_keys: "1240", maxmemory_policy: "noeviction" },
    {},
    /evicted 1,233 keys .*\(maxmemory-policy noeviction\)/,
  ],
  [
    "a restart",
    { run_id: "b", uptime_in_seconds: "4", evicted_keys: "0", flushes: "0" },
    {},
    /^Redis restarted .*\(aof_enabled 0\)/,
  ],
  [
    "another server",
    { run_id: "b", uptime_in_seconds: "90000", evicted_keys: "0", flushes: "0" },
    {},
    /^another Redis answered .*failover/,
  ],
  ["a demotion", { role: "slave" }, {}, /^Redis changed its role from master to slave/],
  ["a flush", { flushes: "3" }, {}, /^Redis was flushed 2 times/],
  [
    "another policy",
    { maxmemory_policy: "allkeys-lru" },
    {},
    /^maxmemory-policy changed from noeviction to allkeys-lru/,
  ],
  ["a restart of MySQL", {}, { Uptime: "6" }, /^MySQL restarted during this run/],
  [
    "a failover of MySQL",
    {},
    { hostname: "db-1", Uptime: "90000" },
    /^MySQL on db-0 answered before this run, MySQL on db-1 after it/,
  ],
  [
    "another isolation level",
    {},
    { tx_isolation: "READ-COMMITTED" },
    /^tx_isolation of MySQL changed from REPEATABLE-READ to READ-COMMITTED/,
  ],
] as const)
  test(`what the servers did: ${what}`, () => {
    const notes = explain(redis, mysql);
    assert.equal(notes.length, note === "" ? 0 : 1, notes.join());
    if (note !== "") assert.match(notes[0]!, note);
  });

test("another server of a Galera cluster has the same commits", () => {
  const mysql = { ...MYSQL, wsrep_on: "ON" };
  assert.deepEqual(explain({}, { hostname: "db-1", Uptime: "90000", wsrep_on: "ON" }, { mysql }), []);
});

test("a server that does not answer is named", () => {
  assert.deepEqual(explain({}, {}, { redis: undefined }), [
    "Redis did not answer the coordinator at the start or end of this run",
  ]);
});

test("a note is a reason only where the run is not as expected, and only if it can be the cause", () => {
  const servers = {
    before: { redis: REDIS, mysql: MYSQL },
    after: {
      redis: { ...REDIS, evicted_keys: "9", asked_at_ms: AFTER },
      mysql: { ...MYSQL, Uptime: "510", asked_at_ms: AFTER },
    },
  };
  const whole = serial(100);
  const duplicates = { series: 2, labels: ["job"] };
  const held = {
    ...whole,
    plan: { ...whole.plan, strategy: "redis" as const },
    prometheus: { ...whole.prometheus!, duplicates },
    servers,
  };
  assert.deepEqual(judge(held).reasons, []);
  assert.equal(notesOf(held).length, 2);
  const broken = withRows(held, (rows) => {
    rows[50]!.readVersion -= 1;
  });
  const { agreement, reasons } = judge(broken);
  assert.equal(agreement, "mismatch");
  assert.match(reasons.at(-1)!, /^Redis evicted 2 keys/);
  assert.doesNotMatch(reasons.join(), /series/);
});

test("a Redis that had just been started and restarts early in the run is no failover", () => {
  const before = { redis: { ...REDIS, uptime_in_seconds: "1" } };
  const [note] = explain({ run_id: "b", uptime_in_seconds: "8", evicted_keys: "0", flushes: "0" }, {}, before);
  assert.match(note!, /^Redis restarted during this run/);
});

test("a run that took longer than planned has a note, unless a fault of a server made it longer", () => {
  const planned = serial(800);
  assert.deepEqual(notesOf(planned), []);
  const long = { ...planned, plan: { ...planned.plan, durationMs: planned.plan.durationMs / 4 } };
  const [note, ...others] = notesOf(long);
  assert.match(
    note!,
    /^the operations took .* in place of .*: 2\d\d operations had been committed in the planned time$/,
  );
  assert.deepEqual(others, []);
  assert.deepEqual(notesOf({ ...long, plan: { ...long.plan, serverFaults: [] } }), []);
});
