/**
 * A lock in memory that speaks holdfast-lock/1 and keeps every rule, and with the name of a bug as its argument breaks one.
 * It is a program of its own, and imports nothing of the project.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

const bug = process.argv[2] ?? "none";

interface Holder {
  readonly hold: string;
  until: number;
}
interface Waiter {
  readonly id: number;
  readonly hold: string;
  readonly timer: NodeJS.Timeout;
}
const holders = new Map<string, Holder>();
const queues = new Map<string, Waiter[]>();
let ttlMs = 0;
let fence = 0;

const send = (message: object) => process.stdout.write(`${JSON.stringify(message)}\n`);
const queueOf = (key: string) => queues.get(key) ?? queues.set(key, []).get(key)!;
const keyOf = (hold: string) => [...holders].find(([, holder]) => holder.hold === hold)?.[0];

function grant(key: string, re: number, hold: string) {
  holders.set(key, { hold, until: Date.now() + ttlMs });
  fence += 1;
  send({ type: "acquired", re, hold, ...(bug === "no-fence" ? {} : { fence: bug === "stuck-fence" ? 7 : fence }) });
  if (bug === "answers-twice") send({ type: "acquired", re, hold, fence });
}

function handOver(key: string) {
  holders.delete(key);
  const next = queueOf(key).shift();
  if (next === undefined) return;
  clearTimeout(next.timer);
  grant(key, next.id, next.hold);
}

const leases = setInterval(() => {
  if (bug === "keeps-leases") return;
  for (const [key, { until }] of holders) if (Date.now() > until) handOver(key);
}, 20);

interface Request {
  readonly id: number;
  readonly key: string;
  readonly hold: string;
  readonly ttl_ms: number;
  readonly timeout_ms: number;
}

const HANDLERS: Readonly<Record<string, (message: Request) => void>> = {
  init({ id: re, ttl_ms }) {
    ttlMs = ttl_ms;
    if (bug === "refuses") return send({ type: "error", re, code: "config", text: "no such folder" });
    const claims = { exclusion: true, lease: true, fencing: true, fair: true, check: true };
    send({ type: "ready", re, name: "memory", version: "1", language: "node", claims, later: "ignored" });
  },
  ping({ id: re }) {
    if (bug === "garbage") process.stdout.write("hello\n");
    if (bug === "long-line") process.stdout.write(`${"x".repeat(10 * 1024 * 1024)}\n`);
    if (bug === "dies") process.exit(7);
    if (bug === "silent") return;
    send({ type: "pong", re });
  },
  acquire({ id, key, hold, timeout_ms }) {
    if (!holders.has(key) || bug === "no-exclusion") return grant(key, id, hold);
    const late = bug === "early-timeout" ? 1 : timeout_ms;
    const timer = setTimeout(() => {
      queueOf(key).splice(
        queueOf(key).findIndex((waiter) => waiter.hold === hold),
        1,
      );
      send({ type: "timeout", re: id, hold });
    }, late);
    queueOf(key).push({ id, hold, timer });
  },
  cancel({ id: re, hold }) {
    for (const queue of queues.values())
      for (const [index, waiter] of queue.entries())
        if (waiter.hold === hold) {
          clearTimeout(waiter.timer);
          if (bug !== "forgets-cancel") queue.splice(index, 1);
          return send({ type: "cancelled", re, hold });
        }
  },
  release({ id: re, hold }) {
    const key = keyOf(hold);
    if (key === undefined && bug !== "no-owner") return send({ type: "lost", re, hold, text: "not held" });
    send({ type: "released", re, hold });
    if (key !== undefined && bug !== "no-handover") handOver(key);
  },
  extend({ id: re, hold }) {
    const key = keyOf(hold);
    if (key === undefined) return send({ type: "lost", re, hold });
    if (bug !== "extends-nothing") holders.get(key)!.until = Date.now() + ttlMs;
    send({ type: "extended", re, hold });
  },
  check({ id: re, hold }) {
    send(keyOf(hold) === undefined || bug === "checks-wrong" ? { type: "lost", re, hold } : { type: "held", re, hold });
  },
  close({ id: re }) {
    send({ type: "closed", re });
    if (bug === "exits-badly") process.exitCode = 3;
  },
};

if (bug === "leaves-a-child") spawn("sleep", ["60"], { stdio: "ignore" }).unref();
createInterface({ input: process.stdin })
  .on("line", (line) => {
    const message = JSON.parse(line);
    HANDLERS[message.type]!(message);
  })
  .on("close", () => {
    if (bug === "stays") return void setInterval(() => {}, 1_000);
    clearInterval(leases);
    for (const queue of queues.values()) for (const { timer } of queue) clearTimeout(timer);
  });
