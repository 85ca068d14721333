/**
 * One worker: spec in, metrics out. The same command in a pod and as a local process.
 *
 *  1. read the spec, serve /metrics, send heartbeats
 *  2. open the strategy on its connections; report `ready`
 *  3. on `start`, make operations for the run's duration
 *  4. finish what is in flight, report `done` with the final numbers
 *  5. linger until released, so that Prometheus can scrape the final numbers
 *
 * Exit status: 0 released or lingered, 1 could not work, 2 environment invalid, 3 coordinator lost or aborted.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { leasesOf, redisConnections } from "./connections.ts";
import { type Heartbeat, WAITING_HEARTBEAT_MS, type WorkerFinal } from "./contract.ts";
import { createControl } from "./control.ts";
import { readEnvironment } from "./environment.ts";
import { createFailpoints, type Failpoints, needsNetwork } from "./failpoints.ts";
import { startHeartbeats } from "./heartbeat.ts";
import { LockUnreachable, messageOf } from "./locks/lock.ts";
import { type LoopResult, type Loops, runLoops } from "./loop.ts";
import { createMetrics, serveMetrics } from "./metrics.ts";
import { OperationError, outcomeOf } from "./outcome.ts";
import { seededRandom } from "./random.ts";
import { createRows, type Employee } from "./rows.ts";
import { explainMysql, explainRedis, type Remedy } from "./server-errors.ts";
import { explainConsul } from "./servers/consul-errors.ts";
import { explainEtcd } from "./servers/etcd-errors.ts";
import { mysqlServerOf } from "./servers/mysql.ts";
import { createNetwork } from "./servers/network.ts";
import { guestUrl } from "./servers/redis.ts";
import { strategies } from "./strategies/index.ts";
import { type Session, Unavailable } from "./strategy.ts";
import { createTally } from "./tally.ts";

/** How long a worker retries a server that does not answer before it gives up. */
const REACH_MS = 60_000;
const RETRY_MS = 500;

/** All that changes while a worker runs, except its counts. */
interface WorkerState {
  /** What each heartbeat reports, in addition to the counts. */
  readonly status: Pick<Heartbeat, "phase" | "readyMs" | "failure" | "unavailable" | "waitingFor" | "final">;
  /** The loops, and the moment when they started by the database's clock and by this process's. */
  running?: { readonly loops: Loops; readonly startedUs: number; readonly startedMs: number };
  /** The program of a user's own lock. */
  program?: Session["program"];
}
const state: WorkerState = { status: { phase: "warming" } };

// --- 1. Metrics and heartbeats --------------------------------------------------------------------------------------

const { environment, spec, index } = readOrEnd();
const { HOLDFAST_UID: uid, HOLDFAST_NODE: node } = environment;
const control = createControl((reason) => end(3, reason));
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
  // Before and after the operations a heartbeat disturbs nobody, and the next command comes sooner.
  intervalMs: () =>
    state.status.phase === "running" ? spec.heartbeatMs : Math.min(spec.heartbeatMs, WAITING_HEARTBEAT_MS),
  lostMs: spec.coordinatorLostMs,
  beat() {
    const { committed, rejected, unknown } = tally.result();
    const counts = { committed, rejected, unknown };
    const { startedMs } = state.running ?? {};
    const since = startedMs === undefined ? {} : { runningMs: performance.now() - startedMs };
    return { run: spec.run, index, uid, node, metricsPort: server.port, ...counts, ...since, ...state.status };
  },
  onCommand(command) {
    control.obey(command);
    if (command.command === "continue") state.running?.loops.continueFor(command.forMs);
  },
  onLost: (reason) => end(3, reason),
});

// --- 2. to 4. The strategy and its operations -----------------------------------------------------------------------

const random = seededRandom(spec.seed, index);
const galeraServers = new Set<string>();
const faults = [...(spec.fault === undefined ? [] : [spec.fault]), ...(spec.soak ?? [])];
const network = needsNetwork(faults, index) ? createNetwork(random) : undefined;
const rows = createRows({
  server: mysqlServerOf(environment, index),
  spec,
  wrote(readVersion, newVersion) {
    if (newVersion === readVersion + 1) return;
    tally.naive();
    metrics.naive();
  },
  onGalera: (name) => galeraServers.add(name),
  network,
});
const failpoints = createRunFailpoints();

