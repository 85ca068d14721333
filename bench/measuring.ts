/**
 * Measures the cost of measuring: the committed operations of each strategy with ledger, metrics and heartbeats, as in
 * every run, compared with the same loop with only the mutation. The two alternate in one session; the table shows the
 * ratio of the medians.
 *
 *   node bench/measuring.ts [--duration 4s] [--hold 2ms] [--repeat 3] [--strategies redis,row-lock]
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { nameRuns, planRuns } from "../coordinator/plan/scenarios/index.ts";
import { readRunOptions } from "../coordinator/plan/settings.ts";
import { createRig } from "../test/support/rig.ts";
import { STRATEGY_NAMES, type StrategyName } from "../worker/contract.ts";
import { keep, machine, median, printTable } from "./support.ts";

const { values } = parseArgs({
  options: {
    duration: { type: "string", default: "4s" },
    hold: { type: "string", default: "2ms" },
    repeat: { type: "string", default: "3" },
    strategies: { type: "string", default: "none,memory,redis,row-lock,version" },
  },
});
const strategies = values.strategies
  .split(",")
  .filter((name): name is StrategyName => STRATEGY_NAMES.includes(name as StrategyName));
await using rig = await createRig();

const results = [];
for (const strategy of strategies) {
  const { settings } = readRunOptions({ strategies: [strategy], duration: values.duration, hold: values.hold });
  const measured: number[] = [];
  const bare: number[] = [];
  for (let repetition = 0; repetition < Number(values.repeat); repetition += 1) {
    const plan = nameRuns("bench", planRuns(settings))[0]!;
    const { run: _, strategy: name, ...changes } = plan;
    measured.push((await rig.run(name, changes)).throughput ?? 0);
    bare.push(await bareThroughput(plan));
  }
  const ratio = median(measured) / median(bare);
  results.push({ strategy, hold: values.hold, measured, bare, ratio });
  process.stderr.write(`${strategy}: ${ratio.toFixed(3)}\n`);
}
printTable(
  ["strategy", "measured, committed/s", "mutation only", "ratio", "cost"],
  results.map(({ strategy, measured, bare, ratio }) => [
    strategy,
    median(measured).toFixed(1),
    median(bare).toFixed(1),
    ratio.toFixed(3),
    `${((1 - ratio) * 100).toFixed(1)} %`,
  ]),
);
await keep(`measuring-hold-${values.hold}`, {
  ...machine(),
  duration: values.duration,
  repeat: values.repeat,
  results,
});

/** Committed operations per second of the fleet without ledger, metrics and heartbeats. */
async function bareThroughput(plan: ReturnType<typeof nameRuns>[number]): Promise<number> {
  const run = `bare-${randomBytes(4).toString("hex")}`;
  await rig.database.reset(run, plan.rows);
  const { servers } = rig;
  const workers = Array.from({ length: plan.workers }, (_, index) =>
    spawn(process.execPath, [new URL("bare-worker.ts", import.meta.url).pathname], {
      stdio: ["pipe", "pipe", "inherit"],
      env: {
        PATH: process.env.PATH,
        NODE_ENV: "production",
        HOLDFAST_SPEC: JSON.stringify({
          ...{ ...plan, run, report: "bench", ledger: false, statementTimeoutMs: 10_000 },
          ...{ coordinatorUrl: "http://127.0.0.1:1", heartbeatMs: 250, coordinatorLostMs: 5_000, lingerMs: 0 },
        }),
        HOLDFAST_INDEX: String(index),
        HOLDFAST_UID: randomUUID(),
        HOLDFAST_TOKEN: "bench",
        MYSQL_URL: servers.mysql!.url,
        REDIS_URL: servers.redis!.url,
        REDIS_PASSWORD_LOCK: servers.redis!.passwords.lock,
      },
    }),
  );
  const lines = workers.map(linesOf);
  await Promise.all(lines.map((line) => line.next()));
  for (const worker of workers) worker.stdin!.write("go\n");
  const committed = await Promise.all(lines.map(async (line) => Number((await line.next()).value)));
  await Promise.all(workers.map((worker) => (worker.exitCode === null ? once(worker, "exit") : undefined)));
  return committed.reduce((total, count) => total + count, 0) / (plan.durationMs / 1_000);
}

function linesOf(child: ChildProcess) {
  return createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
}
