/**
 * The contract between worker and coordinator, and the only worker file that the coordinator imports: the strategies
 * with what theory expects of them, the spec and environment of a worker, its heartbeats, and the names of its metrics.
 */
import * as z from "zod";

// --- Strategies -----------------------------------------------------------------------------------------------------

/** What theory expects of one aspect of a strategy; `unclaimed` if the strategy promises nothing about it. */
export type Expectation = "holds" | "violated" | "unclaimed";

export interface StrategyFacts {
  /** One line for `--help` and the report. */
  readonly summary: string;
  readonly expects: { readonly data: Expectation; readonly exclusion: Expectation };
  /** What theory expects of a fleet of one worker, if that differs (a mutex in memory). */
  readonly expectsOfOneWorker?: { readonly data: Expectation; readonly exclusion: Expectation };
  readonly lock: LockFacts;
  /**
   * `guarded`: reads and writes under the run's guard; see {@link GUARDS}. `self-protecting`: its own write cannot be
   * stale, whatever others do to the row, because what it relies on ends together with the write. `plain`: neither.
   */
  readonly write: "guarded" | "self-protecting" | "plain";
  /** A positive control: it must be violated, or the instrument has not shown that it can see a violation. */
  readonly control?: true;
  /** What it needs in addition to one MySQL and one Redis. Without it, the strategy is skipped with the reason. */
  readonly needs?: Need;
  /** What it can and cannot express, if that differs from what a lock can: one sentence for the report. */
  readonly limits?: string;
  /** Employees that it needs, if more than one. */
  readonly rowsMin?: number;
}

/** The lock of a strategy, or the condition in the database that it has instead. */
export interface LockFacts {
  /** Where it is kept; null where nothing is kept, or in more than one place. */
  readonly keptIn: "process" | "database" | "redis" | "file system" | "cluster" | null;
  /** Whether the lock has a key, so that one lock may guard each row or all of them; see {@link KEY_SCOPES}. */
  readonly keyed: boolean;
  /** Null: no TTL. `watched`: the TTL is extended, and checked before the write. `blind`: neither. */
  readonly lease: "watched" | "blind" | null;
  /** The lock rounds a TTL up to a multiple of this, milliseconds; 1 if left out. */
  readonly ttlStepMs?: number;
  /** Whether the lock gives a token that grows with each holder, for the guards that compare tokens. */
  readonly fenced: boolean;
}

export const NEEDS = ["cluster", "redis-majority"] as const;
export type Need = (typeof NEEDS)[number];
/** The smallest number of servers that keeps a majority when one of them is lost. */
export const MAJORITY_SERVERS_MIN = 3;