try {
  const writers = await registerWriters();
  const session = await retryUntilReached(openSession);
  await becomeReady();
  await sleep(await control.waitForStart(), undefined, { signal: control.stop });
  await makeOperations(session, writers);
  await session.close().catch(() => {});
} catch (error) {
  if (!control.stop.aborted) {
    const message = messageOf(error);
    if (error instanceof Unavailable) state.status.unavailable = message;
    else state.status.failure = message;
    await heartbeats.now();
    end(1, message);
  }
}

// --- 5. Until the coordinator releases the worker -------------------------------------------------------------------

// A worker that was stopped early has reported so with its numbers, and nobody waits for its last scrape.
if (state.status.final !== undefined && state.status.failure === undefined)
  await Promise.race([control.released, sleep(spec.lingerMs, undefined, { ref: false })]);
if (control.stop.aborted) end(3, control.stopReason());
end(0);

// --- Internal helpers -----------------------------------------------------------------------------------------------

function readOrEnd() {
  try {
    return readEnvironment(process.env);
  } catch (error) {
    return end(2, messageOf(error));
  }
}

async function registerWriters(): Promise<number[]> {
  const writers: number[] = [];
  for (let loop = 0; loop < spec.concurrency; loop += 1)
    writers.push(await retryUntilReached(() => rows.registerWriter(index, loop, uid, node)));
  return writers;
}

async function openSession(): Promise<Session> {
  const redis = redisConnections(environment, network);
  const strategy = spec.mix?.[index % spec.mix.length] ?? spec.strategy;
  const session = await strategies[strategy].open({
    spec,
    rows: failpoints?.inRows(rows) ?? rows,
    redis: redis.connect,
    redisServers: redis.servers,
    lockServices: environment,
    lockFolder: environment.HOLDFAST_LOCK_FOLDER,
    guestRedisUrl: () => guestUrl(environment),
    leases: () => leasesOf(environment),
    worker: index,
    random,
    releaseFailed() {
      tally.releaseFailed();
      metrics.releaseFailed();
    },
    retried(error) {
      const { class: errorClass, message } = outcomeOf(error, spec);
      metrics.error(errorClass);
      tally.error(errorClass, "retried", message);
    },
  });
  state.program = session.program;
  return failpoints?.inSession(session) ?? session;
}

/**
 * Retries while a server does not answer, because a node on which a whole fleet starts is slow. An error that waiting
 * does not resolve, such as a rejected certificate, is thrown at once, with what to do about it.
 */
async function retryUntilReached<T>(open: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + REACH_MS;
  for (;;) {
    try {
      const opened = await open();
      state.status.waitingFor = undefined;
      return opened;
    } catch (error) {
      const remedy = remedyOf(error);
      if (!mayHeal(error, remedy) || control.stop.aborted || performance.now() > deadline)
        throw remedy === undefined ? error : withFix(error, remedy);
      state.status.waitingFor = messageOf(error);
      await sleep(RETRY_MS);
    }
  }
}

function remedyOf(error: unknown): Remedy | undefined {
  return error instanceof OperationError ? explainMysql(error.cause) : undefined;
}

function mayHeal(error: unknown, remedy: Remedy | undefined): boolean {
  if (remedy !== undefined) return !remedy.final;
  if (error instanceof LockUnreachable) {
    const known = explainRedis(error.cause) ?? explainConsul(error.cause) ?? explainEtcd(error.cause);
    return known?.final !== true;
  }
  return error instanceof OperationError && error.class === "connection";
}

/** Adds the fix to an error of the database. Errors of locks contain it already. */
function withFix(error: unknown, { reason, fix }: Remedy): Error {
  return new Error(`${reason === undefined ? messageOf(error) : `MySQL: ${reason}`}; ${fix}`, { cause: error });
}

