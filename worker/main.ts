/**
 * One worker: spec in, metrics out. The same command in a pod and as a local process.
 *
 *  1. read the spec, serve /metrics, send heartbeats
 *  2. open the strategy on its connections; say `ready`
 *  3. on `start`, make operations for the run's duration
 *  4. finish what is in flight, set `done`, hand in the final numbers
 *  5. linger until released, so that Prometheus can take a last look
 *
 * Exit status: 0 released or lingered, 1 could not work, 2 environment invalid, 3 coordinator lost or aborted.
 */
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { leasesOf, redisConnections } from "./connections.ts";
import { type Command, type Phase, WorkerEnvironment, type WorkerFinal, WorkerSpec } from "./contract.ts";
import { withFailpoints } from "./failpoints.ts";
import { startHeartbeats } from "./heartbeat.ts";
import { LockUnreachable } from "./locks/lock.ts";
import { createTally, type LoopResult, type Loops, runLoops } from "./loop.ts";
import { createMetrics, serveMetrics } from "./metrics.ts";
import { OperationError, outcomeOf } from "./outcome.ts";
import { seededRandom } from "./random.ts";
import { createRows, type Employee } from "./rows.ts";
import { strategies } from "./strategies/index.ts";
import { type Resources, Unavailable } from "./strategy.ts";

/** How long a worker that was told to abort may take to finish what is in flight. */
const ABORT_MS = 2_000;
/** How long a worker asks for servers that do not answer before it gives up. */
const REACH_MS = 60_000;

const { environment, spec } = readEnvironment();
const index = environment.HOLDFAST_INDEX ?? environment.JOB_COMPLETION_INDEX ?? 0;

const uid = environment.HOLDFAST_UID;

let phase: Phase = "warming";
let readyMs: number | undefined;
let failure: string | undefined;
let unavailable: string | undefined;
let waitingFor: string | undefined;
let result: () => LoopResult = () => ({ committed: 0, rejected: 0, unknown: 0, raised: 0, writers: [], errors: [] });
let final: WorkerFinal | undefined;
let loops: Loops | undefined;
/** By the database's clock and by this process's, at the same moment. */
let started: { readonly us: number; readonly ms: number } | undefined;
let naive = 0;
let releaseFailures = 0;
let faulted = 0;

const stop = new AbortController();
const abort = new AbortController();
const toldToStart = Promise.withResolvers<number>();
const released = Promise.withResolvers<void>();

for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stop.abort(new Error(signal)));

const tally = createTally();
const metrics = createMetrics(spec, index, uid);
const server = await serveMetrics(
  metrics.registry,
  environment.HOLDFAST_METRICS_HOST,
  environment.HOLDFAST_METRICS_PORT,
).catch((error) => end(1, `cannot serve metrics: ${error.message}`));

const heartbeats = startHeartbeats({
  url: spec.coordinatorUrl,
  token: environment.HOLDFAST_TOKEN,
  intervalMs: spec.heartbeatMs,
  lostMs: spec.coordinatorLostMs,
  beat() {
    const { committed, rejected, unknown } = result();
    const base = { run: spec.run, index, uid, node: environment.HOLDFAST_NODE, phase, metricsPort: server.port };
    return { ...base, committed, rejected, unknown, readyMs, final, failure, unavailable, waitingFor };
  },
  onCommand: obey,
  onLost: (reason) => end(3, reason),
});

const rows = createRows({
  url: environment.MYSQL_URL,
  password: environment.MYSQL_PASSWORD,
  spec,
  wrote(readVersion, newVersion) {
    if (newVersion === readVersion + 1) return;
    naive += 1;
    metrics.naive();
  },
});
const redis = redisConnections(environment);

try {
  const writers: number[] = [];
  for (let loop = 0; loop < spec.concurrency; loop += 1)
    writers.push(await reached(() => rows.registerWriter(index, loop, uid, environment.HOLDFAST_NODE)));
  const random = seededRandom(spec.seed, index);
  const strategy = spec.mix?.[index % spec.mix.length] ?? spec.strategy;
  const resources: Resources = {
    spec,
    rows:
      spec.fault === undefined
        ? rows
        : withFailpoints(rows, { fault: spec.fault, index, elapsedMs, onFault: happens, die }),
    redis: redis.connect,
    redisServers: redis.servers,
    lockFolder: environment.HOLDFAST_LOCK_FOLDER,
    leases: () => leasesOf(environment),
    worker: index,
    random,
    releaseFailed() {
      releaseFailures += 1;
      metrics.releaseFailed();
    },
    retried(error) {
      const { class: errorClass, message } = outcomeOf(error);
      metrics.error(errorClass);
      tally.error(errorClass, "retried", message);
    },
  };
  const session = await reached(() => strategies[strategy].open(resources));
  phase = "ready";
  readyMs = process.uptime() * 1_000;
  metrics.phase("ready");
  await heartbeats.now();

  const startInMs = await Promise.race([toldToStart.promise, aborted(stop.signal)]);
  await sleep(startInMs, undefined, { signal: stop.signal });
  phase = "running";
  metrics.phase("running");
  started = { us: await rows.nowUs(), ms: performance.now() };
  loops = runLoops({ spec, session, metrics, tally, writers, random, stop: stop.signal, abort: abort.signal });
  result = loops.result;
  await loops.finished;
  // Told to end by somebody who is not the coordinator: the numbers are whole, the run is not.
  if (stop.signal.aborted && !abort.signal.aborted)
    failure = `stopped before its end by ${(stop.signal.reason as Error).message}`;
  final = finalOf(loops.result(), await rows.nowUs().catch(() => 0));
  metrics.phase("done");
  phase = "done";
  await heartbeats.now();
  await session.close().catch(() => {});
} catch (error) {
  if (!stop.signal.aborted) {
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof Unavailable) unavailable = message;
    else failure = message;
    await heartbeats.now();
    end(1, message);
  }
}

