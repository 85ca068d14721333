/**
 * Compares the Redis lock with npm packages, with two limits and with the locks in ZooKeeper, Consul and etcd, for processes that contend for one key. Each cell is
 * one lock, one number of processes and one hold time. All cells run in one session, in random order; the cells of the
 * goal run three times.
 *
 *   node bench/locks.ts [--processes 1,2,8,32] [--hold 0,2] [--seconds 1.5] [--repeat 3] [--only holdfast,BLPOP]
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { consulIsMissing, startTestConsul } from "../test/support/consul.ts";
import { etcdMissing, startEtcd } from "../test/support/etcd.ts";
import { startRedis } from "../test/support/redis.ts";
import { startZooKeeper, zooKeeperMissing } from "../test/support/zookeeper.ts";
import { CONTENDERS, type ContenderName, isLibrary, KEY } from "./locks-contenders.ts";
import type { Measured, Start } from "./locks-worker.ts";
import { keep, machine, median, printTable } from "./support.ts";

const { values } = parseArgs({
  options: {
    processes: { type: "string", default: "1,2,8,32" },
    hold: { type: "string", default: "0,2" },
    seconds: { type: "string", default: "1.5" },
    repeat: { type: "string", default: "3" },
    only: { type: "string", default: "" },
  },
});
const numbers = (list: string) => list.split(",").map(Number);
const WARM_UP_MS = 400;
const GOAL = { processes: 32, holdMs: 2 };

interface Cell {
  readonly contender: ContenderName;
  readonly processes: number;
  readonly holdMs: number;
}

type Figures = ReturnType<typeof figuresOf>;

const missing: Readonly<Partial<Record<ContenderName, string | false>>> = {
  zookeeper: await zooKeeperMissing(),
  consul: consulIsMissing,
  etcd: await etcdMissing(),
};
for (const [name, reason] of Object.entries(missing)) if (reason) process.stderr.write(`left out: ${name} ${reason}\n`);
const names = (Object.keys(CONTENDERS) as ContenderName[])
  .filter((name) => values.only.split(",").some((part) => name.includes(part)))
  .filter((name) => !missing[name]);
const cells: Cell[] = names.flatMap((contender) =>
  numbers(values.processes).flatMap((processes) =>
    numbers(values.hold).map((holdMs) => ({ contender, processes, holdMs })),
  ),
);
const isGoal = (cell: Cell) => cell.processes === GOAL.processes && cell.holdMs === GOAL.holdMs;
const runs = shuffled(
  cells.flatMap((cell) => Array.from({ length: isGoal(cell) ? Number(values.repeat) : 1 }, () => cell)),
);

const about = machine();
const redis = await startRedis();
const zookeeper = cells.some(({ contender }) => contender === "zookeeper") ? await startZooKeeper() : undefined;
const consul = cells.some(({ contender }) => contender === "consul") ? await startTestConsul() : undefined;
const etcd = cells.some(({ contender }) => contender === "etcd") ? await startEtcd() : undefined;
const workers: ChildProcess[] = [];
try {
  const begun = performance.now();
  for (let i = 0; i < Math.max(...cells.map(({ processes }) => processes)); i += 1) workers.push(await startWorker());
  const measured = new Map<Cell, Figures[]>();
  for (const cell of runs) {
    const figures = await measure(cell);
    measured.set(cell, [...(measured.get(cell) ?? []), figures]);
    process.stderr.write(
      `${cell.contender}, ${cell.processes} x ${cell.holdMs} ms: ${figures.perSecond.toFixed(0)}/s\n`,
    );
  }
  const results = cells.map((cell) => ({ ...cell, ...medians(measured.get(cell)!), runs: measured.get(cell)! }));
  for (const holdMs of numbers(values.hold)) {
    for (const processes of numbers(values.processes)) {
      process.stdout.write(`\n${processes} processes, hold ${holdMs} ms\n`);
      print(results.filter((result) => result.processes === processes && result.holdMs === holdMs));
    }
  }
  const goals = goalsOf(results.filter(isGoal));
  for (const [what, { figure, goal, met }] of Object.entries(goals)) {
    process.stdout.write(`${met ? "met" : "MISSED"}: ${what}: ${figure.toFixed(2)} (goal ${goal})\n`);
  }
  const tookSeconds = Math.round((performance.now() - begun) / 1_000);
  await keep("locks", { ...about, redis: await version(), seconds: values.seconds, tookSeconds, goals, results });
} finally {
  for (const worker of workers) worker.kill("SIGKILL");
  await redis.stop();
  await zookeeper?.stop();
  await consul?.stop();
  await etcd?.stop();
}

async function startWorker() {
  const worker = fork(new URL("locks-worker.ts", import.meta.url), [redis.url("admin")], {
    serialization: "advanced",
    env: { ...process.env, ...zookeeper?.variables, ...consul?.variables, ...etcd?.variables },
  });
  await once(worker, "message");
  return worker;
}

async function measure({ contender, processes, holdMs }: Cell): Promise<Figures> {
  await redis.admin.flushall();
  await redis.admin.lpush(KEY, "token");
  if (!contender.includes("BLPOP")) await redis.admin.del(KEY);
  const from = Number(process.hrtime.bigint()) / 1e6 + WARM_UP_MS;
  const start: Start = { contender, holdMs, from, to: from + Number(values.seconds) * 1_000 };
  const measured = await Promise.all(
    workers.slice(0, processes).map(async (worker) => {
      const answer = once(worker, "message");
      worker.send(start);
      return ((await answer) as [Measured])[0];
    }),
  );
  await sleep(20);
  return figuresOf(measured);
}

function figuresOf(measured: readonly Measured[]) {
  const holds = measured
    .flatMap(({ times }) => Array.from({ length: times.length / 3 }, (_, i) => times.subarray(3 * i, 3 * i + 3)))
    .map(([asked, from, to]) => ({ waitMs: from! - asked!, from: from!, to: to! }))
    .sort((a, b) => a.from - b.from);
  const waits = holds.map(({ waitMs }) => waitMs).sort((a, b) => a - b);
  const quantile = (q: number) => waits[Math.min(waits.length - 1, Math.floor(q * waits.length))] ?? Number.NaN;
  const counts = measured.map(({ times }) => times.length / 3);
  const total = (of: (one: Measured) => number) => measured.reduce((sum, one) => sum + of(one), 0);
  return {
    acquisitions: holds.length,
    perSecond: ((holds.length - 1) * 1_000) / (holds.at(-1)!.from - holds[0]!.from),
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
    maxMs: quantile(1),
    commands: total(({ commands }) => commands) / holds.length,
    cpuUs: total(({ cpuUs }) => cpuUs) / holds.length,
    jain: holds.length ** 2 / (counts.length * counts.reduce((sum, count) => sum + count ** 2, 0)),
    overlaps: holds.filter(({ from }, i) => i > 0 && from < holds[i - 1]!.to).length,
  };
}

function medians(runs: readonly Figures[]): Figures {
  const keys = Object.keys(runs[0]!) as (keyof Figures)[];
  return Object.fromEntries(keys.map((key) => [key, median(runs.map((run) => run[key]))])) as Figures;
}

function print(results: readonly (Cell & Figures)[]) {
  printTable(
    ["lock", "acquired/s", "wait p50 ms", "p99 ms", "max ms", "commands", "client CPU µs", "Jain", "overlaps"],
    results.map((result) => [
      result.contender,
      result.perSecond.toFixed(0),
      ...[result.p50Ms, result.p99Ms, result.maxMs].map((ms) => ms.toFixed(ms < 10 ? 2 : 0)),
      result.commands.toFixed(2),
      result.cpuUs.toFixed(0),
      result.jain.toFixed(3),
      result.overlaps,
    ]),
  );
}

/** The best npm package is the setting with the shortest p99; the lock is also compared with the fastest one. */
function goalsOf(results: readonly (Cell & Figures)[]) {
  const own = results.find(({ contender }) => contender === "holdfast");
  const limit = results.find(({ contender }) => contender.includes("BLPOP"));
  const libraries = results.filter(({ contender }) => isLibrary(contender));
  if (own === undefined || limit === undefined || libraries.length === 0) return {};
  const best = libraries.toSorted((a, b) => a.p99Ms - b.p99Ms)[0]!;
  const fastest = libraries.toSorted((a, b) => b.perSecond - a.perSecond)[0]!;
  const atLeast = (figure: number, goal: number) => ({ figure, goal, met: figure >= goal });
  return {
    [`p99 of ${best.contender}, the shortest, divided by ours`]: atLeast(best.p99Ms / own.p99Ms, 5),
    [`throughput against ${best.contender}`]: atLeast(own.perSecond / best.perSecond, 1),
    [`throughput against ${fastest.contender}, the fastest`]: atLeast(own.perSecond / fastest.perSecond, 1),
    [`p99 of ${fastest.contender} divided by ours`]: atLeast(fastest.p99Ms / own.p99Ms, 5),
    "throughput against the limit, BLPOP": atLeast(own.perSecond / limit.perSecond, 0.9),
    "commands for each acquisition": { figure: own.commands, goal: 2, met: own.commands < 2.01 },
    "Jain index": atLeast(own.jain, 0.99),
  };
}

async function version() {
  return (await redis.admin.info("server")).match(/redis_version:(\S+)/)?.[1];
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
