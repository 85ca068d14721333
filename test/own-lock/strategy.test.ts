/** What the strategy `own` makes of an answer to `init`, and that a program ends with its worker in any case. No servers. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { WorkerSpec } from "../../worker/contract.ts";
import { programEnvironment } from "../../worker/own-lock/environment.ts";
import { own } from "../../worker/strategies/own.ts";
import type { Resources } from "../../worker/strategy.ts";

const LOCK = join(import.meta.dirname, "../support/run-lock.ts");
const CHILD = join(import.meta.dirname, "../../worker/own-lock/child.ts");
const folder = mkdtempSync(join(tmpdir(), "own-lock-"));
process.env.HOLDFAST_LOCK_FOLDER = folder;
after(() => rmSync(folder, { recursive: true }));

function open(command: readonly [string, ...string[]], changes: Partial<WorkerSpec> = {}) {
  const spec = WorkerSpec.parse({
    report: "r",
    run: "r-1-mine",
    strategy: "own",
    ownLock: { name: "mine", command },
    guard: "none",
    workers: 2,
    concurrency: 1,
    rows: 1,
    durationMs: 1_000,
    holdMs: 0,
    pauseMs: 0,
    lockTtlMs: 400,
    extend: true,
    lockTimeoutMs: 500,
    statementTimeoutMs: 1_000,
    seed: 1,
    ledger: true,
    coordinatorUrl: "http://127.0.0.1:1",
    heartbeatMs: 100,
    coordinatorLostMs: 1_000,
    lingerMs: 1_000,
    ...changes,
  });
  const guestRedisUrl = () => undefined;
  const resources = { spec, worker: 0, rows: {}, lockFolder: folder, guestRedisUrl, releaseFailed() {} };
  return own.open(resources as unknown as Resources);
}
const mode = (name: string) => [process.execPath, LOCK, name] as const;

/** A command, settings of the run, and the error that they lead to. */
const REFUSED: readonly (readonly [readonly [string, ...string[]], Partial<WorkerSpec>, name: string, RegExp])[] = [
  [mode("unsupported"), {}, "Unavailable", /^its program does not support this run: only on Tuesdays$/],
  [
    mode("lease"),
    { guard: "fence-claim" },
    "Unavailable",
    /^guard "fence-claim" needs a lock that claims `fencing`, and symlink 2 \(node\) does not$/,
  ],
  [
    mode("none"),
    { concurrency: 9 },
    "Unavailable",
    /^its program can have 8 holds and waits at once, and each worker has 9 loops: lower --concurrency$/,
  ],
  [mode("refuses"), {}, "LockDenied", /^the program of lock "mine" answered config: no such folder$/],
  [["/no/such/program"], {}, "ProgramFailed", /^the program could not be started: .*ENOENT/],
  [["/bin/sh", "-c", "echo no licence >&2; exit 3"], {}, "ProgramFailed", /^the program exited with 3: no licence$/],
];
for (const [command, changes, name, message] of REFUSED)
  test(`${name}: ${message.source}`, async () => {
    await assert.rejects(open(command, changes), { name, message });
  });

test("as long as nobody listens on its socket, a lock is unreachable, so that the worker tries again", async () => {
  const socket = join(folder, "missing.sock");
  const ownLock = { name: "mine", socket };
  const message = `the program of lock "mine" does not listen on ${socket} (ENOENT)`;
  await assert.rejects(open(["x"], { ownLock }), { name: "LockUnreachable", message });
});

test("a program sees what is for all programs and what is for its own lock, which comes first", () => {
  const variables = {
    PATH: "/bin",
    MYSQL_PASSWORD: "secret",
    HOLDFAST_LOCK_TTL: "2s",
    HOLDFAST_LOCK_SOCKET: "/run/lock.sock",
    HOLDFAST_LOCK_REDIS_URL: "redis://of-all",
    "HOLDFAST_LOCK_ENV.mine.ZK": "zk:2181",
    "HOLDFAST_LOCK_ENV.mine.HOLDFAST_LOCK_REDIS_URL": "",
    "HOLDFAST_LOCK_ENV.mine-2.ZK": "other:2181",
  };
  const ofAll = { PATH: "/bin", HOLDFAST_LOCK_TTL: "2s" };
  const of = (name: string) => programEnvironment(variables, { name, redisUrl: "redis://guest:p@h:6379" });
  assert.deepEqual(of("mine"), { ...ofAll, HOLDFAST_LOCK_REDIS_URL: "", ZK: "zk:2181" });
  assert.deepEqual(of("mine-2"), { ...ofAll, HOLDFAST_LOCK_REDIS_URL: "redis://of-all", ZK: "other:2181" });
  assert.deepEqual(programEnvironment(variables), { ...ofAll, HOLDFAST_LOCK_REDIS_URL: "redis://of-all" });
  assert.deepEqual(programEnvironment({}, { redisUrl: "redis://guest:p@h:6379" }), {
    HOLDFAST_LOCK_REDIS_URL: "redis://guest:p@h:6379",
  });
});

test("without --lock there is no program", async () => {
  await assert.rejects(open(["x"], { ownLock: undefined }), { name: "Unavailable", message: "needs --lock" });
});

test("a program that is stopped, and its children, end with a worker that is killed", async () => {
  const pids = join(folder, "pids");
  const script = `
    import { writeFileSync } from "node:fs";
    import { startChild } from ${JSON.stringify(CHILD)};
    const command = ["/bin/sh", "-c", "sleep 62 & echo $$ $! > ${pids}; wait"];
    startChild({ command, env: {} });
    writeFileSync(${JSON.stringify(`${pids}-started`)}, "");
    setInterval(() => {}, 1_000);`;
  const worker = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: "inherit" });
  const read = () => readFileSync(pids, { encoding: "utf8", flag: "a+" }).trim().split(" ").map(Number);
  while (read().length < 2 || !existsSync(`${pids}-started`)) await sleep(20);
  const programs = read();
  process.kill(programs[0]!, "SIGSTOP");
  worker.kill("SIGKILL");
  await once(worker, "exit");
  const isAlive = (pid: number) => {
    try {
      // A process that nobody has waited for yet is a zombie, which has ended.
      return !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ");
    } catch {
      return false;
    }
  };
  for (let tries = 0; programs.some(isAlive); tries += 1) {
    assert.ok(tries < 500, `${programs.filter(isAlive)} are left`);
    await sleep(20);
  }
});
