import type { Redis } from "ioredis";
import type { WorkerRedisUser, WorkerSpec } from "./contract.ts";
import type { LeaseApi } from "./locks/k8s-lease-lock.ts";
import type { Employee, Rows } from "./rows.ts";

/** One way to keep concurrent mutations of a row from losing each other. */
export interface Strategy {
  /** Opens the strategy on the connections of one worker. All loops of the worker share the session. */
  open(resources: Resources): Promise<Session>;
}

/** The strategy cannot be used where this worker is; the message is the reason. The run is skipped, nothing has failed. */
export class Unavailable extends Error {
  override name = "Unavailable";
}

export interface Session {
  /**
   * Makes one operation: take what the strategy takes, read, compute, write, release.
   * Resolves when the database has acknowledged it. Throws otherwise; `outcomeOf` says what an error means.
   */
  mutate(operation: Operation): Promise<void>;
  close(): Promise<void>;
}

export interface Operation {
  /** Unique among all operations of the database; see `operationId`. */
  readonly id: number;
  readonly employeeId: number;
  /** The key of the lock that guards this operation, by the run's key scope. */
  readonly lockKey: string;
  /** Aborted when the worker must stop waiting. */
  readonly signal: AbortSignal;
  /** Says that the wait for the lock is over. Strategies that take no lock never call it. */
  entered(): void;
  /** What the business rule adds, for those who leave the adding to the database. */
  readonly raise: number;
  /** The business rule's time alone, for those who leave the rest to the database. */
  work(): Promise<void>;
  /** The business rule, in the application and taking its time: the new salary of this employee. */
  compute(employee: Employee): Promise<number>;
  /** Says that this operation only moves money, so that its raise is not counted. */
  grantedNothing(): void;
}

/** What a strategy may use. The worker closes all of it at the end. */
export interface Resources {
  readonly spec: WorkerSpec;
  /** The contested rows and their ledger. */
  readonly rows: Rows;
  /** A connection of its own, logged in as this user of helm/files/users.acl. */
  redis(user: WorkerRedisUser): Promise<Redis>;
  /** A connection to each of the independent servers, not yet open: some of them may be down. */
  redisServers(user: WorkerRedisUser): readonly Redis[];
  /** A folder that all workers should share; undefined where none was named. */
  readonly lockFolder: string | undefined;
  /** Lease objects of the cluster; undefined where this worker has no account for them. */
  leases(): LeaseApi | undefined;
  /** Index of this worker in the fleet. */
  readonly worker: number;
  /** Counts a lock that could not be given back; such an error is never thrown over the operation's own result. */
  releaseFailed(error: unknown): void;
  /** Counts an error after which the operation is tried again. */
  retried(error: unknown): void;
  /** Uniform in [0, 1), from the run's seed. */
  random(): number;
}
