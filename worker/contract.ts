/**
 * The contract between worker and coordinator, and the only worker file that the coordinator imports: the strategies
 * with what theory expects of them, the spec of a worker, its heartbeats, and the names of its metrics.
 */
import * as z from "zod";
import { Claims } from "./own-lock/protocol.ts";

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
  /**
   * Classes of errors that it can have although it is correct, in addition to those of its lock and of its guard. An
   * error of any other class makes its run unknown; `expectedErrors` of coordinator/plan/theory.ts has the whole list.
   */
  readonly errors?: readonly string[];
  /** False: its work is not between the read and the write of a ledger row, so the ledger does not show how long it took. */
  readonly worksInside?: false;
}

/** The lock of a strategy, or the condition in the database that it has instead. */
export interface LockFacts {
  /**
   * Where it is kept; null where nothing is kept, or in more than one place; `elsewhere`: only the author of the lock
   * knows.
   */
  readonly keptIn: "process" | "database" | "redis" | "file system" | "cluster" | "elsewhere" | LockService | null;
  /** Whether the lock has a key, so that one lock may guard each row or all of them; see {@link KEY_SCOPES}. */
  readonly keyed: boolean;
  /**
   * Null: no TTL. `watched`: the TTL is extended, and checked before the write. `refreshed`: it is extended, and its end
   * is noticed only by an extension that fails. `blind`: neither.
   */
  readonly lease: "watched" | "refreshed" | "blind" | null;
  /** The lock rounds a TTL up to a multiple of this, milliseconds; 1 if left out. */
  readonly ttlStepMs?: number;
  /**
   * How long the lock of a lost holder can stay taken after it was last extended, in TTLs; 1 if left out. A holder must be
   * stalled for longer before another one has its lock.
   */
  readonly takeoverTtls?: number;
  /** Whether the lock gives a token that grows with each holder, for the guards that compare tokens. */
  readonly fenced: boolean;
}

/** Servers whose purpose is coordination, beside Redis and MySQL. Each has one strategy of the same name. */
export const LOCK_SERVICES = ["zookeeper", "consul", "etcd"] as const;
export type LockService = (typeof LOCK_SERVICES)[number];
export const LOCK_SERVICE_TITLES = { zookeeper: "ZooKeeper", consul: "Consul", etcd: "etcd" } as const satisfies Record<
  LockService,
  string
>;

