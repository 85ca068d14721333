import type { Redis } from "ioredis";
import { LockDenied, LockUnreachable, messageOf } from "./lock.ts";

/** What an answer of Redis that is an error means for a lock; undefined where there was no answer at all. */
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
    `Redis at ${address(connection)} is out of reach, so it is not possible to ${doing}: ${reasonOf(error)}; check that it runs and its address`,
    { cause: error },
  );

/** The last two are how Redis 7.2 and Redis 7.0 word a NOPERM inside a script. */
const DENIED = /NOPERM|NOAUTH|WRONGPASS|ACL failure|user executing the script can't/;

/** With no retry allowed, "max retries" is how ioredis names a command whose connection was lost. */
export const reasonOf = (error: unknown) =>
  error instanceof Error && error.name === "MaxRetriesPerRequestError"
    ? "the connection was lost"
    : messageOf(error ?? "no answer");

export const address = ({ options }: Redis) => options.path ?? `${options.host}:${options.port}`;
