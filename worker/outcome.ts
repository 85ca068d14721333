/** The one place where an error becomes the outcome of its operation. */
import type { Outcome, WorkerSpec } from "./contract.ts";
import { LockDenied, LockError, messageOf } from "./locks/lock.ts";

/** Every class of an {@link OperationError}, explained in docs/errors.md. Errors of locks count by their names. */
export const ERROR_CLASSES = [
  ...(["deadlock", "lock-wait-timeout", "snapshot-changed", "row-locked", "statement-timeout"] as const),
  ...(["database", "connection", "conflict", "fenced", "row-missing", "get-lock-failed"] as const),
  ...(["commit-unanswered", "queue-unanswered"] as const),
] as const;
export type ErrorClass = (typeof ERROR_CLASSES)[number];

/** An operation that did not end as `committed`. `class` is a short name for counting. */
export class OperationError extends Error {
  readonly outcome: Exclude<Outcome, "committed">;
  readonly class: ErrorClass;
  constructor(outcome: Exclude<Outcome, "committed">, errorClass: ErrorClass, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = "OperationError";
    this.outcome = outcome;
    this.class = errorClass;
  }
}

/**
 * Returns what an error means for its operation. Rethrows an error of neither the database nor a lock: a bug. Rethrows
 * also a refusal, unless `outlastsRefusals`: a fault of the run takes rights away for a while.
 */
export function outcomeOf(
  error: unknown,
  { outlastsRefusals }: Pick<WorkerSpec, "outlastsRefusals"> = {},
): { outcome: Exclude<Outcome, "committed">; class: string; message: string } {
  if (error instanceof OperationError) return { outcome: error.outcome, class: error.class, message: error.message };
  // A server that refuses the user of a lock will refuse for ever: the worker exits with the reason.
  if (error instanceof LockError && (outlastsRefusals || !(error instanceof LockDenied)))
    return { outcome: "rejected", class: error.name, message: error.message };
  throw error;
}

/** The error of a statement that failed before COMMIT: nothing was applied. */
export function rejected(error: unknown): OperationError {
  if (error instanceof OperationError) return error;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const errorClass = CLASSES[code] ?? (isAnswer(error) ? "database" : "connection");
  return new OperationError("rejected", errorClass, `MySQL: ${messageOf(error)}`, error);
}

/** The error of a COMMIT that was not answered, or whose answer does not tell its outcome: it may have been applied. */
export const unanswered = (error: unknown) =>
  new OperationError(
    "unknown",
    "commit-unanswered",
    `${isAnswer(error) ? "COMMIT failed, perhaps after it was applied" : "no answer to COMMIT"}: ${messageOf(error)}`,
    error,
  );

/** Whether this error of a COMMIT says that nothing was applied. */
export const isCommitRefused = (error: unknown) =>
  // A Galera cluster that is lost during a COMMIT gives this error, and its other servers may apply the transaction.
  isAnswer(error) && (error as { code?: unknown }).code !== "ER_ERROR_DURING_COMMIT";

/** Whether the server answered with an error, as opposed to not answering or ending the connection. */
const isAnswer = (error: unknown) =>
  error instanceof Error &&
  "sqlState" in error &&
  !("fatal" in error && error.fatal) &&
  !("errno" in error && ENDS_CONNECTION.includes(error.errno));

/**
 * ER_SERVER_SHUTDOWN of MySQL and ER_CONNECTION_KILLED of MariaDB: the server shuts down, or KILL ended the connection, while
 * it was at work on the statement.
 */
const ENDS_CONNECTION: readonly unknown[] = [1053, 1927];

/** Whether the connection on which this was thrown can be used again after a ROLLBACK. */
export function leavesUsable(error: unknown): boolean {
  const cause = error instanceof OperationError && error.cause !== undefined ? error.cause : error;
  return !(cause instanceof Error) || isAnswer(cause) || !("code" in cause);
}

/** Whether the server rolled back the transaction to let another one continue. */
export const isDeadlock = (error: unknown) => error instanceof OperationError && error.class === "deadlock";

const CLASSES: Record<string, ErrorClass> = {
  ER_LOCK_DEADLOCK: "deadlock",
  ER_LOCK_WAIT_TIMEOUT: "lock-wait-timeout",
  ER_CHECKREAD: "snapshot-changed",
  ER_LOCK_NOWAIT: "row-locked",
  PROTOCOL_SEQUENCE_TIMEOUT: "statement-timeout",
};
