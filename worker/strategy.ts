import type { Cluster, Redis } from "ioredis";
import type { OwnLockSeen, WorkerRedisUser, WorkerSpec } from "./contract.ts";
import type { LeaseApi } from "./locks/k8s-lease-lock.ts";
import type { Employee, Rows } from "./rows.ts";
import type { LockServiceVariables } from "./servers/lock-services.ts";

/** One way to prevent lost updates of a row under concurrent mutations. */
export interface Strategy {
  /** Opens the strategy on the connections of one worker. All loops of the worker share the session. */
  open(resources: Resources): Promise<Session>;
}

/** The strategy cannot be used in this environment, for the reason in the message. The run is skipped, not failed. */
export class Unavailable extends Error {
  override name = "Unavailable";
}

export interface Session {
  /**
   * Makes one operation: acquire the locks of the strategy, read, compute, write, release.
   * Resolves when the database has acknowledged it, and throws otherwise; `outcomeOf` classifies the error.
   */
  mutate(operation: Operation): Promise<void>;
  close(): Promise<void>;
  /** Only of a lock that is a process of its own: the faults of the worker must reach it. */
  readonly program?: {
    signal(signal: "SIGSTOP" | "SIGCONT" | "SIGKILL"): void;
    seen(): OwnLockSeen;
  };
}

export interface Operation {
  /** Unique among all operations of the database; see `operationId`. */
  readonly id: number;
  readonly employeeId: number;
  /** Key of the lock that guards this operation, by the run's key scope. */
  readonly lockKey: string;
  /** Aborted when the worker must stop waiting. */
  readonly signal: AbortSignal;
  /** Ends the measured wait for the lock. Strategies that take no lock never call it. */
  entered(): void;
  /** What the business rule adds, for strategies that leave the addition to the database. */
  readonly raise: number;
  /** Takes only the time of the business rule, for strategies that leave the rest to the database. */
  work(): Promise<void>;
  /** The business rule in the application, which takes its time: resolves with the new salary of this employee. */
  compute(employee: Employee): Promise<number>;
  /** Marks an operation that only moves money, so that its raise is not counted. */
  grantedNothing(): void;
}

/** What a strategy may use. The worker closes everything at the end. */
export interface Resources {
  readonly spec: WorkerSpec;
  /** The contested rows and their ledger. */
  readonly rows: Rows;
  /** Opens a connection of its own, or a client of the cluster, logged in as this user of helm/files/users.acl. */
  redis(user: WorkerRedisUser): Promise<Redis | Cluster>;
  /** Creates a connection to each of the independent servers, not yet open: some of them may be down. */
  redisServers(user: WorkerRedisUser): readonly (Redis | Cluster)[];
  /** Addresses and logins of the lock services beside Redis; a service without a URL is not there. */
  readonly lockServices: LockServiceVariables;
  /** A folder that all workers should share; undefined if none is configured. */
  readonly lockFolder: string | undefined;
  /** Redis with the login of the user `guest`; undefined if there is none for a lock of the user's own. */
  guestRedisUrl(): string | undefined;
  /** Lease objects of the cluster; undefined if this worker has no service account for them. */
  leases(): LeaseApi | undefined;
  /** Index of this worker in the fleet. */
  readonly worker: number;
  /** Counts a lock that could not be released. Such an error must not replace the result of the operation. */
  releaseFailed(error: unknown): void;
  /** Counts an error after which the operation is retried. */
  retried(error: unknown): void;
  /** Uniform in [0, 1), from the run's seed. */
  random(): number;
}
