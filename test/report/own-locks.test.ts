/** A lock of the user's own in every form of the report: its name, its author's claims, and what was seen. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { compareReports } from "../../coordinator/judge/comparison.ts";
import { Report, type RunReport } from "../../coordinator/judge/report-data.ts";
import { reportFiles } from "../../coordinator/report/files.ts";
import { describeOwnLock } from "../../coordinator/report/own-locks.ts";
import type { OwnLockSeen } from "../../worker/contract.ts";
import { sampleReport } from "../support/sample-report.ts";

const SEEN: OwnLockSeen = {
  program: "flock 1.2 (Python)",
  claims: { exclusion: true, lease: false, fencing: true, fair: false, check: false },
  pingMs: 0.056,
  holds: 833,
  tokensGrown: 832,
  lossesTold: 1,
};

/** The sample report, with its run of `redis` as one of the lock `mine`. */
function withOwnLock(seen: OwnLockSeen | null = SEEN, changes: Partial<RunReport> = {}) {
  const report = sampleReport();
  const ownLock = seen === null ? { name: "mine" } : { name: "mine", seen };
  const runs = report.runs.map((run) =>
    run.strategy === "redis" ? { ...run, strategy: "own" as const, ownLock, ...changes } : run,
  );
  return Report.parse({ ...report, runs, options: { ...report.options, lock: ["mine=sh a,b.sh", "two=./two"] } });
}
const runOf = (report: ReturnType<typeof withOwnLock>) => report.runs.find(({ ownLock }) => ownLock !== undefined)!;

test("what its author claims, and what was seen of it", () => {
  const run = runOf(withOwnLock());
  const exclusion = (status: "violated" | "holds" | "unknown", count: number) => ({
    ...run,
    checks: [{ check: "exclusion", status, count, detail: "", witnesses: [] } as const],
  });
  const [title, pings, tokens, losses] = describeOwnLock(exclusion("violated", 5));
  assert.equal(title, "flock 1.2 (Python); its author claims exclusion and fencing");
  assert.match(
    pings!,
    /^a message to the program and its answer take 0\.06 ms \(median\), .*lock wait \(p50 [\d.]+ ms\)$/,
  );
  assert.equal(tokens, "fencing claimed: tokens grew in 832 of 833 holds");
  assert.equal(losses, "told of 1 loss in 833 holds, and 5 operations met another one inside");
  assert.equal(describeOwnLock(exclusion("unknown", 0)).at(-1), "told of 1 loss in 833 holds");
  const claims = { ...SEEN.claims, exclusion: false, fencing: false };
  const modest = describeOwnLock(runOf(withOwnLock({ ...SEEN, claims })));
  assert.match(modest[0]!, /; its author claims nothing$/);
  assert.equal(modest.length, 3);
  assert.deepEqual(describeOwnLock(runOf(withOwnLock(null))), [], "no worker gave final numbers");
});

test("every form names the lock, and says that the expectation is its author's", () => {
  const files = reportFiles(withOwnLock(null));
  const {
    "report.txt": text,
    "report.md": markdown,
    "report.html": page,
    "junit.xml": junit,
  } = reportFiles(withOwnLock());
  assert.doesNotMatch(String(files["report.txt"]), /Your own locks/);
  for (const form of [text, markdown, page]) {
    assert.match(String(form), /Your own locks: what their authors claim, and what was seen/);
    assert.match(String(form), /tokens grew in 832 of 833 holds/);
    assert.match(String(form), form === text ? /mine +HOLDS +HOLDS +as claimed/ : /as its author claims/);
  }
  // The page contains report.json, which has the name of the strategy as well.
  for (const form of [text, markdown, junit]) {
    assert.match(String(form), /\bmine\b/);
    assert.doesNotMatch(String(form), /["|>] ?own ?["|<]|^ {2}own /m);
  }
  assert.match(
    String(page),
    /--lock '?mine=sh a,b\.sh'? --lock (two=\.\/two|'two=\.\/two')|--lock &#39;mine=sh a,b\.sh&#39;/,
  );
  const broken = reportFiles(withOwnLock(SEEN, { agreement: "mismatch", reasons: ["data should hold"] }));
  assert.match(String(broken["report.txt"]), /NOT AS CLAIMED/);
});

test("two locks are not compared with each other", () => {
  const other = withOwnLock();
  const renamed = {
    ...other,
    runs: other.runs.map((run) => (run.ownLock ? { ...run, ownLock: { name: "yours" } } : run)),
  };
  assert.equal(compareReports(other, other, null).exitCode, 0);
  assert.deepEqual(compareReports(other, renamed, null).refused, ['"mine" ran only for the base report']);
});
