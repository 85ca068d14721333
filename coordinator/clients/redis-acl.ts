/** Tries on real connections what the users of helm/files/users.acl must be able to do, and what Redis must refuse them. */
import { randomBytes } from "node:crypto";
import { Redis } from "ioredis";
import { GRANT_CHANNEL_PREFIX, LOCK_KEY_PREFIX, PEER_KEY_PREFIX, SEED_KEY_PREFIX } from "../../worker/contract.ts";
import { ServerError } from "../errors.ts";
import type { AclProbe } from "../judge/report-data.ts";
import { urlWithLogin } from "./addresses.ts";
import { isComplaintAboutArguments, isRefusal, ONE_SHOT_OPTIONS } from "./redis.ts";

export interface AclOptions {
  readonly redisUrl: string;
  /** By user of helm/files/users.acl. */
  readonly passwords: Readonly<Record<string, string>>;
}

export interface ProbeOptions extends AclOptions {
  /** Tries every command as every user. Otherwise the user `lock` tries all of them and the others a few. */
  readonly matrix?: boolean;
}

type Command = readonly [name: string, ...args: string[]];

/**
 * Tries what must be refused, and returns what Redis answered. Each attempt is the real command, with arguments that make
 * it harmless if it is allowed: Redis checks the permission before the arguments, so a complaint about those means that the
 * user's rules allow the command. Throws ServerError when Redis is unreachable.
 */
export async function probeAcl({ redisUrl, passwords, matrix = false }: ProbeOptions): Promise<AclProbe[]> {
  const users = [...Object.keys(passwords), "health", ANONYMOUS];
  const probes = users.flatMap((user) =>
    listAttempts(user, Object.keys(passwords), matrix).map((command) => ({ user, command })),
  );
  return Promise.all(
    probes.map(async ({ user, command }) => {
      const { answer, error } = await send(redisUrl, user, passwords, command);
      return {
        user,
        attempt: command.map(quoteWord).join(" "),
        outcome: classifyAnswer(error),
        answer: error ?? answer,
      };
    }),
  );
}

function classifyAnswer(error: string | undefined): AclProbe["outcome"] {
  if (error === undefined) return "allowed";
  if (isRefusal(error)) return "refused";
  return isComplaintAboutArguments(error) ? "allowed" : "unanswered";
}

/** The commands that a user was allowed to run. */
export interface Granted {
  readonly user: string;
  readonly attempts: string[];
}

/**
 * Throws ServerError with the user, the command and the refusal, unless the users may do what a run needs. The commands
 * that it returns also show that `probeAcl` can tell an allowed command from a refused one.
 */
export async function checkAccess({ redisUrl, passwords }: AclOptions): Promise<Granted[]> {
  const granted: Granted[] = [];
  for (const [user, commands] of Object.entries(permissions())) {
    if (passwords[user] === undefined) continue;
    granted.push({ user, attempts: commands.map(([name]) => name) });
    for (const command of commands) {
      const { error } = await send(redisUrl, user, passwords, command);
      if (error === undefined) continue;
      throw new ServerError(
        `Redis at ${new URL(redisUrl).host}, user ${user}, ${command[0]}`,
        error,
        error.startsWith("WRONGPASS")
          ? `give the user's password in REDIS_PASSWORD_${user.toUpperCase()}`
          : `compare the user's rules with helm/files/users.acl (ACL GETUSER ${user})`,
        { final: true },
      );
    }
  }
  return granted;
}

// --- What is tried --------------------------------------------------------------------------------------------------

/** A connection that has not logged in. */
const ANONYMOUS = "nobody";
const WRONG_PASSWORD = "not-the-password";

/** Name of a key and of a channel that no user may use. */
const FOREIGN = "holdfast:probe";
const KEY_PREFIXES: Readonly<Record<string, string>> = {
  lock: LOCK_KEY_PREFIX,
  seed: SEED_KEY_PREFIX,
  peer: PEER_KEY_PREFIX,
};

const FORBIDDEN: readonly Command[] = [
  ["GET", FOREIGN],
  ["SET", FOREIGN, "1", "PX", "1000"],
  ["EVAL", `return redis.call('GET', '${FOREIGN}')`, "0"],
  ["EVAL", "return redis.call('FLUSHALL', 'no')", "0"],
  ["PUBLISH", FOREIGN, "1"],
  ["SUBSCRIBE", FOREIGN],
  ["PSUBSCRIBE", "*"],
  ["KEYS", `${FOREIGN}*`],
  ["SCAN", "0"],
  ["CONFIG", "GET", "port"],
  ["ACL", "LIST"],
  ["CLIENT", "LIST"],
  ["INFO"],
  ["SCRIPT", "FLUSH", "no"],
  ["SWAPDB", "no", "no"],
  ["FLUSHDB", "no"],
  ["FLUSHALL", "no"],
  ["SHUTDOWN", "no"],
];
/** The commands that users other than `lock` try when the whole matrix is not requested. */
const BRIEF_COMMANDS = ["GET", "SET", "CONFIG", "FLUSHALL"];

