import type { Redis } from "ioredis";
import type { RedisUser, WorkerSpec } from "./contract.ts";
import type { Employee, Rows } from "./row.ts";

/** One way to keep concurrent mutations of a row from losing each other. */
export interface Strategy {
  /** Opens the strategy on the connections of one worker. All loops of the worker share the session. */
  open(resources: Resources): Promise<Session>;
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
  /** Aborted when the worker must stop waiting. */
  readonly signal: AbortSignal;
  /** Says that the wait for the lock is over. Strategies that take no lock never call it. */
  entered(): void;
  /** The business rule, in the application and taking its time: the new salary of this employee. */
  compute(employee: Employee): Promise<number>;
}

/** What a strategy may use. The worker closes all of it at the end. */
export interface Resources {
  readonly spec: WorkerSpec;
  /** The contested rows and their ledger. */
  readonly rows: Rows;
  /** A connection of its own, logged in as this user of helm/files/users.acl. */
  redis(user: RedisUser): Promise<Redis>;
  /** Counts a lock that could not be given back; such an error is never thrown over the operation's own result. */
  releaseFailed(error: unknown): void;
  /** Uniform in [0, 1), from the run's seed. */
  random(): number;
}
