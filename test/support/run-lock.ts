/**
 * A lock between processes that speaks holdfast-lock/1: a symbolic link in HOLDFAST_LOCK_FOLDER, whose target names the
 * holder. Its argument has a mode for each worker, separated by commas, for what goes wrong. It is a program of its own, and
 * imports nothing of the project.
 */
import { spawn } from "node:child_process";
import {
  closeSync,
  lstatSync,
  lutimesSync,
  readFileSync,
  readlinkSync,
  renameSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

const modes = (process.argv[2] ?? "none").split(",");
const folder = process.env.HOLDFAST_LOCK_FOLDER!;
/** The `acquire` at which a mode that fails does so. */
const FAILS_AT = 5;

interface Request {
  readonly type: string;
  readonly id: number;
  readonly hold: string;
  readonly key: string;
  readonly timeout_ms: number;
  readonly ttl_ms: number;
  readonly worker: number;
}

let mode = "none";
let ttlMs = 0;
let acquires = 0;
const held = new Map<string, string>();
const send = (message: object) => process.stdout.write(`${JSON.stringify(message)}\n`);
const pathOf = (key: string) => join(folder, key.replaceAll("/", "_"));

/** What each mode does in place of an answer to `acquire`. */
const FAILURES: Readonly<Record<string, (re: number, hold: string) => void>> = {
  dies() {
    process.stderr.write("out of locks\n");
    process.exit(7);
  },
  silent() {},
  garbage: () => void process.stdout.write("hello\n"),
  "answers-twice": () => send({ type: "pong", re: 2 }),
  "floods-log"() {
    for (let count = 0; count < 20_000; count += 1) send({ type: "log", text: "x".repeat(500) });
  },
  "long-line": () => void process.stdout.write(`${"x".repeat(10 * 1024 * 1024)}\n`),
  "closes-stdin"(re, hold) {
    closeSync(0);
    send({ type: "timeout", re, hold });
  },
  "leaves-a-child"() {
    spawn("sleep", ["61"], { stdio: "inherit" });
    process.exit(0);
  },
  denies: (re) => send({ type: "error", re, code: "denied", text: "the licence has ended" }),
};

function take(path: string, hold: string): boolean {
  if (mode.startsWith("open")) return true;
  try {
    if (mode === "lease" && Date.now() - lstatSync(path).mtimeMs > ttlMs) {
      renameSync(path, `${path}-${process.pid}`);
      unlinkSync(`${path}-${process.pid}`);
    }
  } catch {
    // Nobody holds it.
  }
  try {
    symlinkSync(hold, path);
    return true;
  } catch {
    return false;
  }
}

/** Changed only by the holder of the lock. */
function nextToken(path: string): number {
  let last = 0;
  try {
    last = Number(readFileSync(`${path}.token`, "utf8"));
  } catch {
    // The first one.
  }
  writeFileSync(`${path}.token`, String(last + 1));
  return last + 1;
}

function acquire({ id: re, hold, key, timeout_ms }: Request) {
  acquires += 1;
  const failure = FAILURES[mode.replace("open-", "")];
  if (failure !== undefined && acquires === FAILS_AT) return failure(re, hold);
  const path = pathOf(key);
  const deadline = Date.now() + timeout_ms;
  const attempt = () => {
    if (take(path, hold)) {
      held.set(hold, path);
      const fence = mode.startsWith("open") ? 7 : mode === "lease" ? undefined : nextToken(path);
      return send({ type: "acquired", re, hold, fence });
    }
    if (Date.now() > deadline) return send({ type: "timeout", re, hold });
    setTimeout(attempt, 2 + Math.random() * 4);
  };
  attempt();
}

function release({ id: re, hold }: Request) {
  const path = held.get(hold);
  held.delete(hold);
  if (mode.startsWith("open")) return send({ type: "released", re, hold });
  let owner = "";
  try {
    owner = readlinkSync(path!);
  } catch {
    // Nobody holds it.
  }
  if (owner !== hold) return send({ type: "lost", re, hold, text: `${owner || "nobody"} has it` });
  unlinkSync(path!);
  send({ type: "released", re, hold });
}

const HANDLERS: Readonly<Record<string, (request: Request) => void>> = {
  init({ id: re, ttl_ms, worker }) {
    mode = modes[worker % modes.length]!;
    ttlMs = ttl_ms;
    writeFileSync(join(folder, `environment-${worker}`), Object.keys(process.env).join("\n"));
    if (mode === "refuses") return send({ type: "error", re, code: "config", text: "no such folder" });
    if (mode === "unsupported") return send({ type: "error", re, code: "unsupported", text: "only on Tuesdays" });
    const claims = { fencing: mode !== "lease" };
    send({ type: "ready", re, name: "symlink", version: "2", language: "node", concurrency: 8, claims });
    // It extends its leases by itself.
    if (mode === "lease") setInterval(() => held.forEach(renew), ttl_ms / 4).unref();
  },
  ping: ({ id: re }) => send({ type: "pong", re }),
  acquire,
  cancel: ({ id: re, hold }) => send({ type: held.has(hold) ? "acquired" : "cancelled", re, hold }),
  release,
  close: ({ id: re }) => send({ type: "closed", re }),
};

function renew(path: string, hold: string) {
  try {
    if (readlinkSync(path) === hold) lutimesSync(path, new Date(), new Date());
  } catch {
    // It was taken over.
  }
}

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const request = JSON.parse(line);
    HANDLERS[request.type]!(request);
  })
  .on("close", () => {
    // `stays` ignores the end of its input, as a program with a bug does.
    if (mode === "stays") setInterval(() => {}, 1_000);
  });