export const STRATEGIES = {
  none: {
    summary: "read, compute, write, with nothing in between",
    expects: { data: "violated", exclusion: "violated" },
    lock: { keptIn: null, keyed: false, lease: null, fenced: false },
    write: "guarded",
    control: true,
  },
  memory: {
    summary: "a mutex inside each process",
    expects: { data: "violated", exclusion: "violated" },
    lock: { keptIn: "process", keyed: false, lease: null, fenced: false },
    write: "guarded",
    expectsOfOneWorker: { data: "holds", exclusion: "holds" },
    control: true,
  },
  redis: {
    summary: "a lock in one Redis, with owner, TTL and extension",
    expects: { data: "holds", exclusion: "holds" },
    lock: { keptIn: "redis", keyed: true, lease: "watched", fenced: true },
    write: "guarded",
  },
  "row-lock": {
    summary: "SELECT ... FOR UPDATE in the transaction",
    expects: { data: "holds", exclusion: "holds" },
    lock: { keptIn: "database", keyed: false, lease: null, fenced: false },
    write: "self-protecting",
  },
  version: {
    summary: "optimistic: the write names the version that was read",
    expects: { data: "holds", exclusion: "unclaimed" },
    lock: { keptIn: "database", keyed: false, lease: null, fenced: false },
    write: "self-protecting",
  },
  "row-pair": {
    summary: "row locks of two employees in one transaction; see --scenario deadlock",
    expects: { data: "holds", exclusion: "holds" },
    lock: { keptIn: "database", keyed: false, lease: null, fenced: false },
    write: "self-protecting",
    rowsMin: 2,
  },
  "seed-mutex": {
    summary: "a lock in Redis as it is often written first: a constant value and no owner",
    expects: { data: "holds", exclusion: "holds" },
    lock: { keptIn: "redis", keyed: true, lease: "blind", fenced: false },
    write: "guarded",
  },
  redlock: {
    summary: "a lock on the majority of independent Redis servers",
    expects: { data: "holds", exclusion: "holds" },
    lock: { keptIn: "redis", keyed: true, lease: "watched", fenced: false },
    write: "guarded",
    needs: "redis-majority",
  },
  "get-lock": {
    summary: "GET_LOCK of the database, on the connection of the write",
    expects: { data: "holds", exclusion: "holds" },
    lock: { keptIn: "database", keyed: true, lease: null, fenced: false },
    write: "plain",
  },
  "shared-row-lock": {
    summary: "a shared row lock for the read, an exclusive one for the write; deadlocks are retried",
    expects: { data: "holds", exclusion: "unclaimed" },
    lock: { keptIn: "database", keyed: false, lease: null, fenced: false },
    write: "self-protecting",
  },
  file: {
    summary: "a lock on a file that all workers share",
    expects: { data: "holds", exclusion: "holds" },
    lock: { keptIn: "file system", keyed: true, lease: null, fenced: false },
    write: "guarded",
  },
  lease: {
    summary: "a Lease of Kubernetes, by compare-and-set on its resourceVersion",
    expects: { data: "holds", exclusion: "holds" },
    lock: { keptIn: "cluster", keyed: true, lease: "watched", ttlStepMs: 1_000, fenced: true },
    write: "guarded",
    needs: "cluster",
  },
  nested: {
    summary: "a lock in Redis around transfers, row locks inside, single raises outside",
    expects: { data: "holds", exclusion: "holds" },
    lock: { keptIn: null, keyed: false, lease: null, fenced: false },
    write: "plain",
    rowsMin: 3,
  },
  atomic: {
    summary: "no lock and no read: SET salary = salary + raise in one statement",
    expects: { data: "holds", exclusion: "unclaimed" },
    lock: { keptIn: "database", keyed: false, lease: null, fenced: false },
    write: "self-protecting",
    limits:
      "it can express what SQL computes from the row itself; it cannot express a rule of the application that must read the row first, nor a step outside the database",
  },
  "skip-locked": {
    summary: "a queue of raises in the database, applied in batches with SKIP LOCKED",
    expects: { data: "holds", exclusion: "unclaimed" },
    lock: { keptIn: "database", keyed: false, lease: null, fenced: false },
    write: "self-protecting",
    limits:
      "it can express work that is known before the row is read and may be done by any worker; it cannot return the new value of the row before the work is applied",
  },
  "redis-semaphore": {
    summary: "the mutex of the npm package redis-semaphore",
    expects: { data: "holds", exclusion: "holds" },
    lock: { keptIn: "redis", keyed: true, lease: "watched", fenced: false },
    write: "guarded",
  },
  "redlock-npm": {
    summary: "the npm package redlock, on all Redis servers of the run",
    expects: { data: "holds", exclusion: "holds" },
    lock: { keptIn: "redis", keyed: true, lease: "watched", fenced: false },
    write: "guarded",
  },
} as const satisfies Record<string, StrategyFacts>;

export type StrategyName = keyof typeof STRATEGIES;
export const STRATEGY_NAMES = Object.keys(STRATEGIES) as [StrategyName, ...StrategyName[]];
export const rowsMin = (strategy: StrategyName): number => (STRATEGIES[strategy] as StrategyFacts).rowsMin ?? 1;

/** An extra condition inside the write itself; docs/guards.md describes what each can and cannot stop. */
export const GUARDS = ["none", "version", "fence-write", "fence-claim"] as const;
export type Guard = (typeof GUARDS)[number];

/** What one lock guards: the row of an operation, or all rows of the run. */
export const KEY_SCOPES = ["row", "global"] as const;
export type KeyScope = (typeof KEY_SCOPES)[number];

// --- Operations -----------------------------------------------------------------------------------------------------

/**
 * `committed`: acknowledged by the database. `rejected`: certainly not applied.
 * `unknown`: no answer to COMMIT arrived, so the operation may or may not have been applied.
 */
export const OUTCOMES = ["committed", "rejected", "unknown"] as const;
export type Outcome = (typeof OUTCOMES)[number];

