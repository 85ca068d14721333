/** What the users of helm/files/users.acl must be able to do, and what Redis must refuse, tried on real connections. */
import { randomBytes } from "node:crypto";
import { Redis } from "ioredis";
import { GRANT_CHANNEL_PREFIX, LOCK_KEY_PREFIX, PEER_KEY_PREFIX, SEED_KEY_PREFIX } from "../../worker/contract.ts";
import { ServerError } from "../errors.ts";
import type { AclProbe } from "../judge/report-data.ts";

export interface AclOptions {
  readonly redisUrl: string;
  /** Of each user of helm/files/users.acl. */
  readonly passwords: Readonly<Record<string, string>>;
}

export interface ProbeOptions extends AclOptions {
  /** Every user with everything, instead of everything with the user of the lock and a few things with the others. */
  readonly matrix?: boolean;
}

type Command = readonly [name: string, ...args: string[]];

/** The words with which Redis refuses; anything else means that the users' rules let the command through. */
const REFUSAL = /^(NOPERM|NOAUTH|WRONGPASS)|The user executing the script can't|ACL failure in script/;

/**
 * Tries what must be refused, and says what Redis answered. Each attempt is the real command, but with arguments that keep
 * it from doing harm if it is let through: Redis asks for the permission before it looks at arguments.
 * Throws ServerError when Redis cannot be reached.
 */
export async function probeAcl({ redisUrl, passwords, matrix = false }: ProbeOptions): Promise<AclProbe[]> {
  const users = [...Object.keys(passwords), "health", NOBODY];
  const probes = users.flatMap((user) =>
    attemptsOf(user, Object.keys(passwords), matrix).map((command) => ({ user, command })),
  );
  return Promise.all(
    probes.map(async ({ user, command }) => {
      const { answer, error } = await ask(redisUrl, user, passwords, command);
      return {
        user,
        attempt: command.map(quoted).join(" "),
        refused: error !== undefined && REFUSAL.test(error),
        answer: error ?? answer,
      };
    }),
  );
}

/** What a user was let do. */
export interface Granted {
  readonly user: string;
  readonly attempts: string[];
}

/**
 * Throws ServerError, naming user, command and refusal, unless the users may do what a run needs. What they may do shows
 * that an attempt that is let through is seen as such.
 */
export async function checkAccess({ redisUrl, passwords }: AclOptions): Promise<Granted[]> {
  const granted: Granted[] = [];
  for (const [user, commands] of Object.entries(permissions())) {
    if (passwords[user] === undefined) continue;
    granted.push({ user, attempts: commands.map(([name]) => name) });
    for (const command of commands) {
      const { error } = await ask(redisUrl, user, passwords, command);
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
const NOBODY = "nobody";
const WRONG = "not-the-password";

/** A key, and a channel, outside what any user may touch. */
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
/** What the others than the lock's user try unless the whole matrix is asked for. */
const BRIEF = ["GET", "SET", "CONFIG", "FLUSHALL"];

function attemptsOf(user: string, users: readonly string[], matrix: boolean): readonly Command[] {
  if (user === NOBODY)
    return [
      ["GET", `${LOCK_KEY_PREFIX}probe`],
      ["PING"],
      ["AUTH", ""],
      ["AUTH", "default", ""],
      ...["default", ...users].map((name): Command => ["AUTH", name, WRONG]),
    ];
  const keysOfOthers = Object.entries(KEY_PREFIXES)
    .filter(([name]) => name !== user)
    .map(([, prefix]): Command => ["GET", `${prefix}probe`]);
  const forbidden = FORBIDDEN.filter(([name]) => name !== "INFO" || user !== "monitor");
  if (matrix) return [...keysOfOthers, ...forbidden];
  const [first] = keysOfOthers;
  return [first!, ...(user === "lock" ? forbidden : forbidden.filter(([name]) => BRIEF.includes(name)))];
}

/** The names are new each time, since these commands do their work. */
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

const quoted = (word: string) => (word === "" || word.includes(" ") ? JSON.stringify(word) : word);

// --- Asking ---------------------------------------------------------------------------------------------------------

/** One command on a connection of its own. `error` is what Redis says to the login or to the command. */
async function ask(
  redisUrl: string,
  user: string,
  passwords: Readonly<Record<string, string>>,
  [name, ...args]: Command,
): Promise<{ readonly answer: string; readonly error?: string | undefined }> {
  const url = new URL(redisUrl);
  url.username = user === NOBODY ? "" : user;
  url.password = user === NOBODY ? "" : encodeURIComponent(passwords[user] ?? WRONG);
  const connection = new Redis(url.href, {
    lazyConnect: true,
    // The older protocol needs no HELLO, so that a connection can be open without a login.
    protocol: 2,
    enableReadyCheck: false,
    disableClientInfo: true,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    connectTimeout: 3_000,
    commandTimeout: 3_000,
  });
  let failure: Error | undefined;
  connection.on("error", (error) => {
    failure = error;
  });
  try {
    await connection.connect();
    // In lower case, as ioredis recognizes the commands that change the state of a connection.
    return { answer: String(await connection.call(name.toLowerCase(), args)).slice(0, 100) };
  } catch (error) {
    // A login that is refused comes as an event; the connection only says that it is closed.
    const reason = (error as Error).name === "ReplyError" ? (error as Error) : (failure ?? (error as Error));
    if (reason.name === "ReplyError") return { answer: "", error: reason.message };
    throw new ServerError(`Redis at ${url.host}`, reason.message, "start it or correct REDIS_URL", { cause: error });
  } finally {
    connection.disconnect();
  }
}