// Who is stopped before the end has said so with its numbers, and nobody waits for its last scrape.
if (final !== undefined && failure === undefined)
  await Promise.race([released.promise, sleep(spec.lingerMs, undefined, { ref: false })]);
if (stop.signal.aborted) end(3, (stop.signal.reason as Error).message);
end(0);

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** Tries again where a server does not answer: a node on which a whole fleet starts is slow, and no operation is at stake yet. */
async function reached<T>(open: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + REACH_MS;
  for (;;) {
    try {
      const opened = await open();
      waitingFor = undefined;
      return opened;
    } catch (error) {
      const silent = error instanceof OperationError ? error.class === "connection" : error instanceof LockUnreachable;
      if (!silent || stop.signal.aborted || performance.now() > deadline) throw error;
      waitingFor = error instanceof Error ? error.message : String(error);
      await sleep(500);
    }
  }
}

function finalOf(result: LoopResult, endedAtUs: number): WorkerFinal {
  const residentBytes = process.resourceUsage().maxRSS * 1_024;
  const ofFault = spec.fault === undefined ? {} : { faulted };
  return { ...result, ...ofFault, naive, releaseFailures, startedAtUs: started?.us ?? 0, endedAtUs, residentBytes };
}

function happens() {
  faulted += 1;
}

function elapsedMs() {
  return started === undefined ? undefined : performance.now() - started.ms;
}

/** The worst moment to end, on purpose; but not without its numbers, or nothing could be said of what it did before. */
async function die(employee?: Employee): Promise<never> {
  if (loops === undefined || started === undefined) throw new Error("there is nothing to die of before the start");
  // The answer that tied the two clocks together may have come late, which puts the end too early; it is after the read.
  const readAtUs = employee === undefined ? 0 : microseconds(employee.readAt);
  const endedAtUs = Math.max(readAtUs, Math.round(started.us + (performance.now() - started.ms) * 1_000));
  final = { ...finalOf(loops.interrupted(), endedAtUs), died: true };
  phase = "done";
  await heartbeats.now();
  process.kill(process.pid, "SIGKILL");
  // The first process of a container cannot be killed from inside.
  return end(137, "ended itself as planned");
}

/** Of `2026-03-01 10:15:00.123456`, since 1970. */
function microseconds(time: string): number {
  return Date.parse(`${time.slice(0, 19).replace(" ", "T")}Z`) * 1_000 + Number(time.slice(20).padEnd(6, "0"));
}

function obey(command: Command) {
  if (command.command === "start") toldToStart.resolve(command.inMs);
  if (command.command === "release") released.resolve();
  if (command.command !== "abort" || abort.signal.aborted) return;
  // What is in flight is finished and reported, waiting is not.
  stop.abort(new Error(`aborted: ${command.reason}`));
  abort.abort(stop.signal.reason);
  released.resolve();
  setTimeout(() => end(3, `aborted: ${command.reason}`), ABORT_MS).unref();
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    if (signal.aborted) reject(signal.reason);
  });
}

function readEnvironment() {
  const read = WorkerEnvironment.safeParse(process.env);
  if (!read.success) return end(2, `the environment is not a worker's: ${z.prettifyError(read.error)}`);
  try {
    return { environment: read.data, spec: WorkerSpec.parse(JSON.parse(read.data.HOLDFAST_SPEC)) };
  } catch (error) {
    return end(2, `HOLDFAST_SPEC is not valid: ${error instanceof z.ZodError ? z.prettifyError(error) : error}`);
  }
}

/** The process ends here, and only here. Connections die with it: the database rolls back what was not committed. */
function end(status: number, message?: string): never {
  if (message !== undefined) process.stderr.write(`worker: ${message}\n`);
  process.exit(status);
}