/**
 * The id of an operation is one integer: the writer (one loop of one worker, numbered by the database) times this, plus
 * the position of the operation in the writer's sequence, counted from 1. It fits in a double for 33 million writers.
 */
export const OPERATIONS_PER_WRITER = 2 ** 28;
export const operationId = (writer: number, sequence: number) => writer * OPERATIONS_PER_WRITER + sequence;
export const writerOf = (operation: number) => Math.floor(operation / OPERATIONS_PER_WRITER);

// --- Faults ---------------------------------------------------------------------------------------------------------

/** Named places in an operation: after the read, before the computation; after everything else, before the write. */
export const FAILPOINTS = ["after-read", "before-write"] as const;
export type Failpoint = (typeof FAILPOINTS)[number];

/**
 * What a fault does. `sleep`: the operation takes longer, and the rest of its process goes on. `stall`: the whole
 * process is stalled, as in a long garbage collection or without a CPU. `die`: the process reports its numbers and ends
 * at once, without releasing what it holds.
 */
export const FAULT_ACTIONS = ["sleep", "stall", "die"] as const;
export type FaultAction = (typeof FAULT_ACTIONS)[number];

export const Fault = z.strictObject({
  at: z.enum(FAILPOINTS),
  action: z.enum(FAULT_ACTIONS),
  /** Index of the one worker to which it happens; if left out, it happens to all of them. */
  worker: z.int().nonnegative().optional(),
  /** Not before this much of the run's time has passed. */
  afterMs: z.number().nonnegative().default(0),
  /** Every how many times that a worker reaches the place. */
  every: z.int().positive().default(1),
  /** How long it takes, milliseconds; not used by `die`. */
  forMs: z.number().nonnegative().default(0),
});
export type Fault = z.infer<typeof Fault>;

/**
 * Lock order of the two rows, and what happens after a deadlock: report it to the caller, retry the whole transaction,
 * or (on purpose, to show the bug) continue.
 */
export const PairRules = z.strictObject({
  /** `same`: every operation takes the employee with the lower number first. */
  order: z.enum(["same", "opposite"]),
  /** `carry-on` continues in a transaction that the database has rolled back, as if only the statement had failed. */
  onDeadlock: z.enum(["give-up", "retry", "carry-on"]),
});
export type PairRules = z.infer<typeof PairRules>;

// --- Spec and environment of a worker -------------------------------------------------------------------------------

/** Redis users of helm/files/users.acl. Each may run only its commands, on its keys. */
export const WORKER_REDIS_USERS = ["lock", "seed", "peer"] as const;
export type WorkerRedisUser = (typeof WORKER_REDIS_USERS)[number];
export const REDIS_USERS = [...WORKER_REDIS_USERS, "monitor"] as const;
export type RedisUser = (typeof REDIS_USERS)[number];

/** Key and channel prefixes that the users of helm/files/users.acl may touch. */
export const LOCK_KEY_PREFIX = "holdfast:lock:";
export const GRANT_CHANNEL_PREFIX = "holdfast:grant:";
export const SEED_KEY_PREFIX = "holdfast:seed:";
/** Prepended to every key by the connections of the user `peer`, no matter how a package names its keys. */
export const PEER_KEY_PREFIX = "holdfast:peer:";

const milliseconds = z.number().nonnegative();

