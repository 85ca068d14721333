import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { ServerError } from "../../../coordinator/errors.ts";
import { startServers } from "../../../coordinator/platform/local/servers/index.ts";
import { type Keeper, startKeeper } from "../../../coordinator/platform/local/servers/keeper.ts";
import { freePort } from "../../../coordinator/platform/local/servers/ports.ts";
import { findProgram } from "../../../coordinator/platform/local/servers/programs.ts";
import {
  explainStartFailure,
  waitUntilDone,
  waitUntilReady,
} from "../../../coordinator/platform/local/servers/ready.ts";
import { processesOf } from "../../support/leftovers.ts";

const run = promisify(execFile);
const coordinatorUrl = "http://127.0.0.1:9";
let parent: string;
let keeper: Keeper;

before(async () => {
  parent = await mkdtemp(join(tmpdir(), "holdfast-errors-"));
  keeper = await startKeeper(parent);
});
after(async () => {
  await keeper[Symbol.asyncDispose]();
  assert.deepEqual(await processesOf(parent), []);
  await rm(parent, { recursive: true });
});

/** Matches one line with the subject, the reason and the fix. */
const oneLine = (pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ServerError, String(error));
  assert.match(error.message, pattern);
  assert.ok(!error.message.includes("\n"));
  return true;
};

test("the folder for temporary files does not exist, or is a file", async () => {
  await writeFile(join(parent, "file"), "");
  const start = (folder: string) => startServers({ coordinatorUrl, only: ["redis"], folder });
  await assert.rejects(
    start(join(parent, "missing")),
    oneLine(/^the folder for temporary files, .*missing: it does not exist; set TMPDIR to/),
  );
  await assert.rejects(start(join(parent, "file")), oneLine(/file: it is not a folder; set TMPDIR to/));
});

test("the folder for temporary files cannot be written", async (t) => {
  const folder = join(parent, "closed");
  await mkdir(folder);
  await chmod(folder, 0o500);
  if (process.getuid?.() !== 0)
    return assert.rejects(startKeeper(folder), oneLine(/closed: it cannot be written; set TMPDIR to/));
  // Root can write everywhere but on a read-only file system.
  if (!(await mount(t, folder, "ro"))) return;
  await assert.rejects(startKeeper(folder), oneLine(/closed: it is on a read-only file system; set TMPDIR to/));
});

test("the folder for temporary files is too small", async (t) => {
  const folder = join(parent, "small");
  await mkdir(folder);
  if (!(await mount(t, folder, "size=64m"))) return;
  await assert.rejects(
    startServers({ coordinatorUrl, folder }),
    oneLine(/it has 6\d MiB left, and the servers need \d+ MiB; free some space there or set TMPDIR/),
  );
  assert.deepEqual(await readdir(folder), []);
});

test("the disk is full while the server is starting", async (t) => {
  const folder = join(parent, "full");
  await mkdir(folder);
  if (!(await mount(t, folder, "size=8m"))) return;
  const server = keeper.run({
    command: await findProgram(["mysqld", "mariadbd"], "mariadb-server-core"),
    args: ["--no-defaults", "--bootstrap", `--datadir=${folder}`, ...(process.getuid?.() === 0 ? ["--user=root"] : [])],
    cwd: folder,
    log: join(keeper.folder, "full.log"),
  });
  await assert.rejects(
    waitUntilDone(server, "MySQL", 20_000),
    oneLine(/^MySQL: there is no space left in .*; free some space/),
  );
});

test("the port is taken while the server is starting", async () => {
  const port = await freePort();
  const taken = createServer().listen(port, "127.0.0.1");
  await once(taken, "listening");
  const start = (command: string, args: readonly string[]) =>
    keeper.run({ command, args, cwd: keeper.folder, log: join(keeper.folder, `${command}.log`) });
  for (const server of [
    start("redis-server", ["--port", `${port}`, "--bind", "127.0.0.1"]),
    start("prometheus", [
      "--config.file=/dev/null",
      "--storage.tsdb.path=data",
      `--web.listen-address=127.0.0.1:${port}`,
    ]),
  ]) {
    await server.ended;
    await assert.rejects(
      waitUntilReady(server, "it", 1_000, () => Promise.reject(new Error("no"))),
      oneLine(/^it: another program took its port while it was starting; run this command again$/),
    );
  }
  taken.close();
  const log = join(keeper.folder, "mysql.log");
  await writeFile(log, "[ERROR] Can't start server: Bind on TCP/IP port. Got error: 98: Address already in use\n");
  oneLine(/another program took its port/)(
    await explainStartFailure({ ...(await ended()), log }, "MySQL", "exited with 1"),
  );
});

test("a program is not installed", async () => {
  await assert.rejects(
    findProgram(["no-such-server", "nor-this"], "its-package"),
    oneLine(
      /^no-such-server or nor-this: not installed; install it \(Debian, Ubuntu: sudo apt-get install its-package; all servers that are missing: sh "\/.+\/servers\/install\.sh"\)/,
    ),
  );
});

test("a server ends while it is starting: the error has the end of its log", async () => {
  const server = keeper.run({
    command: "redis-server",
    args: ["--no-such-option", "1"],
    cwd: keeper.folder,
    log: join(keeper.folder, "dies.log"),
  });
  await assert.rejects(
    waitUntilReady(server, "Redis", 10_000, () => Promise.reject(new Error("refused"))),
    oneLine(/^Redis: exited with 1 and wrote: .*no-such-option.*Bad directive or wrong number of arguments; /),
  );
});

test("a server does not answer in time", async () => {
  const server = keeper.run({
    command: "sleep",
    args: ["20"],
    cwd: keeper.folder,
    log: join(keeper.folder, "mute.log"),
  });
  await assert.rejects(
    waitUntilReady(server, "Redis", 200, () => Promise.reject(new Error("connect ECONNREFUSED"))),
    oneLine(/^Redis: did not answer within 0.2 s \(connect ECONNREFUSED\) and wrote nothing; /),
  );
});

test("a program that was removed after it was found", async () => {
  const server = keeper.run({
    command: "/no/such",
    args: [],
    cwd: keeper.folder,
    log: join(keeper.folder, "gone.log"),
  });
  assert.match((await server.ended).how, /^could not be started: .*ENOENT/);
});

async function ended() {
  const server = keeper.run({ command: "false", args: [], cwd: keeper.folder, log: join(keeper.folder, "false.log") });
  await server.ended;
  return server;
}

/** Mounts a file system on the folder. Skips the test if that is not possible. */
async function mount(t: TestContext, folder: string, options: string) {
  try {
    await run("mount", ["-t", "tmpfs", "-o", options, "tmpfs", folder]);
  } catch {
    t.skip("needs root and the right to mount");
    return false;
  }
  t.after(() => run("umount", ["--lazy", folder]));
  return true;
}
