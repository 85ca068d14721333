import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createFileLock } from "../../worker/locks/file-lock.ts";
import { type Lock, LockAborted, LockTimeout, LockUnreachable } from "../../worker/locks/lock.ts";
import { type Contender, jain, overlaps, startContender } from "./contenders.ts";

let folder: string;
const processes: Contender[] = [];
const locks: Lock[] = [];

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "holdfast-file-lock-"));
  for (let i = 0; i < 3; i += 1) processes.push(startContender());
  await Promise.all(processes.map((each) => each.open({ kind: "file", options: { folder } })));
});
after(async () => {
  for (const lock of locks) await lock.close();
  for (const each of processes) await each.kill();
  await rm(folder, { recursive: true });
});

function open() {
  const lock = createFileLock({ folder });
  locks.push(lock);
  return lock;
}

test("one holds at a time among processes and their loops, and no process is left out", async () => {
  const loops = await Promise.all(
    processes.flatMap((each) => [each.loop("a", 1_000, 1, 12), each.loop("a", 1_000, 0, 12)]),
  );
  const records = loops.flat();
  assert.ok(records.length > 60, `${records.length}`);
  assert.deepEqual(overlaps(records), []);
  const perProcess = [0, 2, 4].map((i) => loops[i]!.length + loops[i + 1]!.length);
  assert.ok(jain(perProcess) > 0.8, `${perProcess}`);
});

test("a waiter is not overtaken repeatedly by the last holder", async () => {
  const [busy, other] = [open(), open()];
  let rounds = 0;
  let done = false;
  const loop = (async () => {
    for (; !done; rounds += 1) await busy.using("e", {}, () => sleep(1));
  })();
  let overtaken = 0;
  for (let i = 0; i < 10; i += 1) {
    await sleep(3);
    const before = rounds;
    await other.using("e", {}, async () => {
      overtaken += rounds - before;
    });
  }
  done = true;
  await loop;
  assert.ok(overtaken <= 20, `${overtaken} times in 10 waits`);
});

test("two locks of one process exclude each other too, and keys with any characters are kept apart", async () => {
  const [a, b] = [open(), open()];
  const held = await a.acquire("../up: ü/\0");
  await assert.rejects(b.acquire("../up: ü/\0", { timeoutMs: 0 }), LockTimeout);
  await (await b.acquire("../up: ü/", { timeoutMs: 0 })).release();
  await held.release();
  await held.release();
  await (await b.acquire("../up: ü/\0", { timeoutMs: 0 })).release();
  for (let i = 0; i < 10; i += 1) await a.using("../up: ü/", { timeoutMs: 0 }, async () => {});
  assert.ok((await readdir(folder)).every((name) => /^[0-9a-f]{32}\.(lock|next)$/.test(name)));
});

test("waits end by deadline, signal and close, and leave nothing locked", async () => {
  const [a, b] = [open(), open()];
  const held = await a.acquire("b");
  await assert.rejects(b.acquire("b", { timeoutMs: 40 }), /others held lock "b" for 40 ms/);
  const signal = AbortSignal.timeout(40);
  await Promise.all([1, 2].map(() => assert.rejects(b.acquire("b", { signal }), LockAborted)));
  const closed = [1, 2].map(() => assert.rejects(b.acquire("b"), LockAborted));
  await sleep(10);
  await b.close();
  await Promise.all(closed);
  await assert.rejects(b.acquire("b"), LockAborted);
  await held.release();
  await (await open().acquire("b", { timeoutMs: 0 })).release();
});

test("a stopped holder keeps it, a killed holder and a killed waiter let go at once", async () => {
  const [holder, waiter] = [processes[0]!, processes[1]!];
  const lock = open();
  await holder.acquire("c");
  holder.signal("SIGSTOP");
  waiter.acquire("c").catch(() => {});
  await assert.rejects(lock.acquire("c", { timeoutMs: 300 }), LockTimeout);
  await waiter.kill();
  await holder.kill();
  await (await lock.acquire("c", { timeoutMs: 1_000 })).release();
});

test("a lock file that was deleted is no lock: the next acquisition makes another", async () => {
  const [a, b] = [open(), open()];
  await (await a.acquire("d")).release();
  for (const name of await readdir(folder)) await rm(join(folder, name));
  const held = await b.acquire("d");
  await assert.rejects(a.acquire("d", { timeoutMs: 50 }), LockTimeout);
  await held.release();
  await (await a.acquire("d", { timeoutMs: 1_000 })).release();
});

test("a folder that cannot be used is named", async () => {
  const path = join(folder, "file");
  await writeFile(path, "");
  assert.throws(() => createFileLock({ folder: join(path, "below") }), LockUnreachable);
  const gone = createFileLock({ folder: join(folder, "gone") });
  await rm(join(folder, "gone"), { recursive: true });
  await assert.rejects(gone.acquire("x"), (error) => error instanceof LockUnreachable && /gone/.test(error.message));
  await rm(path);
});