/** The same for all workers of a run; what differs (index, uid, node) is in {@link WorkerEnvironment}. */
export const WorkerSpec = z.strictObject({
  /** The report that this run belongs to, and the run itself: unique among all runs of one database. */
  report: z.string().min(1),
  run: z.string().min(1),
  strategy: z.enum(STRATEGY_NAMES),
  /** Several strategies at once: worker i uses the (i modulo length)-th. If left out, all use `strategy`. */
  mix: z.array(z.enum(STRATEGY_NAMES)).min(2).readonly().optional(),
  guard: z.enum(GUARDS),
  keyScope: z.enum(KEY_SCOPES).default("row"),
  workers: z.int().positive(),
  /** Loops in each worker. */
  concurrency: z.int().positive(),
  /** Employees 1..rows are mutated. */
  rows: z.int().positive(),
  durationMs: milliseconds,
  /** Time spent inside the critical section, between the read and the write. */
  holdMs: milliseconds,
  /** Time between two operations of a loop. */
  pauseMs: milliseconds,
  /** A fixed rate instead: each loop begins an operation at this interval, and skips the beats that it misses. */
  intervalMs: milliseconds.optional(),
  lockTtlMs: milliseconds,
  /** Whether a held lock is extended before its TTL ends. */
  extend: z.boolean(),
  /** How long one operation waits for its lock. */
  lockTimeoutMs: milliseconds,
  /** How long one SQL statement may take; the connection is destroyed after it. */
  statementTimeoutMs: milliseconds,
  fault: Fault.optional(),
  pair: PairRules.optional(),
  /** Seed of the random raises and waits. */
  seed: z.int(),
  /** False only to measure the cost of measuring: no ledger row is written, so nothing can be judged. */
  ledger: z.boolean(),
  coordinatorUrl: z.url(),
  heartbeatMs: milliseconds,
  /** A worker that gets no answer from the coordinator for this long exits. */
  coordinatorLostMs: milliseconds,
  /** How long a worker that is done serves its metrics if the coordinator does not release it. */
  lingerMs: milliseconds,
});
export type WorkerSpec = z.infer<typeof WorkerSpec>;

/** Environment variables of one worker, with the same names in a pod and in a local process. */
export const WorkerEnvironment = z.object({
  HOLDFAST_SPEC: z.string(),
  /** In an Indexed Job, Kubernetes sets JOB_COMPLETION_INDEX instead. */
  HOLDFAST_INDEX: z.coerce.number().int().nonnegative().optional(),
  JOB_COMPLETION_INDEX: z.coerce.number().int().nonnegative().optional(),
  /** The pod's UID; a random one locally. */
  HOLDFAST_UID: z.string().min(1),
  HOLDFAST_NODE: z.string().default("local"),
  /** Keeps foreign processes out of the heartbeats. */
  HOLDFAST_TOKEN: z.string().min(1),
  /** Where /metrics and /healthz are served; port 0 takes a free one. */
  HOLDFAST_METRICS_HOST: z.string().default("0.0.0.0"),
  HOLDFAST_METRICS_PORT: z.coerce.number().int().min(0).max(65535).default(9464),
  /** mysql://user@host:port/database, with the password in the URL or in MYSQL_PASSWORD. */
  MYSQL_URL: z.url(),
  MYSQL_PASSWORD: z.string().optional(),
  /** redis://host:port. A login in the URL applies to all users without a REDIS_PASSWORD_* of their own. */
  REDIS_URL: z.url(),
  /** All independent servers, comma separated, for locks on a majority; default REDIS_URL. */
  REDIS_URLS: z.string().optional(),
  REDIS_PASSWORD_LOCK: z.string().optional(),
  REDIS_PASSWORD_SEED: z.string().optional(),
  REDIS_PASSWORD_PEER: z.string().optional(),
  /** A folder that all workers share, for the strategy `file`. */
  HOLDFAST_LOCK_FOLDER: z.string().optional(),
  /** For the strategy `lease`: the API server, as Kubernetes sets it in every pod, and the Job that owns the leases. */
  KUBERNETES_SERVICE_HOST: z.string().optional(),
  KUBERNETES_SERVICE_PORT: z.string().optional(),
  HOLDFAST_JOB_NAME: z.string().optional(),
  HOLDFAST_JOB_UID: z.string().optional(),
});
export type WorkerEnvironment = z.infer<typeof WorkerEnvironment>;

// --- Heartbeats: worker -> coordinator, POST /heartbeat -------------------------------------------------------------

export const PHASES = ["warming", "ready", "running", "done"] as const;
export type Phase = (typeof PHASES)[number];

const counts = { committed: z.int(), rejected: z.int(), unknown: z.int() };

/** A writer's report on its own operations, complete only once the worker is done. */
export const WriterFinal = z.strictObject({
  writer: z.int(),
  /** Operations begun: ids 1..attempted of this writer. */
  attempted: z.int(),
  /** One bit for each operation from 1 on, least significant bit first, base64: 1 if it was acknowledged. */
  acknowledged: z.base64(),
  unknown: z.array(z.int()),
});
export type WriterFinal = z.infer<typeof WriterFinal>;