export const NEEDS = ["cluster", "redis-majority", ...LOCK_SERVICES] as const;
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
    errors: ["conflict"],
  },
  "row-pair": {
    summary: "row locks of two employees in one transaction; see --scenario deadlock",
    expects: { data: "holds", exclusion: "holds" },
    lock: { keptIn: "database", keyed: false, lease: null, fenced: false },
    write: "self-protecting",
    rowsMin: 2,
    errors: ["deadlock"],
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
    errors: ["LockTimeout", "get-lock-failed"],
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
  zookeeper: {
    summary: "a lock in ZooKeeper: ephemeral sequential nodes, each waiter watches the one before its own",
    expects: { data: "holds", exclusion: "holds" },
    lock: { keptIn: "zookeeper", keyed: true, lease: "watched", fenced: true },
    write: "guarded",
    needs: "zookeeper",
  },
  etcd: {
    summary: "a lock in etcd: a key with a lease for each waiter, which watches the key before its own",
    expects: { data: "holds", exclusion: "holds" },
    lock: { keptIn: "etcd", keyed: true, lease: "watched", ttlStepMs: 1_000, fenced: true },
    write: "guarded",
    needs: "etcd",
  },
  consul: {
    summary: "a lock in Consul: a session with a TTL and a lock-delay, and a blocking query for the waiters",
    expects: { data: "holds", exclusion: "holds" },
    // Two TTLs until the session ends, and half a TTL of lock-delay.
    lock: { keptIn: "consul", keyed: true, lease: "watched", takeoverTtls: 2.5, fenced: true },
    write: "guarded",
    needs: "consul",
  },
  nested: {
    summary: "a lock in Redis around transfers, row locks inside, single raises outside",
    expects: { data: "holds", exclusion: "holds" },
    lock: { keptIn: "redis", keyed: false, lease: "watched", fenced: false },
    write: "plain",
    rowsMin: 3,
    worksInside: false,
  },
  atomic: {
    summary: "no lock and no read: SET salary = salary + raise in one statement",
    expects: { data: "holds", exclusion: "unclaimed" },
    lock: { keptIn: "database", keyed: false, lease: null, fenced: false },
    write: "self-protecting",
    limits:
      "it can express what SQL computes from the row itself; it cannot express a rule of the application that must read the row first, nor a step outside the database",
    worksInside: false,
  },
  "skip-locked": {
    summary: "a queue of raises in the database, applied in batches with SKIP LOCKED",
    expects: { data: "holds", exclusion: "unclaimed" },
    lock: { keptIn: "database", keyed: false, lease: null, fenced: false },
    write: "self-protecting",
    limits:
      "it can express work that is known before the row is read and may be done by any worker; it cannot return the new value of the row before the work is applied",
    errors: ["queue-unanswered"],
    worksInside: false,
  },
  "redis-semaphore": {
    summary: "the mutex of the npm package redis-semaphore",
    expects: { data: "holds", exclusion: "holds" },
    lock: { keptIn: "redis", keyed: true, lease: "refreshed", fenced: false },
    write: "guarded",
  },
  "redlock-npm": {
    summary: "the npm package redlock, on all Redis servers of the run",
    expects: { data: "holds", exclusion: "holds" },
    lock: { keptIn: "redis", keyed: true, lease: "watched", fenced: false },
    write: "guarded",
  },
  own: {
    summary: "a lock of your own, in any language: the program of --lock; see docs/own-lock.md",
    expects: { data: "holds", exclusion: "holds" },
    // What a lock can do at most; its program says which of it the author claims.
    lock: { keptIn: "elsewhere", keyed: true, lease: "refreshed", fenced: true },
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

/**
 * Named places in an operation, in their order: before anything is asked for; after the read, before the computation;
 * before the write; before the request that commits it; after the database has acknowledged it, before the release.
 */
export const FAILPOINTS = ["before-acquire", "after-read", "before-write", "before-commit", "before-release"] as const;
export type Failpoint = (typeof FAILPOINTS)[number];

/** What a worker is connected to, for the faults of the network. */
export const LINKS = ["redis", "mysql"] as const;
export type Link = (typeof LINKS)[number];

/**
 * What a fault does. `sleep`: the operation takes longer, and the rest of its process goes on. `stall`: the whole
 * process is stalled, as in a long garbage collection or without a CPU. `die`: the process reports its numbers and ends
 * at once, without releasing what it holds. `partition`: nothing passes between the worker and a server, and nobody is
 * told. `slow-network`: what passes is delayed. `lost-answer`: the next request reaches its server, and its answer does
 * not arrive.
 */
export const FAULT_ACTIONS = ["sleep", "stall", "die", "partition", "slow-network", "lost-answer"] as const;
export type FaultAction = (typeof FAULT_ACTIONS)[number];

export const Fault = z.strictObject({
  at: z.enum(FAILPOINTS).describe("The place in an operation"),
  action: z
    .enum(FAULT_ACTIONS)
    .describe(
      "sleep: the operation takes longer; stall: its whole process does; die: the process ends at once; partition: nothing passes between the worker and a server; slow-network: what passes is delayed; lost-answer: the next request is carried out, and its answer is lost",
    ),
  link: z
    .enum(LINKS)
    .optional()
    .describe("The connections that a fault of the network affects; if left out, all of the worker"),
  worker: z
    .int()
    .nonnegative()
    .optional()
    .describe("Index of the one worker to which it happens; if left out, it happens to all of them"),
  afterMs: z
    .number()
    .nonnegative()
    .default(0)
    .describe("Not before this much of the run's time has passed, milliseconds"),
  every: z.int().positive().default(1).describe("Every how many times that a worker reaches the place"),
  times: z.int().positive().optional().describe("How many times it happens in one worker at most; if left out, any"),
  forMs: z
    .number()
    .nonnegative()
    .default(0)
    .describe("How long it takes, milliseconds; not used by `die` and `lost-answer`"),
  delayMs: z
    .number()
    .nonnegative()
    .optional()
    .describe(
      "Mean delay of `slow-network` in each direction, milliseconds, which varies by half of itself; left out for the others",
    ),
});
export type Fault = z.infer<typeof Fault>;

/**
 * Lock order of the two rows, and what happens after a deadlock: report it to the caller, retry the whole transaction,
 * or (on purpose, to show the bug) continue.
 */
export const PairRules = z.strictObject({
  order: z
    .enum(["same", "opposite"])
    .describe("Order of the two locks; same: every operation takes the employee with the lower number first"),
  onDeadlock: z
    .enum(["give-up", "retry", "carry-on"])
    .describe(
      "After a deadlock; carry-on: in a transaction that the database has rolled back, as if only the statement had failed",
    ),
});
export type PairRules = z.infer<typeof PairRules>;

// --- Spec of a worker -----------------------------------------------------------------------------------------------

/** Redis users of helm/files/users.acl. Each may run only its commands, on its keys. */
export const WORKER_REDIS_USERS = ["lock", "seed", "peer"] as const;
export type WorkerRedisUser = (typeof WORKER_REDIS_USERS)[number];
/** `guest`: the lock of a user. A server of the user's own may lack it. */
export const REDIS_USERS = [...WORKER_REDIS_USERS, "monitor", "guest"] as const;
export type RedisUser = (typeof REDIS_USERS)[number];

/** Key and channel prefixes that the users of helm/files/users.acl may touch. */
export const LOCK_KEY_PREFIX = "holdfast:lock:";
export const GRANT_CHANNEL_PREFIX = "holdfast:grant:";
export const SEED_KEY_PREFIX = "holdfast:seed:";
/** Prepended to every key by the connections of the user `peer`, no matter how a package names its keys. */
export const PEER_KEY_PREFIX = "holdfast:peer:";
/** The keys and channels of a user's own lock begin with it: the user `guest` may touch no others. */
export const GUEST_PREFIX = "holdfast:guest:";

const milliseconds = z.number().nonnegative();

/** A lock of the user's own, for the strategy `own`. */
export const OwnLock = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,29}$/)
    .describe("Its name in the report"),
  command: z
    .tuple([z.string()], z.string())
    .readonly()
    .optional()
    .describe("The program and its arguments; absent where it listens on a socket"),
  socket: z
    .string()
    .optional()
    .describe("The Unix socket on which its program listens; absent where each worker starts a program"),
});
export type OwnLock = Readonly<z.infer<typeof OwnLock>>;

