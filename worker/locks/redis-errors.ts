import type { Redis } from "ioredis";
import { LockDenied, LockUnreachable, messageOf } from "./lock.ts";

/** The error that an error reply of Redis means for a lock; undefined if there was no reply at all. */
export function refusal(connection: Redis, error: unknown, doing: string): LockDenied | LockUnreachable | undefined {
  const message = messageOf(error);
  if (DENIED.test(message)) {
    return new LockDenied(
      `Redis at ${address(connection)} does not let user "${connection.options.username ?? "default"}" ${doing}: ${message}; compare the user's rules and password with what the lock needs`,
      { cause: error },
    );
  }
  if (error instanceof Error && error.name === "ReplyError") {
    return new LockUnreachable(`Redis at ${address(connection)} could not ${doing}: ${message}`, { cause: error });
  }
  return undefined;
}

export const unreachable = (connection: Redis, error: unknown, doing: string) =>
  new LockUnreachable(
    `Redis at ${address(connection)} is unreachable, so it is not possible to ${doing}: ${reasonOf(error)}; check its address and that it is running`,
    { cause: error },
  );

/** The last two are the wordings of NOPERM inside a script in Redis 7.2 and Redis 7.0. */
const DENIED = /NOPERM|NOAUTH|WRONGPASS|ACL failure|user executing the script can't/;

/** Without retries, ioredis reports a command whose connection was lost as MaxRetriesPerRequestError. */
export const reasonOf = (error: unknown) =>
  error instanceof Error && error.name === "MaxRetriesPerRequestError"
    ? "the connection was lost"
    : messageOf(error ?? "no answer");

export const address = ({ options }: Redis) => options.path ?? `${options.host}:${options.port}`;
