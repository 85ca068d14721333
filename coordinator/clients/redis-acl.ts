/** Tries on real connections what the users of helm/files/users.acl must be able to do, and what Redis must refuse them. */
import { randomBytes } from "node:crypto";
import {
  GRANT_CHANNEL_PREFIX,
  GUEST_PREFIX,
  LOCK_KEY_PREFIX,
  PEER_KEY_PREFIX,
  type RedisUser,
  SEED_KEY_PREFIX,
} from "../../worker/contract.ts";
import { isComplaintAboutArguments, isRefusal } from "../../worker/server-errors.ts";
import {
  openRedis,
  type RedisLogin,
  type RedisVariables,
  redisAddress,
  redisKind,
  redisLogin,
  redisUrls,
  redisUsers,
} from "../../worker/servers/redis.ts";
import { ServerError } from "../errors.ts";
import type { AclProbe } from "../judge/report-data.ts";
import { ONE_SHOT_OPTIONS } from "./redis.ts";
import { toRedisError } from "./redis-errors.ts";

type Command = readonly [name: string, ...args: string[]];

/**
 * Tries what must be refused, and returns what Redis answered. Each attempt is the real command, with arguments that make
 * it harmless if it is allowed: Redis checks the permission before the arguments, so a complaint about those means that the
 * user's rules allow the command. With `matrix`, every user tries every command; otherwise the user `lock` tries all of
 * them and the others a few. Throws ServerError when Redis is unreachable.
 */
export async function probeAcl(variables: RedisVariables, { matrix = false } = {}): Promise<AclProbe[]> {
  const known = redisUsers(variables);
  const probes = [...known, "health", ANONYMOUS].flatMap((user) =>
    listAttempts(user, known, matrix).map((command) => ({ user, command })),
  );
  return Promise.all(
    probes.map(async ({ user, command }) => {
      const { answer, error } = await send(variables, user, command);
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
 * Throws ServerError with the user, the command and the error, unless the users may do what a run needs. The commands
 * that it returns also show that `probeAcl` can tell an allowed command from a refused one.
 */
export async function checkAccess(variables: RedisVariables): Promise<Granted[]> {
  const granted: Granted[] = [];
  const known = redisUsers(variables);
  for (const [role, needed] of Object.entries(permissions())) {
    const commands = redisKind(variables) === "cluster" ? [...needed, FIND_NODES] : needed;
    // Without Holdfast's own users, one user does everything.
    const user = known.length === 0 ? (redisLogin(variables, "lock").user ?? "default") : role;
    const isOptional = known.length > 0 || role === "guest";
    if (isOptional && !known.some((name) => name === role)) continue;
    granted.push({ user, attempts: commands.map(([name]) => name) });
    for (const command of commands) {
      const { error } = await send(variables, user, command);
      if (error === undefined) continue;
      const where = `Redis at ${redisAddress(variables)}, user ${user}, ${command[0]}`;
      throw await toRedisError(where, variables, user, new Error(error));
    }
  }
  return granted;
}

/**
 * Checks the other servers of REDIS_URLS in the same way. A lock on the majority does not need all of them, so a server
 * that does not answer is left out; only an error that waiting does not resolve is thrown.
 */
export async function checkOtherServers(variables: RedisVariables): Promise<void> {
  for (const url of redisUrls(variables)) {
    if (url === variables.REDIS_URL) continue;
    await checkAccess({ ...variables, REDIS_URL: url }).catch((error) => {
      if (!(error instanceof ServerError) || error.final) throw error;
    });
  }
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
  guest: GUEST_PREFIX,
};

const FORBIDDEN: readonly Command[] = [
  ["GET", FOREIGN],
  ["SET", FOREIGN, "1", "PX", "1000"],
  ["EVAL", `return redis.call('GET', '${FOREIGN}')`, "0"],
  ["EVAL", "return redis.call('FLUSHALL', 'no')", "0"],
  ["PUBLISH", FOREIGN, "1"],
  ["SPUBLISH", FOREIGN, "1"],
  ["SUBSCRIBE", FOREIGN],
  ["SSUBSCRIBE", FOREIGN],
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

/** How every client of a cluster finds the nodes. */
const FIND_NODES: Command = ["CLUSTER", "SLOTS"];

/** The commands that each user needs. They take effect, so their keys have a new name in each call. */
function permissions(): Readonly<Record<RedisUser, readonly Command[]>> {
  const probe = `probe-${randomBytes(6).toString("hex")}`;
  const [lock, queue] = [`${LOCK_KEY_PREFIX}{${probe}}:owner`, `${LOCK_KEY_PREFIX}{${probe}}:queue`];
  const [seed, peer] = [`${SEED_KEY_PREFIX}${probe}`, `${PEER_KEY_PREFIX}${probe}`];
  const channel = `${GRANT_CHANNEL_PREFIX}${probe}`;
  const guest = `${GUEST_PREFIX}${probe}`;
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
      ["PUBSUB", "SHARDNUMSUB", channel],
      ["SPUBLISH", channel, "1"],
      ["SSUBSCRIBE", channel],
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
    guest: [
      ["PING"],
      ["SET", guest, "1", "NX", "PX", "5000"],
      ["GET", guest],
      ["PEXPIRE", guest, "5000"],
      ["PTTL", guest],
      ["SCRIPT", "LOAD", "return redis.call('DEL', KEYS[1])"],
      ["EVAL", "return redis.call('DEL', KEYS[1])", "1", guest],
      ["HSET", guest, "owner", "1"],
      ["DEL", guest],
      ["PUBLISH", guest, "1"],
      ["SUBSCRIBE", guest],
    ],
  };
}

const quoteWord = (word: string) => (word === "" || word.includes(" ") ? JSON.stringify(word) : word);

// --- Sending --------------------------------------------------------------------------------------------------------

/**
 * Sends one command on a connection of its own. `error` is the reply with which Redis rejects the login or the command. In
 * a cluster, the first node of REDIS_URL is asked, and the node that it names if it does not have the key.
 */
async function send(
  variables: RedisVariables,
  user: string,
  [name, ...args]: Command,
  node: { readonly host?: string; readonly port?: number } = {},
): Promise<{ readonly answer: string; readonly error?: string | undefined }> {
  // Protocol 2 needs no HELLO, so a connection can be open without a login.
  const connection = openRedis(variables, loginOf(variables, user), { ...ONE_SHOT_OPTIONS, ...node, protocol: 2 });
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
    const [, host, port] = /^MOVED \d+ (.+):(\d+)$/.exec(reason.message) ?? [];
    if (redisKind(variables) === "cluster" && host !== undefined && node.host === undefined)
      return await send(variables, user, [name, ...args], { host, port: Number(port) });
    if (reason.name === "ReplyError") return { answer: "", error: reason.message };
    throw await toRedisError(`Redis at ${redisAddress(variables)}`, variables, user, reason);
  } finally {
    connection.disconnect();
  }
}

function loginOf(variables: RedisVariables, user: string): RedisLogin {
  if (user === ANONYMOUS) return {};
  const users = redisUsers(variables);
  if (users.length === 0) return redisLogin(variables, "lock");
  const known = users.find((name) => name === user);
  return known === undefined ? { user, password: WRONG_PASSWORD } : redisLogin(variables, known);
}
