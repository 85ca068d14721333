/**
 * What the protocol of a user's own lock adds to an acquire-release pair: the example for redsync through the protocol,
 * compared with the same commands to Redis from this process, and with redsync in one Go process. All of them alternate in
 * one session. Needs Go.
 *
 *   node bench/own-lock.ts [--pairs 1000] [--rounds 15]
 */
import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Redis } from "ioredis";
import { startRedis } from "../test/support/redis.ts";
import { startChild } from "../worker/own-lock/child.ts";
import { createProgram, type Program } from "../worker/own-lock/program.ts";
import { PROTOCOL } from "../worker/own-lock/protocol.ts";
import { keep, machine, median, printTable } from "./support.ts";

const { values } = parseArgs({
  options: { pairs: { type: "string", default: "1000" }, rounds: { type: "string", default: "15" } },
});
let holds = 0;
const pairs = Number(values.pairs);
const GOAL_US = 100;
const WAIT_MS = 10_000;
const RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end";
const EXAMPLE = new URL("../examples/locks/redsync/", import.meta.url).pathname;

const about = machine();
const folder = await mkdtemp(join(tmpdir(), "holdfast-bench-"));
const [child, inProcess] = [join(folder, "child"), join(folder, "in-process")] as const;
execFileSync("go", ["build", "-o", child, "."], { cwd: EXAMPLE, stdio: "inherit" });
execFileSync("go", ["test", "-c", "-o", inProcess, "."], { cwd: EXAMPLE, stdio: "inherit" });
const redis = await startRedis();
const env = { PATH: process.env.PATH ?? "", HOLDFAST_LOCK_REDIS_URL: redis.url("guest") };
const program = createProgram(startChild({ command: [child], env }));
try {
  const init = { protocol: PROTOCOL, run: "bench", worker: 0, workers: 1, ttl_ms: WAIT_MS, extend: false } as const;
  await program.ask({ type: "init", ...init, timeout_ms: WAIT_MS, key_scope: "row", seed: 1 }, WAIT_MS);
  const connection = redis.connect({ username: "guest" });
  const rounds: Round[] = [];
  // The first round warms everything up.
  for (let round = 0; round <= Number(values.rounds); round += 1) {
    const measured = { ...(await measurePairs(program, connection)), goUs: measureGo() };
    if (round > 0) rounds.push(measured);
  }
  const of = (figure: (round: Round) => number) => median(rounds.map(figure));
  const result = {
    protocolUs: of(({ protocolUs }) => protocolUs),
    inProcessUs: of(({ inProcessUs }) => inProcessUs),
    addedUs: of(({ protocolUs, inProcessUs }) => protocolUs - inProcessUs),
    goUs: of(({ goUs }) => goUs),
    addedToGoUs: of(({ protocolUs, goUs }) => protocolUs - goUs),
    pingUs: of(({ pingUs }) => pingUs),
  };
  const us = (figure: number) => figure.toFixed(0);
  printTable(
    ["acquire-release pair", "µs", "the protocol adds, µs"],
    [
      ["redsync through the protocol", us(result.protocolUs), ""],
      ["the same commands from this process", us(result.inProcessUs), us(result.addedUs)],
      ["redsync in one Go process", us(result.goUs), us(result.addedToGoUs)],
      ["(a ping through the protocol)", us(result.pingUs), ""],
    ],
  );
  process.stdout.write(`${result.addedUs <= GOAL_US ? "met" : "MISSED"}: at most ${GOAL_US} µs added\n`);
  await keep("own-lock", { ...about, pairs, goalUs: GOAL_US, ...result, rounds });
} finally {
  await program.close();
  await redis.stop();
  await rm(folder, { recursive: true });
}

interface Round {
  readonly protocolUs: number;
  readonly inProcessUs: number;
  readonly pingUs: number;
  readonly goUs: number;
}

/** Medians, microseconds. Each pair through the protocol is followed by one from this process, so load affects both alike. */
async function measurePairs(program: Program, connection: Redis): Promise<Omit<Round, "goUs">> {
  const times: [protocol: number, inProcess: number, ping: number][] = [];
  for (let count = 0; count < pairs; count += 1)
    times.push([
      await microseconds(() => pairByProtocol(program)),
      await microseconds(() => pairInProcess(connection)),
      await microseconds(async () => void (await program.ask({ type: "ping" }, WAIT_MS))),
    ]);
  const [protocolUs, inProcessUs, pingUs] = [0, 1, 2].map((place) => median(times.map((each) => each[place]!)));
  return { protocolUs: protocolUs!, inProcessUs: inProcessUs!, pingUs: pingUs! };
}

async function pairByProtocol(program: Program): Promise<void> {
  holds += 1;
  const hold = `hold-${holds}`;
  const acquired = await program.ask({ type: "acquire", key: "row:1", hold, timeout_ms: WAIT_MS }, WAIT_MS);
  const released = await program.ask({ type: "release", hold }, WAIT_MS);
  if (acquired.type !== "acquired" || released.type !== "released")
    throw new Error(`answers ${acquired.type} and ${released.type}`);
}

/** The commands that redsync sends. */
async function pairInProcess(connection: Redis): Promise<void> {
  holds += 1;
  const [key, value] = ["holdfast:guest:bench:in-process", `hold-${holds}`];
  const acquired = await connection.set(key, value, "PX", WAIT_MS, "NX");
  const released = await connection.eval(RELEASE, 1, key, value);
  if (acquired !== "OK" || released !== 1) throw new Error(`answers ${acquired} and ${released}`);
}

/** The median of the benchmark in Go, microseconds. */
function measureGo(): number {
  const args = ["-test.run", "^$", "-test.bench", "Pair", "-test.benchtime", `${pairs}x`];
  const output = execFileSync(inProcess, args, { env, encoding: "utf8" });
  return Number(/([\d.]+) median-µs/.exec(output)![1]);
}

async function microseconds(action: () => Promise<void>): Promise<number> {
  const began = performance.now();
  await action();
  return (performance.now() - began) * 1_000;
}