function listAttempts(user: string, users: readonly string[], matrix: boolean): readonly Command[] {
  if (user === ANONYMOUS)
    return [
      ["GET", `${LOCK_KEY_PREFIX}probe`],
      ["PING"],
      ["AUTH", ""],
      ["AUTH", "default", ""],
      ...["default", ...users].map((name): Command => ["AUTH", name, WRONG_PASSWORD]),
    ];
  const keysOfOthers = Object.entries(KEY_PREFIXES)
    .filter(([name]) => name !== user)
    .map(([, prefix]): Command => ["GET", `${prefix}probe`]);
  const forbidden = FORBIDDEN.filter(([name]) => name !== "INFO" || user !== "monitor");
  if (matrix) return [...keysOfOthers, ...forbidden];
  const [first] = keysOfOthers;
  return [first!, ...(user === "lock" ? forbidden : forbidden.filter(([name]) => BRIEF_COMMANDS.includes(name)))];
}

/** The commands that each user needs. They take effect, so their keys have a new name in each call. */
function permissions(): Readonly<Record<string, readonly Command[]>> {
  const probe = `probe-${randomBytes(6).toString("hex")}`;
  const [lock, queue] = [`${LOCK_KEY_PREFIX}{${probe}}:owner`, `${LOCK_KEY_PREFIX}{${probe}}:queue`];
  const [seed, peer] = [`${SEED_KEY_PREFIX}${probe}`, `${PEER_KEY_PREFIX}${probe}`];
  const channel = `${GRANT_CHANNEL_PREFIX}${probe}`;
  return {
    lock: [
      ["PING"],
      ["TIME"],
      ["SET", lock, "1", "NX", "PX", "5000"],
      ["GET", lock],
      ["PEXPIRE", lock, "5000"],
      ["PTTL", lock],
      ["EVAL", "return redis.call('GET', KEYS[1])", "1", lock],
      ["RPUSH", queue, "1"],
      ["LPOS", queue, "1"],
      ["LREM", queue, "0", "1"],
      ["LPOP", queue],
      ["DEL", lock],
      ["PUBLISH", channel, "1"],
      ["SUBSCRIBE", channel],
    ],
    seed: [
      ["PING"],
      ["SET", seed, "1", "NX", "PX", "5000"],
      ["EVAL", "return redis.call('EXISTS', KEYS[1])", "1", seed],
      ["DEL", seed],
    ],
    peer: [
      ["PING"],
      ["SET", peer, "1", "NX", "PX", "5000"],
      ["GET", peer],
      ["PEXPIRE", peer, "5000"],
      ["EXISTS", peer],
      ["EVAL", "return redis.call('DEL', KEYS[1])", "1", peer],
    ],
    monitor: [["PING"], ["INFO", "server"]],
  };
}

const quoteWord = (word: string) => (word === "" || word.includes(" ") ? JSON.stringify(word) : word);

// --- Sending --------------------------------------------------------------------------------------------------------

/** Sends one command on a connection of its own. `error` is the reply with which Redis rejects the login or the command. */
async function send(
  redisUrl: string,
  user: string,
  passwords: Readonly<Record<string, string>>,
  [name, ...args]: Command,
): Promise<{ readonly answer: string; readonly error?: string | undefined }> {
  const login = user === ANONYMOUS ? (["", ""] as const) : ([user, passwords[user] ?? WRONG_PASSWORD] as const);
  // Protocol 2 needs no HELLO, so a connection can be open without a login.
  const connection = new Redis(urlWithLogin(redisUrl, ...login), { ...ONE_SHOT_OPTIONS, protocol: 2 });
  let failure: Error | undefined;
  connection.on("error", (error) => {
    failure = error;
  });
  try {
    await connection.connect();
    // In lower case: only then does ioredis recognize the commands that change the state of a connection.
    return { answer: String(await connection.call(name.toLowerCase(), args)).slice(0, 100) };
  } catch (error) {
    // ioredis emits a refused login as an event, and rejects the call only with "connection is closed".
    const reason = (error as Error).name === "ReplyError" ? (error as Error) : (failure ?? (error as Error));
    if (reason.name === "ReplyError") return { answer: "", error: reason.message };
    throw new ServerError(`Redis at ${new URL(redisUrl).host}`, reason.message, "start it or correct REDIS_URL", {
      cause: error,
    });
  } finally {
    connection.disconnect();
  }
}