/** A worker's own final numbers, which the coordinator compares with Prometheus and with the ledger. */
export const WorkerFinal = z.strictObject({
  ...counts,
  /** Sum of the raises that were acknowledged. */
  raised: z.int(),
  /** The naive check: operations whose read-back version was not the version read + 1. */
  naive: z.int(),
  releaseFailures: z.int(),
  /** By the database's clock, microseconds since 1970. */
  startedAtUs: z.number(),
  endedAtUs: z.number(),
  writers: z.array(WriterFinal),
  /** How often each class of error occurred, with one example. */
  errors: z.array(
    z.strictObject({
      class: z.string(),
      /** `retried`: the error did not end the operation, which was retried. */
      outcome: z.enum([...OUTCOMES, "retried"]),
      count: z.int(),
      example: z.string(),
    }),
  ),
  /** How often the run's fault happened in this worker; 0 or left out if it did not. */
  faulted: z.int().optional(),
  /** The process ends now, in the middle of an operation, because of the run's fault. */
  died: z.literal(true).optional(),
  /** Peak resident memory of the process, bytes. */
  residentBytes: z.int(),
});
export type WorkerFinal = z.infer<typeof WorkerFinal>;

export const Heartbeat = z.strictObject({
  run: z.string(),
  index: z.int().nonnegative(),
  uid: z.string(),
  node: z.string(),
  phase: z.enum(PHASES),
  /** Port of /metrics. The coordinator knows the host. */
  metricsPort: z.int(),
  /** Milliseconds from the start of the process to `ready`. */
  readyMs: z.number().optional(),
  ...counts,
  final: WorkerFinal.optional(),
  /** Why the worker exits after this heartbeat. With final numbers: it was stopped before the run's end. */
  failure: z.string().optional(),
  /** Why the strategy cannot be used here; the worker exits after this heartbeat. */
  unavailable: z.string().optional(),
  /** Which server the worker cannot reach yet, and why. */
  waitingFor: z.string().optional(),
});
export type Heartbeat = z.infer<typeof Heartbeat>;

/** Answer to a heartbeat. `start` carries a delay instead of a time, so that no two clocks need to agree. */
export const Command = z.discriminatedUnion("command", [
  z.strictObject({ command: z.literal("wait") }),
  z.strictObject({ command: z.literal("start"), inMs: milliseconds }),
  z.strictObject({ command: z.literal("release") }),
  z.strictObject({ command: z.literal("abort"), reason: z.string() }),
]);
export type Command = z.infer<typeof Command>;

// --- Metrics --------------------------------------------------------------------------------------------------------

/** Labels of every series of a worker. `run` is unique, so a counter is read without handling resets. */
export const METRIC_LABELS = ["report", "run", "strategy", "worker", "uid"] as const;

export const METRICS = {
  operations: { name: "holdfast_operations_total", help: "Operations by outcome", labels: ["outcome"] },
  raised: { name: "holdfast_raised_total", help: "Sum of the acknowledged raises", labels: [] },
  errors: { name: "holdfast_errors_total", help: "Errors of operations by class", labels: ["class"] },
  naive: {
    name: "holdfast_naive_inconsistencies_total",
    help: "Read-back version was not the version read + 1",
    labels: [],
  },
  releaseFailures: { name: "holdfast_release_failures_total", help: "Locks that could not be released", labels: [] },
  operationSeconds: { name: "holdfast_operation_seconds", help: "Time of one operation, wait included", labels: [] },
  lockWaitSeconds: { name: "holdfast_lock_wait_seconds", help: "Time until the lock was held", labels: [] },
  running: { name: "holdfast_worker_running", help: "1 while the worker makes operations", labels: [] },
  ready: { name: "holdfast_worker_ready", help: "1 once the worker is ready to start", labels: [] },
  done: { name: "holdfast_worker_done", help: "1 once the worker's numbers are final", labels: [] },
} as const;

/** Buckets of both histograms, seconds: 100 µs to 30 s, each about 1.5 times the previous one. */
export const SECONDS_BUCKETS = [
  0.0001, 0.00015, 0.00025, 0.0004, 0.0006, 0.001, 0.0015, 0.0025, 0.004, 0.006, 0.01, 0.015, 0.025, 0.04, 0.06, 0.1,
  0.15, 0.25, 0.4, 0.6, 1, 1.5, 2.5, 4, 6, 10, 15, 30,
];