async function becomeReady() {
  state.status.phase = "ready";
  state.status.readyMs = process.uptime() * 1_000;
  metrics.phase("ready");
  await heartbeats.now();
}

async function makeOperations(session: Session, writers: readonly number[]) {
  const { stop, abort } = control;
  state.status.phase = "running";
  metrics.phase("running");
  const startedUs = await rows.nowUs();
  const startedMs = performance.now();
  const loops = runLoops({ spec, session, metrics, tally, writers, random, stop, abort });
  state.running = { loops, startedUs, startedMs };
  await loops.finished;
  // Stopped by somebody other than the coordinator: the numbers are complete, the run is not.
  if (stop.aborted && !abort.aborted) state.status.failure = `stopped before its end by ${control.stopReason()}`;
  state.status.final = finalNumbers(loops.result(), await rows.nowUs().catch(() => 0));
  metrics.phase("done");
  state.status.phase = "done";
  await heartbeats.now();
}

function finalNumbers({ faulted, ...counts }: LoopResult, endedAtUs: number): WorkerFinal {
  const residentBytes = process.resourceUsage().maxRSS * 1_024;
  const faultTimes = tally.faultTimes().map(({ fromMs, untilMs }) => ({
    startedAtUs: databaseUs(fromMs),
    endedAtUs: databaseUs(untilMs),
  }));
  const ofFault = faults.length === 0 ? {} : { faulted, faultTimes };
  const ofCluster = galeraServers.size === 0 ? {} : { galeraServers: [...galeraServers] };
  const ofProgram = state.program === undefined ? {} : { ownLock: state.program.seen() };
  const times = { startedAtUs: state.running?.startedUs ?? 0, endedAtUs };
  return { ...counts, ...ofFault, ...ofCluster, ...ofProgram, ...times, residentBytes };
}

/** The places where the run's faults happen; undefined if it has none. */
function createRunFailpoints(): Failpoints | undefined {
  if (faults.length === 0) return undefined;
  const elapsedMs = () => (state.running === undefined ? undefined : performance.now() - state.running.startedMs);
  const signalProgram = (signal: "SIGSTOP" | "SIGCONT") => state.program?.signal(signal);
  return createFailpoints({ faults, index, elapsedMs, network, signalProgram, onFault: tally.faulted, die });
}

/** The database's clock, microseconds since 1970, at a moment by `performance.now()`. */
function databaseUs(ms: number): number {
  const { startedUs = 0, startedMs = 0 } = state.running ?? {};
  return Math.round(startedUs + (ms - startedMs) * 1_000);
}

/** Kills this process, as the run's fault demands, but reports the numbers first, which would be lost otherwise. */
async function die(employee?: Employee): Promise<never> {
  const { running } = state;
  if (running === undefined) throw new Error("a worker cannot die of a fault before its start");
  // At the same moment: it must not release what the worker holds.
  state.program?.signal("SIGSTOP");
  // If the answer with the database's time came late, the computed end is too early: it cannot be before the read.
  const readAtUs = employee === undefined ? 0 : parseMicroseconds(employee.readAt);
  const endedAtUs = Math.max(readAtUs, databaseUs(performance.now()));
  state.status.final = { ...finalNumbers(running.loops.interrupted(), endedAtUs), died: true };
  state.status.phase = "done";
  await heartbeats.now();
  state.program?.signal("SIGKILL");
  process.kill(process.pid, "SIGKILL");
  // The first process of a container cannot be killed from inside.
  return end(137, "ended itself as planned");
}

/** Microseconds since 1970 of a time like `2026-03-01 10:15:00.123456`. */
function parseMicroseconds(time: string): number {
  return Date.parse(`${time.slice(0, 19).replace(" ", "T")}Z`) * 1_000 + Number(time.slice(20).padEnd(6, "0"));
}

/** The only exit of the process. Its connections end with it: the database rolls back what was not committed. */
function end(status: number, message?: string): never {
  if (message !== undefined) process.stderr.write(`worker: ${message}\n`);
  process.exit(status);
}
