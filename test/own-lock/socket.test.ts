/** Whole runs with a lock of the user's own that listens on a Unix socket, and what each way to fail looks like there. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { missingFaultsFor } from "../../coordinator/plan/requirements.ts";
import type { RunPlan } from "../../coordinator/plan/run-plan.ts";
import { waitUntil } from "../../coordinator/wait.ts";
import { createProgram } from "../../worker/own-lock/program.ts";
import { connectSocket } from "../../worker/own-lock/socket.ts";
import { createRig, type Rig } from "../support/rig.ts";

const ROOT = join(import.meta.dirname, "../..");
const LOCK = join(ROOT, "test/support/run-lock.ts");
const python = spawnSync("python3", ["--version"]).status === 0;

let rig: Rig;
let socket: string;
before(async () => {
  rig = await createRig();
  socket = join(rig.servers.folder!, "lock.sock");
});
after(() => rig[Symbol.asyncDispose]());

const run = (changes: Partial<RunPlan> = {}) =>
  rig.run("own", { ownLock: { name: "mine", socket }, workers: 2, durationMs: 1_500, lockTimeoutMs: 500, ...changes });

/** Serves test/support/run-lock.ts: a process for each connection. */
async function serve(modes: string): Promise<AsyncDisposable> {
  const server = createServer((connection) => {
    const env = { ...process.env, HOLDFAST_LOCK_FOLDER: rig.servers.folder };
    const child = spawn(process.execPath, [LOCK, modes], { env, stdio: ["pipe", "pipe", "ignore"] });
    connection.on("error", () => {}).pipe(child.stdin.on("error", () => {}));
    child.stdout.pipe(connection);
  });
  await once(server.listen(socket), "listening");
  return {
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, "close");
    },
  };
}

test("a lock that listens on a socket holds", async () => {
  await using _server = await serve("none");
  const report = await run({ durationMs: 2_500 });
  assert.equal(report.data.value, "holds", `${JSON.stringify(report.data)} ${report.problems}`);
  assert.equal(report.agreement, "expected", report.reasons.join("; "));
  const { program, holds, lossesTold } = report.ownLock!.seen!;
  assert.deepEqual([program, lossesTold], ["symlink 2 (node)", 0]);
  assert.ok(holds >= report.ledgerRows, `${holds} ${report.ledgerRows}`);
});

test("a connection that ends, and garbage: unknown with the reason", async () => {
  await using _server = await serve("dies,garbage");
  const report = await run();
  assert.equal(report.data.value, "unknown", JSON.stringify(report.data));
  const [dies, garbage] = report.reconciliation.map(({ lost = "" }) => lost);
  assert.match(dies!, /^the program (closed|lost) the connection/);
  assert.match(garbage!, /^the program wrote a line that is not JSON: hello$/);
});

test("examples/locks/serve.py serves a lock that knows no sockets, to several workers", {
  skip: !python && "python3 is missing",
}, async () => {
  const child = spawn("python3", ["examples/locks/serve.py", "python3", "examples/locks/flock.py"], {
    cwd: ROOT,
    env: { ...process.env, HOLDFAST_LOCK_SOCKET: socket, FLOCK_FOLDER: join(rig.servers.folder!, "flock") },
    stdio: "ignore",
  });
  try {
    const listens = async () => ((await connects(socket)) ? undefined : "serve.py does not listen");
    await waitUntil(listens, { deadlineMs: 20_000, signal: new AbortController().signal });
    const [one, other] = [createProgram(await connectSocket(socket)), createProgram(await connectSocket(socket))];
    const hold = (name: string) => ({ type: "acquire", key: "row:1", hold: name, timeout_ms: 200 }) as const;
    assert.equal((await one.ask(hold("a"), 10_000)).type, "acquired");
    assert.equal((await other.ask(hold("b"), 10_000)).type, "timeout");
    // The connection of a worker that died.
    await one.hangUp();
    const free = async () => ((await other.ask(hold("c"), 10_000)).type === "acquired" ? undefined : "not released");
    await waitUntil(free, { deadlineMs: 20_000, signal: new AbortController().signal });
    const { how, forced } = await other.close();
    assert.deepEqual([how, forced], ["closed the connection", false]);
  } finally {
    child.kill("SIGTERM");
    if (child.exitCode === null) await once(child, "exit");
  }
  assert.equal(child.exitCode, 0, "it ends by SIGTERM");
});

test("a stall and a death of the worker are not made, and the reason is said", () => {
  const servers = { redisUrls: [], missingServices: {}, missingFaults: {}, cluster: true };
  const missing = (action: "stall" | "die" | "sleep", ownLock: RunPlan["ownLock"]) => {
    const fault = { at: "before-write", action, worker: 0, forMs: 1, every: 1, afterMs: 0 } as const;
    return missingFaultsFor({ fault, ownLock } as Parameters<typeof missingFaultsFor>[0], servers);
  };
  const behind = { name: "mine", socket: "/s" };
  for (const action of ["stall", "die"] as const)
    assert.match(missing(action, behind)!, /does not reach the program of a lock that listens on a socket$/);
  assert.equal(missing("sleep", behind), undefined);
  assert.equal(missing("stall", { name: "mine", command: ["x"] }), undefined);
});

const connects = (path: string) =>
  new Promise<boolean>((resolve) => {
    const connection = connect(path, () => {
      connection.destroy();
      resolve(true);
    }).on("error", () => resolve(false));
  });
