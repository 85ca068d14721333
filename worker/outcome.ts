/** The one place where an error becomes the outcome of its operation. */
import type { Outcome } from "./contract.ts";
import { LockDenied, LockError } from "./locks/lock.ts";

/** Every class of an {@link OperationError}; docs/errors.md has a row for each. The errors of locks count by their names. */
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

/** Says what an error means for its operation. Throws it on where it is neither the database's nor a lock's: a bug. */
export function outcomeOf(error: unknown): { outcome: Exclude<Outcome, "committed">; class: string; message: string } {
  if (error instanceof OperationError) return { outcome: error.outcome, class: error.class, message: error.message };
  // A lock that refuses its user will refuse for ever: the worker ends with the reason instead of counting attempts.
  if (error instanceof LockError && !(error instanceof LockDenied))
    return { outcome: "rejected", class: error.name, message: error.message };
  throw error;
}

/** A statement failed before any COMMIT, so nothing was applied. */
export function rejected(error: unknown): OperationError {
  if (error instanceof OperationError) return error;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const errorClass = CLASSES[code] ?? (isAnswer(error) ? "database" : "connection");
  return new OperationError("rejected", errorClass, `MySQL: ${messageOf(error)}`, error);
}

/** Nobody answered a statement that may have been applied. */
export const unanswered = (error: unknown) =>
  new OperationError("unknown", "commit-unanswered", `no answer to COMMIT: ${messageOf(error)}`, error);

/** The server answered with an error, as opposed to not answering. */
export const isAnswer = (error: unknown) =>
  error instanceof Error && "sqlState" in error && !("fatal" in error && error.fatal);

/** Whether a connection on which this was thrown can be used again, once its transaction is rolled back. */
export function leavesUsable(error: unknown): boolean {
  const cause = error instanceof OperationError && error.cause !== undefined ? error.cause : error;
  return !(cause instanceof Error) || isAnswer(cause) || !("code" in cause);
}

/** The server ended the transaction to let another one go on. */
export const isDeadlock = (error: unknown) => error instanceof OperationError && error.class === "deadlock";

const CLASSES: Record<string, ErrorClass> = {
  ER_LOCK_DEADLOCK: "deadlock",
  ER_LOCK_WAIT_TIMEOUT: "lock-wait-timeout",
  ER_CHECKREAD: "snapshot-changed",
  ER_LOCK_NOWAIT: "row-locked",
  PROTOCOL_SEQUENCE_TIMEOUT: "statement-timeout",
};

const messageOf = (error: unknown) => (error instanceof Error ? error.message || String(error) : String(error));
