/**
 * The keeper: the parent process of the servers of one report. Its standard input is a pipe from the coordinator, which the
 * kernel closes in whatever way the coordinator ends. The keeper then stops the servers and removes their folder.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import type { Ending, KeeperEvent, KeeperOrder, Program } from "./keeper.ts";

/** How long servers may take to end after SIGTERM. They need no clean shutdown, because their data are deleted. */
const TERM_MS = 3_000;
/** How long the kernel may take to end a process after SIGKILL. */
const KILL_MS = 2_000;

const running = new Map<ChildProcess, Promise<unknown>>();
const children = new Map<number, ChildProcess>();
let stopping = false;

process.stdout.on("error", () => {});
process.on("uncaughtException", (error) => {
  send({ event: "failed", code: error.name, message: error.message });
  void stop(1);
});

const folder = await mkdtemp(join(process.argv[2] ?? ".", "holdfast-")).catch((error) => {
  send({ event: "failed", code: error.code, message: error.message });
  process.exit(1);
});
send({ event: "folder", folder });

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => void stop());
createInterface({ input: process.stdin })
  .on("line", (line) => obey(JSON.parse(line)))
  .on("close", () => void stop());

function obey(order: KeeperOrder) {
  if (order.order === "run") return run(order.program);
  // A process that has ended gets no signal, so another one that has its number by now gets none either.
  children.get(order.id)?.kill(order.signal);
}

function run({ id, command, args, cwd, log, input }: Program) {
  if (stopping) return;
  const output = openSync(log, "a", 0o600);
  const source = input === undefined ? "ignore" : openSync(input, "r");
  const child = spawn(command, args, { cwd, stdio: [source, output, output], env: { PATH: process.env.PATH } });
  closeSync(output);
  if (typeof source === "number") closeSync(source);

  const ended = once(child, "exit").then(
    ([code, signal]): Ending => ({ how: signal === null ? `exited with ${code}` : `was killed by ${signal}`, code }),
    (error): Ending => ({ how: `could not be started: ${error.message}`, code: null }),
  );
  running.set(child, ended);
  children.set(id, child);
  if (child.pid !== undefined) send({ event: "started", id, pid: child.pid });
  ended.then((ending) => {
    running.delete(child);
    children.delete(id);
    send({ event: "ended", id, ending });
  });
}

async function stop(exitCode = 0) {
  if (stopping) return;
  stopping = true;
  for (const child of running.keys()) child.kill("SIGTERM");
  await Promise.race([Promise.all(running.values()), sleep(TERM_MS)]);
  for (const child of running.keys()) child.kill("SIGKILL");
  await Promise.race([Promise.all(running.values()), sleep(KILL_MS)]);
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  process.exit(exitCode);
}

function send(event: KeeperEvent) {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}
