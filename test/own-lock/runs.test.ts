/** Whole runs with locks of the user's own: one that holds, and one for each thing that can go wrong. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { RunReport } from "../../coordinator/judge/report-data.ts";
import type { RunPlan } from "../../coordinator/plan/run-plan.ts";
import { waitUntil } from "../../coordinator/wait.ts";
import { processesWith } from "../support/processes.ts";
import { createRig, type Rig } from "../support/rig.ts";

const LOCK = join(import.meta.dirname, "../support/run-lock.ts");

let rig: Rig;
before(async () => {
  rig = await createRig();
});
after(() => rig[Symbol.asyncDispose]());

/** A run with the lock of test/support/run-lock.ts, in one mode for each worker. */
function run(modes: string, changes: Partial<RunPlan> = {}): Promise<RunReport> {
  const ownLock = { name: "mine", command: [process.execPath, LOCK, modes] as const };
  return rig.run("own", { ownLock, workers: 2, durationMs: 1_000, lockTimeoutMs: 500, ...changes });
}

const folder = () => join(rig.servers.folder!, "locks");
const checkOf = (report: RunReport, name: string) => report.checks.find(({ check }) => check === name)!;
const lostOf = ({ reconciliation }: RunReport) => reconciliation.map(({ lost = "" }) => lost);

/** Other test files run the same program at the same time, but in another folder, and as children of their own. */
async function assertNothingLeft() {
  const look = () => {
    const { stdout } = spawnSync("ps", ["-eo", "ppid,args"], { encoding: "utf8" });
    const guardians = stdout.split("\n").filter((line) => /^ *1 .*read -r _; kill/.test(line));
    const left = [...processesWith(`HOLDFAST_LOCK_FOLDER=${folder()}`), ...guardians];
    return left.length === 0 ? undefined : `left: ${left.join(", ")}`;
  };
  await waitUntil(look, { deadlineMs: 10_000, signal: new AbortController().signal });
}

test("a lock that holds: its claims, its tokens, its round trip, and what it could see", async () => {
  const report = await run("none", { workers: 3, durationMs: 3_000 });
  assert.equal(report.data.value, "holds", `${JSON.stringify(report.data)} ${report.problems}`);
  assert.equal(report.agreement, "expected", report.reasons.join("; "));
  const { name, seen } = report.ownLock!;
  assert.equal(name, "mine");
  assert.equal(seen!.program, "symlink 2 (node)");
  assert.equal(seen!.claims.fencing, true);
  assert.equal(seen!.holds, seen!.tokensGrown);
  assert.ok(seen!.holds >= report.ledgerRows && report.ledgerRows >= 30, `${seen!.holds} ${report.ledgerRows}`);
  assert.ok(seen!.pingMs > 0);
  assert.equal(seen!.lossesTold, 0);
  assert.match(checkOf(report, "fence").detail, /^0 of \d+ tokens not newer/);
  const variables = readFileSync(join(folder(), "environment-0"), "utf8").split("\n");
  for (const name of ["HOLDFAST_LOCK_FOLDER", "HOLDFAST_LOCK_REDIS_URL", "PATH"])
    assert.ok(variables.includes(name), `${name} is missing in ${variables}`);
  const visible = /^(HOLDFAST_LOCK_\w+|PATH|HOME|LANG|TMPDIR|PWD|OLDPWD|SHLVL|_)$/;
  assert.deepEqual(
    variables.filter((variable) => !visible.test(variable)),
    [],
  );
  await assertNothingLeft();
});

test("a lock that lets everybody in with the same token: violated, also if one of its programs dies", async () => {
  const report = await run("open,open,open-dies", { workers: 3 });
  assert.equal(report.data.value, "violated", JSON.stringify(report.data));
  assert.equal(report.agreement, "mismatch");
  assert.equal(report.lostUpdates, await rig.stale(report.run));
  assert.equal(checkOf(report, "fence").status, "violated");
  assert.equal(report.ownLock?.seen?.tokensGrown, 2, "the first of each worker that lived");
  assert.match(lostOf(report).join(), /the program exited with 7: out of locks/);
});

/** Each mode with what the report says of its worker. */
const FAILURES: readonly Readonly<Record<string, RegExp>>[] = [
  {
    dies: /^the program exited with 7: out of locks$/,
    silent: /^the program did not answer "acquire" within 2500 ms$/,
    garbage: /^the program wrote a line that is not JSON: hello$/,
    "answers-twice": /^the program answered a message that does not wait for an answer: .*"pong"/,
  },
  {
    "floods-log": /^the program sent more than 10000 messages of type "log"$/,
    "long-line": /^the program wrote a line of more than 65536 bytes$/,
    "closes-stdin": /^the program closed its standard input \(.*EPIPE\)$/,
    denies: /^the program of lock "mine" answered denied: the licence has ended$/,
  },
];
for (const failures of FAILURES)
  test(`unknown, with the reason, and no process is left: ${Object.keys(failures).join(", ")}`, async () => {
    const report = await run(Object.keys(failures).join(), { workers: 4, durationMs: 1_500 });
    assert.equal(report.data.value, "unknown", JSON.stringify(report.data));
    assert.equal(report.agreement, "unknown");
    for (const [index, expected] of Object.values(failures).entries()) assert.match(lostOf(report)[index]!, expected);
    const [first] = report.reconciliation;
    if ("dies" in failures) assert.match(first!.log ?? "", /^mine: out of locks$/m);
    await assertNothingLeft();
  });

test("a program that refuses its configuration ends the run before the start, at once", async () => {
  const report = await run("refuses");
  assert.equal(report.data.value, "unknown");
  assert.match(lostOf(report).join(), /the program of lock "mine" answered config: no such folder/);
  assert.ok(report.wholeSeconds < 20, `${report.wholeSeconds} s of a start deadline of 30 s`);
});

// The lock extends its leases by itself. Were only the worker stalled, its program would go on and keep the lock.
test("a stall reaches the program: it loses its lease, and the write comes too late", async () => {
  const fault = { at: "before-write", action: "stall", worker: 0, forMs: 1_000, every: 4, afterMs: 0 } as const;
  const expects = { data: "unclaimed", exclusion: "unclaimed", because: "it is a lease" } as const;
  const report = await run("lease", { durationMs: 3_000, lockTtlMs: 400, lockTimeoutMs: 5_000, fault, expects });
  assert.equal(report.data.value, "violated", `${JSON.stringify(report.data)} ${report.problems}`);
  assert.equal(report.agreement, "expected", report.reasons.join("; "));
  assert.ok(report.ownLock!.seen!.lossesTold > 0);
});

test("the death of a worker reaches a program that ignores the end of its input", async () => {
  const fault = { at: "before-write", action: "die", worker: 0, forMs: 0, every: 1, afterMs: 300 } as const;
  const report = await run("stays,lease", {
    workers: 3,
    durationMs: 1_500,
    lockTtlMs: 400,
    lockTimeoutMs: 3_000,
    fault,
  });
  assert.equal(report.reconciliation[0]!.died, true);
  await assertNothingLeft();
});
