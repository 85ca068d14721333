/** The lines of a history: what is written is read back whole, and what does not fit is refused with its reason. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Evidence } from "../../coordinator/judge/evidence.ts";
import { createRunReader, parseReportLine, reportLine, runLines } from "../../coordinator/judge/history.ts";
import { listRows } from "../../coordinator/judge/ledger.ts";
import { serial, simulate, turns, withErrors, withLost, withRows } from "../support/histories.ts";
import { readBack, recordedOf, reportOf, wholeReport } from "../support/saved-history.ts";

/** As data, without what is undefined. */
const plain = ({ ledger, ...rest }: Evidence) => ({ ...JSON.parse(JSON.stringify(rest)), ledger: listRows(ledger) });

const serverFaults = [{ name: "redis-stall" as const, afterMs: 1, everyMs: 2, times: 1, forMs: 3 }];

/** One of everything that a history can have. */
const rich: Evidence = {
  ...withLost(
    withErrors(
      serial(50, 3, { rows: 2, strategy: "redis", guard: "version", repeat: 2, mysqlServers: 2, serverFaults }),
      1,
      [{ class: "deadlock", outcome: "rejected", count: 2, example: 'a "deadlock"\nin two lines\u2028' }],
    ),
    2,
    "killed by SIGKILL",
  ),
  servers: {
    before: { redis: { run_id: "a", uptime_in_seconds: "5", asked_at_ms: "1" }, mysql: { hostname: "db" } },
    after: { redis: { run_id: "b", uptime_in_seconds: "1", asked_at_ms: "9000" } },
  },
  serverFaults: [{ name: "redis-stall", startedAtUs: 1_000, endedAtUs: 2_000 }],
  problems: ["MySQL at db:3306: gone away; start it"],
};
const notRead: Evidence = { ...serial(0, 2), final: [], prometheus: undefined, problems: ["MySQL did not answer"] };
const notNumbers = withRows(serial(20), (rows) => {
  rows[3]!.raise = Number.NaN;
  rows[7]!.writtenAtUs = Number.NaN;
});

for (const [name, evidence] of Object.entries({ rich, notRead, notNumbers }))
  test(`the same evidence and the same report come out: ${name}`, () => {
    const recorded = recordedOf(evidence);
    assert.deepEqual(plain(readBack(recorded).evidence), plain(evidence));
    assert.deepEqual(reportOf(readBack(recorded)), reportOf(recorded));
  });

test("random histories, most of them with lost updates, are judged alike before and after", () => {
  let violated = 0;
  fc.assert(
    fc.property(turns(), (taken) => {
      const recorded = recordedOf(simulate(taken).evidence);
      const report = reportOf(readBack(recorded));
      assert.deepEqual(report, reportOf(recorded));
      if (report.data.value === "violated") violated++;
    }),
    { numRuns: 100, seed: 1 },
  );
  assert.ok(violated > 30, `${violated} of 100`);
});

test("a ledger that the database returned out of order is kept in serial order", () => {
  const recorded = recordedOf(withRows(simulate(turnsOfTwo).evidence, (rows) => rows.reverse()));
  assert.deepEqual(listRows(readBack(recorded).evidence.ledger), listRows(recorded.evidence.ledger));
});
const turnsOfTwo = Array.from({ length: 40 }, (_, index) => ({
  worker: index % 2,
  employee: (index % 2) + 1,
  raise: 1,
  end: "committed" as const,
  afterUs: 10,
}));

const lines = [...runLines(recordedOf(rich))].join("").trimEnd().split("\n");

for (const [what, change, reason] of [
  ["no line", () => [], /^is empty$/],
  ["a line that is cut", (all) => [...all.slice(0, -1), all.at(-1)!.slice(0, 30)], /^is not JSON: /],
  [
    "a missing write",
    (all) => all.slice(0, -1),
    /^has 49 lines of type "write", and its first line says 50: it was cut/,
  ],
  ["a second write of one line", (all) => [...all, all.at(-1)!], /^has 51 lines of type "write"/],
  ["no first line", (all) => all.slice(1), /^is not of a history of Holdfast$/],
  [
    "a later schema",
    (all) => [all[0]!.replace("history/v1", "history/v2"), ...all.slice(1)],
    /^has the schema holdfast\/history\/v2, and .* reads holdfast\/history\/v1: use the version/,
  ],
  ["an unknown type", (all) => [...all, '{"type":"salary"}'], /^is of no type of this schema: "salary"$/],
  ["null", (all) => [...all, "null"], /^is of no type of this schema: undefined$/],
  [
    "a word for a number",
    (all) => [...all.slice(0, -1), all.at(-1)!.replace(/"op":\d+/, '"op":"7"')],
    /^does not fit the schema: op: /,
  ],
  [
    "a field that is not known",
    (all) => [...all.slice(0, -1), all.at(-1)!.replace("{", '{"color":1,')],
    /^does not fit the schema: .*color/,
  ],
  [
    "an unknown strategy",
    (all) => [all[0]!.replace('"redis"', '"hope"'), ...all.slice(1)],
    /^does not fit the schema: plan\.strategy: /,
  ],
] as [string, (all: string[]) => string[], RegExp][])
  test(`${what} is refused in one sentence`, () => {
    const read = () => {
      const reader = createRunReader(100);
      for (const line of change([...lines])) reader.add(line);
      reader.finish();
    };
    assert.throws(read, (error: Error) => reason.test(error.message) && !error.message.includes("\n"));
  });

test("a first line that promises more rows than any memory has reserves none of them", () => {
  const reader = createRunReader(100);
  reader.add(lines[0]!.replace('"write":50', '"write":9007199254740991'));
  assert.throws(() => reader.finish(), /first line says/);
});

test("the line of a report is refused like that of a run, and so is a name that leads out of the folder", () => {
  assert.throws(() => parseReportLine(lines[0]!), /^Error: does not fit the schema: /);
  assert.throws(() => parseReportLine('{"schema":"holdfast/report/v2"}'), /is not of a history/);
  const line = reportLine(wholeReport([serial(20)]));
  assert.deepEqual(parseReportLine(line).runs, ["test"]);
  assert.throws(() => parseReportLine(line.replace('["test"]', '["../x"]')), /runs\.0: is not the name of a run/);
});
