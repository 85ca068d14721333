/** One process of bench/locks.ts: acquires and releases the lock that its parent names, and reports when it held it. */
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { lockConnectionOptions } from "../worker/locks/redis-lock.ts";
import { CONTENDERS, type Contender, type ContenderName } from "./locks-contenders.ts";

export interface Start {
  readonly contender: ContenderName;
  readonly holdMs: number;
  /** Milliseconds of CLOCK_MONOTONIC. Acquisitions that are requested from `from` to `to` are counted. */
  readonly from: number;
  readonly to: number;
}

export interface Measured {
  /** Three times for each counted acquisition: requested, held from, held to; milliseconds of CLOCK_MONOTONIC. */
  readonly times: Float64Array;
  /** Commands sent to Redis, or requests to a lock service, for the counted acquisitions, without those that scripts call. */
  readonly commands: number;
  readonly cpuUs: number;
}

const now = () => Number(process.hrtime.bigint()) / 1e6;
const [url = ""] = process.argv.slice(2);
const connection = new Redis(url, lockConnectionOptions);
let commands = 0;
const { sendCommand } = connection;
connection.sendCommand = (...args) => {
  commands += 1;
  return sendCommand.apply(connection, args);
};

let opened: { name: ContenderName; contender: Contender } | undefined;

async function run({ contender: name, holdMs, from, to }: Start): Promise<Measured> {
  if (opened?.name !== name) {
    await opened?.contender.close?.();
    opened = { name, contender: await CONTENDERS[name](connection) };
  }
  const { acquire, requests = () => commands } = opened.contender;
  const times: number[] = [];
  let before: { commands: number; cpu: NodeJS.CpuUsage } | undefined;
  while (now() < to) {
    const asked = now();
    if (before === undefined && asked >= from) before = { commands: requests(), cpu: process.cpuUsage() };
    const release = await acquire();
    const heldFrom = now();
    if (holdMs > 0) await sleep(holdMs);
    const heldTo = now();
    await release();
    if (before !== undefined) times.push(asked, heldFrom, heldTo);
  }
  if (before === undefined) return { times: Float64Array.of(), commands: 0, cpuUs: 0 };
  const cpu = process.cpuUsage(before.cpu);
  return { times: Float64Array.from(times), commands: requests() - before.commands, cpuUs: cpu.user + cpu.system };
}

process.on("message", async (start: Start) => process.send?.(await run(start)));
process.on("disconnect", () => process.exit());
await connection.ping();
process.send?.("ready");