/** From one heartbeat to the next at most, while a worker makes no operations, milliseconds. */
export const WAITING_HEARTBEAT_MS = 100;

/** The same for all workers of a run; what differs (index, uid, node) is in worker/environment.ts. */
export const WorkerSpec = z.strictObject({
  /** The report that this run belongs to. */
  report: z.string().min(1),
  run: z.string().min(1).describe("Name of the run, unique among all runs of one database"),
  strategy: z.enum(STRATEGY_NAMES).describe("The strategy, one of docs/strategies.md; with a mix, the first of it"),
  mix: z
    .array(z.enum(STRATEGY_NAMES))
    .min(2)
    .readonly()
    .optional()
    .describe("Several strategies at once: worker i uses the (i modulo length)-th; absent where all use `strategy`"),
  ownLock: OwnLock.optional().describe("The user's own lock; absent where the strategy is another one than `own`"),
  guard: z.enum(GUARDS).describe("The condition inside the write, see docs/guards.md"),
  keyScope: z.enum(KEY_SCOPES).default("row").describe("What one lock guards: the row of an operation, or all rows"),
  workers: z.int().positive().describe("Workers of the fleet"),
  concurrency: z.int().positive().describe("Loops in each worker"),
  rows: z.int().positive().describe("Employees 1..rows are mutated"),
  durationMs: milliseconds.describe("How long the workers make operations, milliseconds"),
  holdMs: milliseconds.describe("Time inside the critical section, between the read and the write, milliseconds"),
  pauseMs: milliseconds.describe("Time between two operations of a loop, milliseconds"),
  intervalMs: milliseconds
    .optional()
    .describe(
      "A fixed rate in place of the pause: each loop begins an operation at this interval, milliseconds, and skips the beats that it misses; absent where there is a pause",
    ),
  lockTtlMs: milliseconds.describe("TTL of a lock, milliseconds"),
  extend: z.boolean().describe("Whether a held lock is extended before its TTL ends"),
  lockTimeoutMs: milliseconds.describe("How long one operation waits for its lock, milliseconds"),
  /** How long one SQL statement may take; the connection is destroyed after it. */
  statementTimeoutMs: milliseconds,
  fault: Fault.optional().describe("What is made to fail; absent if nothing is"),
  /**
   * A fault of the run takes the rights of the lock's user away and gives them back. A refusal then rejects its operation;
   * otherwise it ends the worker, since waiting cannot help.
   */
  outlastsRefusals: z.literal(true).optional(),
  soak: z
    .array(Fault)
    .readonly()
    .optional()
    .describe("The random faults of a soak, each in a worker of its own; absent in other scenarios"),
  pair: PairRules.optional().describe("The rules of `row-pair` for its two rows; absent for other strategies"),
  seed: z.int().describe("Seed of the random raises and waits"),
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

/**
 * The host for `server.listen`, for an address that may be `::`. Without a host, Node listens on all addresses of both
 * families, and on IPv4 only where the kernel has no IPv6; a listener on `::` would fail there.
 */
export const listenHost = (host: string): string | undefined => (host === "::" ? undefined : host);

// --- Heartbeats: worker -> coordinator, POST /heartbeat -------------------------------------------------------------

export const PHASES = ["warming", "ready", "running", "done"] as const;
export type Phase = (typeof PHASES)[number];

const counts = {
  committed: z.int().describe("Operations that the database acknowledged"),
  rejected: z.int().describe("Operations that were certainly not applied"),
  unknown: z.int().describe("Operations whose COMMIT was not answered: each may have been applied or not"),
};

/** A writer's report on its own operations, complete only once the worker is done. */
export const WriterFinal = z.strictObject({
  writer: z.int().describe("Id of the writer, as registered in the database"),
  attempted: z.int().describe("Operations begun: their sequence numbers are 1 to this number"),
  acknowledged: z
    .base64()
    .describe("One bit for each operation from 1 on, least significant bit first, base64: 1 if it was acknowledged"),
  unknown: z.array(z.int()).describe("Sequence numbers of the operations whose COMMIT was not answered"),
});
export type WriterFinal = z.infer<typeof WriterFinal>;

/** Parts of the planned duration in which a worker counts its rejections. */
export const REJECTED_PARTS = 60;

/** What the program of a user's own lock says of itself, and what one worker saw of it. */
export const OwnLockSeen = z.strictObject({
  program: z.string().describe("Name and version of the lock, as its program gives them"),
  claims: Claims,
  pingMs: z.number().describe("Median round trip of one message between worker and program, milliseconds"),
  holds: z.int().describe("How often the lock was held"),
  tokensGrown: z.int().describe("Holds with a token greater than all that the worker had seen for the key before"),
  lossesTold: z.int().describe("Holds that the program said were lost"),
});
export type OwnLockSeen = z.infer<typeof OwnLockSeen>;

/** A worker's own final numbers, which the coordinator compares with Prometheus and with the ledger. */
export const WorkerFinal = z.strictObject({
  ...counts,
  raised: z.int().describe("Sum of the raises that were acknowledged, salary units"),
  naive: z.int().describe("The naive check: operations whose read-back version was not the version read + 1"),
  releaseFailures: z.int().describe("Locks that could not be released"),
  startedAtUs: z.number().describe("Start of the operations, microseconds since 1970, by the clock of the database"),
  endedAtUs: z.number().describe("End of the operations, microseconds since 1970, by the clock of the database"),
  writers: z.array(WriterFinal).describe("Its loops, each with the operations that it attempted"),
  errors: z
    .array(
      z.strictObject({
        class: z.string().describe("Class of the error, one of docs/errors.md"),
        outcome: z
          .enum([...OUTCOMES, "retried"])
          .describe("How the operation ended; retried: the error did not end the operation"),
        count: z.int().describe("How often it occurred"),
        example: z.string().describe("The message of one of them"),
      }),
    )
    .describe("The errors of its operations by class and outcome"),
  galeraServers: z
    .array(z.string())
    .optional()
    .describe("Names of the servers of a Galera cluster that its connections led to; absent if there were none"),
  faulted: z.int().optional().describe("How often the run's faults happened in this worker; absent if they did not"),
  faultTimes: z
    .array(
      z.strictObject({
        startedAtUs: z.number().describe("Its start, microseconds since 1970"),
        endedAtUs: z.number().describe("Its planned end, microseconds since 1970"),
      }),
    )
    .optional()
    .describe(
      "When it did, the first times, by the database's clock as this worker read it at its start; absent if it did not",
    ),
  rejectedParts: z
    .array(z.int())
    .optional()
    .describe(
      "Rejected operations in each of 60 equal parts of the planned duration, from startedAtUs on; later ones are in the last; absent if there were none",
    ),
  died: z
    .literal(true)
    .optional()
    .describe("The process ended in the middle of an operation, because of the run's fault; absent otherwise"),
  residentBytes: z.int().describe("Peak resident memory of the process, bytes"),
  ownLock: OwnLockSeen.optional().describe("What it saw of the user's own lock; absent where there is none"),
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
  /** Milliseconds since the start of the operations; absent before it. */
  runningMs: z.number().nonnegative().optional(),
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

/**
 * Answer to a heartbeat. `start` and `continue` carry a delay instead of a time, so that no two clocks need to agree.
 * `continue` tells a running worker that no operation may begin after `forMs`, unless its planned duration is longer.
 */
export const Command = z.discriminatedUnion("command", [
  z.strictObject({ command: z.literal("wait") }),
  z.strictObject({ command: z.literal("start"), inMs: milliseconds }),
  z.strictObject({ command: z.literal("continue"), forMs: milliseconds }),
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
