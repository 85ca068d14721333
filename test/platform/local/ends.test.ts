import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { startServers } from "../../../coordinator/platform/local/servers/index.ts";
import { startKeeper } from "../../../coordinator/platform/local/servers/keeper.ts";
import { eventually, processesOf } from "../../support/leftovers.ts";

/** Stopping takes less than a second; a machine under load gets more. */
const GONE_MS = 20_000;

let parent: string;
before(async () => {
  parent = await mkdtemp(join(tmpdir(), "holdfast-ends-"));
});
after(() => rm(parent, { recursive: true }));

for (const [signal, names] of [
  ["SIGTERM", ["redis", "prometheus"]],
  ["SIGKILL", ["mysql", "redis", "prometheus"]],
] as const)
  test(`the parent ends by ${signal}: no process and no folder is left`, async () => {
    const coordinator = serve(names);
    await coordinator.line();
    assert.equal((await processesOf(parent)).length, names.length + 2, "the servers, their keeper and the parent");
    coordinator.child.kill(signal);
    await assertGone();
  });

test("the parent ends by SIGKILL while the servers start", async () => {
  const { child } = serve(["mysql", "redis", "prometheus"]);
  const seen = await eventually(
    GONE_MS,
    () => processesOf(parent),
    (found) => found.some((it) => it.includes("--bootstrap") || it.includes("--initialize")),
  );
  assert.ok(seen.length > 2, "the data are being made");
  child.kill("SIGKILL");
  await assertGone();
});

test("Ctrl-C in a terminal reaches the parent alone, which still has its servers", async () => {
  const coordinator = serve(["redis"]);
  await coordinator.line();
  // As from a terminal: the signal goes to the whole foreground process group.
  process.kill(-coordinator.child.pid!, "SIGINT");
  assert.match((await coordinator.line()).afterSigint, /^Redis \d/);
  await once(coordinator.child, "exit");
  assert.equal(coordinator.child.exitCode, 0);
  await assertGone();
});

test("the keeper itself is killed: the servers end, and the folder goes with the end of the report", async () => {
  const keeper = await startKeeper(parent);
  const server = keeper.run({
    command: "redis-server",
    args: ["--port", "0", "--unixsocket", "socket"],
    cwd: keeper.folder,
    log: join(keeper.folder, "log"),
  });
  await eventually(
    GONE_MS,
    () => readFile(server.log, "utf8").catch(() => ""),
    (log) => log.includes("ready to accept"),
  );
  process.kill(keeper.pid, "SIGKILL");
  assert.equal((await server.ended).how, "was abandoned by its keeper");
  await keeper[Symbol.asyncDispose]();
  await assertGone();
});

test("a server that was killed runs again with its arguments and its port, and ends with the others", async () => {
  const servers = await startServers({ coordinatorUrl: "http://127.0.0.1:9", only: ["redis"], folder: parent });
  const { process: redis, url } = servers.redis!.started[0]!;
  const pids = [redis.pid];
  for (const signal of ["SIGKILL", "SIGTERM"] as const) {
    await redis.stop(signal);
    // Its process has ended, so there is nothing to end.
    await redis.stop(signal);
    assert.deepEqual(await processesOf(servers.folder!), []);
    await redis.start();
    await redis.start();
    assert.match((await processesOf(servers.folder!)).join(), new RegExp(`redis-server [^,]*:${new URL(url).port}`));
    pids.push(redis.pid);
  }
  assert.equal(new Set(pids).size, 3);
  assert.deepEqual(servers.pids.slice(1), [redis.pid]);
  await redis.stop("SIGKILL");
  await servers[Symbol.asyncDispose]();
  await assert.rejects(redis.start(), /its keeper has ended/);
  await assertGone();
});

test("a server that ignores SIGTERM is killed", async () => {
  const keeper = await startKeeper(parent);
  const server = keeper.run({
    command: "/bin/sh",
    args: ["-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"],
    cwd: keeper.folder,
    log: join(keeper.folder, "log"),
  });
  await eventually(
    GONE_MS,
    () => processesOf(keeper.folder),
    (found) => found.some((it) => it.includes("sleep")),
  );
  await keeper[Symbol.asyncDispose]();
  assert.equal(server.ending?.how, "was killed by SIGKILL");
  await eventually(
    2_000,
    () => processesOf(parent),
    (found) => found.length === 0,
  );
  await assertGone();
});

test("an ordinary user can start them", {
  skip: process.getuid?.() !== 0 && "not root: every other test shows it",
}, async () => {
  await chmod(parent, 0o777);
  const coordinator = serve(["mysql", "redis", "prometheus"], { uid: 65534, gid: 65534 });
  assert.match((await coordinator.line()).folder, /holdfast-/);
  coordinator.child.kill("SIGKILL");
  await assertGone();
});

function serve(names: readonly string[], user: { readonly uid?: number; readonly gid?: number } = {}) {
  const child: ChildProcess = spawn(
    process.execPath,
    [join(import.meta.dirname, "../../support/serve.ts"), parent, ...names],
    {
      stdio: ["ignore", "pipe", "inherit"],
      detached: true,
      ...user,
    },
  );
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  return {
    child,
    async line() {
      const { value, done } = await lines.next();
      assert.ok(done !== true, "it has ended");
      return JSON.parse(value);
    },
  };
}

async function assertGone() {
  assert.deepEqual(
    await eventually(
      GONE_MS,
      () => processesOf(parent),
      (found) => found.length === 0,
    ),
    [],
  );
  assert.deepEqual(await readdir(parent), []);
}
