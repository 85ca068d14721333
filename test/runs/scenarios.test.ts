/** Each scenario as a user runs it, on real servers, shortened. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Report, type RunReport } from "../../coordinator/judge/report-data.ts";
import { answers } from "../../coordinator/report/answers.ts";
import { formatReport } from "../../coordinator/report/text.ts";
import { bareEnvironment } from "../support/environment.ts";

const MAIN = join(import.meta.dirname, "../../coordinator/main.ts");

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "holdfast-scenarios-"));
});
after(() => rm(folder, { recursive: true, force: true }));

/** Asserts that the report is as theory expects. */
async function expected(scenario: string, ...args: string[]): Promise<Report> {
  const env = bareEnvironment(folder);
  const child = spawn(process.execPath, [MAIN, "--scenario", scenario, "--json", ...args], {
    ...{ cwd: folder, env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [out, err] = ["", ""];
  child.stdout.on("data", (chunk) => (out += chunk));
  child.stderr.on("data", (chunk) => (err += chunk));
  const [status] = await once(child, "close");
  assert.equal(status, 0, out === "" ? err : Report.parse(JSON.parse(out)).verdict.reasons.join("\n"));
  const report = Report.parse(JSON.parse(out));
  assert.equal(report.scenario, scenario);
  assert.ok(report.verdict.value === "expected" && formatReport(report, { color: false, width: 100 }).length > 0);
  return report;
}

const shown = (report: Report) => answers(report).shown.join("\n");
const rejected = (run: RunReport | undefined) => run?.reported.rejected ?? 0;

describe("scenarios", () => {
  test("all", async () => {
    const { runs } = await expected("all", "--strategies", "none,get-lock,atomic", "--duration", "2s");
    assert.deepEqual(
      runs.map(({ data }) => data.value),
      ["violated", "holds", "holds"],
    );
  });

  test("benchmark: a fixed rate hides what an operation may cost", async () => {
    const report = await expected("benchmark", "--strategies", "none,row-lock", "--pause", "50ms", "--duration", "2s");
    const [, paced, , free] = report.runs;
    const beats = (4 * 2_000) / 50;
    assert.ok(paced!.ledgerRows <= beats + 4, `${paced!.ledgerRows} operations in ${beats} beats`);
    assert.ok(free!.ledgerRows > paced!.ledgerRows);
    assert.match(
      shown(report),
      /"row-lock": every 50 ms, .* ms on average and no errors; as fast as it can, .* ms on average/,
    );
  });

  test("contention: versions are refused more with more workers", async () => {
    const args = ["--strategies", "none,version", "--workers", "4", "--duration", "1500ms"];
    const { runs } = await expected("contention", ...args);
    assert.equal(runs.length, 12);
    const version = runs.filter(({ strategy, plan }) => strategy === "version" && plan.holdMs === 2);
    const shares = version.map((run) => rejected(run) / (run.reported.committed + rejected(run)));
    assert.equal(shares[0], 0);
    assert.ok(shares[2]! > 0, shares.join());
  });

  test("spread: with a key for each row, more rows mean less waiting", async () => {
    const report = await expected("spread", "--strategies", "none,redis", "--rows", "100");
    const redis = report.runs.filter(({ strategy }) => strategy === "redis");
    const throughput = (rows: number, keyScope: string) =>
      redis.find(({ plan }) => plan.rows === rows && plan.keyScope === keyScope)?.throughput ?? 0;
    assert.ok(throughput(100, "row") > throughput(100, "global"), "a global key makes them wait for each other");
    assert.match(shown(report), /"redis" with one key for all/);
  });

  test("ttl: which holder notices, what fails, and how long the next one waits after a death", async () => {
    const report = await expected(
      "ttl",
      "--strategies",
      "redis,seed-mutex,row-lock",
      "--lock-ttl",
      "1s",
      "--duration",
      "4s",
    );
    const [extended, plain, stalled, guarded, dead, seed, , rowLock] = report.runs;
    assert.ok(extended!.faults?.length === 1 && extended!.data.value === "holds");
    assert.ok(
      plain!.errors.some((error) => error.class === "LockLost"),
      JSON.stringify(plain!.errors),
    );
    assert.ok(stalled!.lostUpdates! > 0 && seed!.lostUpdates! > 0);
    assert.ok(
      guarded!.errors.some((error) => error.class === "fenced"),
      JSON.stringify(guarded!.errors),
    );
    assert.ok(dead!.reconciliation[0]!.died);
    const [redisSeconds, rowLockSeconds] = [dead!.recoverySeconds!, rowLock!.recoverySeconds!];
    assert.ok(redisSeconds > 0.6 && redisSeconds < 5, `${redisSeconds} s with a TTL of 1 s`);
    assert.ok(rowLockSeconds < redisSeconds, `${rowLockSeconds} s where the database sees the connection end`);
  });

  test("faults: a lock without owner and extension breaks in all partitions, and lost answers are accounted for", async () => {
    const faults = "partition,partition-redis,partition-mysql,lost-acquire,lost-release,lost-commit,lock-deleted";
    const report = await expected("faults", "--strategies", "none,seed-mutex", "--faults", faults);
    const runs = report.runs.filter(({ plan }) => plan.fault !== undefined);
    assert.ok(runs.every(({ faultTimes, quietSeconds }) => faultTimes!.length > 0 && quietSeconds !== undefined));
    const lost = runs.filter(({ plan, guard }) => plan.fault?.action === "partition" && guard === "none");
    assert.deepEqual(
      lost.map(({ data }) => data.value),
      ["violated", "violated", "violated"],
    );
    assert.match(shown(report), /"seed-mutex" \(.*partition from Redis\): .*the data did not hold/);
    assert.match(formatReport(report, { color: false, width: 120 }), /What each fault did/);
  });

  test("mixed: a lock protects only against workers that take it", async () => {
    const { runs } = await expected("mixed", "--duration", "4s");
    const part = (index: number, strategy: string) => runs[index]?.parts?.find((part) => part.strategy === strategy);
    assert.ok(part(0, "redis")!.staleWrites > 0);
    assert.equal(part(1, "row-lock")!.staleWrites, 0);
    assert.equal(part(2, "version")!.staleWrites, 0);
    assert.ok(part(2, "version")!.overwritten > 0, "and others' stale writes go over its own");
    assert.equal(runs[3]!.lostUpdates, 0);
  });

  test("acl: every attempt, and no worker", async () => {
    const { acl, aclGranted, runs, verdict } = await expected("acl");
    assert.deepEqual(runs, []);
    assert.ok(acl.length > 50 && acl.every(({ outcome }) => outcome === "refused"));
    assert.ok(aclGranted?.some(({ user, attempts }) => user === "lock" && attempts.length > 3));
    assert.match(verdict.line, new RegExp(`refused all ${acl.length} forbidden attempts`));
  });

  test("deadlock: counted, rolled back, retried, and nothing lost or applied twice", async () => {
    const { runs } = await expected("deadlock", "--duration", "2s");
    const deadlocks = (run: RunReport | undefined, outcome: string) =>
      run?.errors.find((error) => error.class === "deadlock" && error.outcome === outcome)?.count ?? 0;
    const [ordered, givenUp, again, carriedOn] = runs;
    assert.equal(deadlocks(ordered, "rejected"), 0);
    assert.ok(deadlocks(givenUp, "rejected") > 0);
    assert.ok(deadlocks(again, "retried") > 0 && rejected(again) === 0);
    assert.ok(carriedOn!.lostUpdates! > 0);
    for (const run of [ordered, givenUp, again])
      assert.equal(run!.checks.find(({ check }) => check === "set")?.status, "holds");
  });
});
