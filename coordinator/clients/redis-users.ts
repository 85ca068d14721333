import { createHash, randomBytes } from "node:crypto";
import { REDIS_USERS, type RedisUser } from "../../worker/contract.ts";
import { passwordVariable } from "../../worker/servers/redis.ts";

export type RedisPasswords = Readonly<Record<RedisUser, string>>;

/** Returns 128 random bits for each user, in characters that need no escaping in a URL. */
export function randomPasswords(): RedisPasswords {
  const passwords = REDIS_USERS.map((user) => [user, randomBytes(16).toString("hex")] as const);
  return Object.fromEntries(passwords) as Record<RedisUser, string>;
}

/**
 * Returns helm/files/users.acl with each placeholder replaced by the hash of that user's password. Throws if a placeholder
 * is left.
 */
export function fillUsersFile(template: string, passwords: RedisPasswords): string {
  const filled = REDIS_USERS.reduce((text, user) => fillPassword(text, user, passwords[user]), template);
  const left = /^user .*#%(\w+)%/m.exec(filled);
  if (left !== null) throw new Error(`users.acl names a user without a password: ${left[1]}`);
  return filled;
}

/** The user of helm/files/faults.acl. */
export const FAULT_USER = "faults";

/** Returns helm/files/faults.acl with the placeholder replaced by the hash of the password. */
export const fillFaultsFile = (template: string, password: string): string =>
  fillPassword(template, FAULT_USER, password);

/** The passwords as environment variables. */
export const passwordVariables = (passwords: RedisPasswords) =>
  Object.fromEntries(REDIS_USERS.map((user) => [passwordVariable(user), passwords[user]])) as Record<
    ReturnType<typeof passwordVariable<RedisUser>>,
    string
  >;

// --- Internal helpers -----------------------------------------------------------------------------------------------

const fillPassword = (text: string, user: string, password: string) =>
  text.replaceAll(`#%${user.toUpperCase()}%`, `#${sha256(password)}`);

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
