import { randomUUID } from "node:crypto";
import { setMaxListeners } from "node:events";
import type { Cluster, Redis } from "ioredis";
import { LOCK_KEY_PREFIX } from "../contract.ts";
import { createHold, driftMs, type Lease, TTL_MS_MIN } from "./hold.ts";
import {
  checkMilliseconds,
  completeLock,
  DEFAULT_TIMEOUT_MS,
  type Lock,
  LockDenied,
  type LockError,
  type LockOptions,
  LockUnreachable,
} from "./lock.ts";
import { poll } from "./polling.ts";
import { address, reasonOf, refusal } from "./redis-errors.ts";

export interface RedlockOptions extends LockOptions {
  /** The lease on each server, milliseconds. */
  readonly ttlMs: number;
  /** Whether a held lock is extended at a third of its TTL. Default true. */
  readonly extend?: boolean | undefined;
  /** How long one server may take to answer, milliseconds; default a twentieth of the TTL. */
  readonly serverTimeoutMs?: number | undefined;
  /** Mean of the random wait between two attempts, milliseconds; it varies by half of itself. Default 20. */
  readonly retryMs?: number | undefined;
  /** Uniform in [0, 1), for the wait between two attempts. */
  readonly random?: (() => number) | undefined;
}

/**
 * A lock kept by the majority of several independent Redis servers, after "Distributed Locks with Redis"
 * (redis.io/docs/latest/develop/clients/patterns/distributed-locks). It works while a minority is down.
 *
 * It is a lease without a fencing token. A holder that is stalled for longer than its TTL shares the lock with the next
 * one, and so does a holder if the clocks of servers jump or servers lose the key in a restart. It polls, and is not
 * fair.
 *
 * The caller makes the connections with `lockConnectionOptions` and closes them. Resolves once a majority is reachable.
 */
export async function createRedlock(connections: readonly (Redis | Cluster)[], options: RedlockOptions): Promise<Lock> {
  const { ttlMs, extend = true, random = Math.random, retryMs = 20, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  const { serverTimeoutMs = Math.max(1, ttlMs / 20) } = options;
  if (connections.length === 0) throw new RangeError("redlock needs at least one server");
  checkMilliseconds("ttlMs", ttlMs, TTL_MS_MIN);
  checkMilliseconds("serverTimeoutMs", serverTimeoutMs, 1);
  checkMilliseconds("retryMs", retryMs, 1);
  checkMilliseconds("timeoutMs", timeoutMs);

  const servers = connections.map((connection) => openServer(connection, serverTimeoutMs));
  const majority = Math.floor(servers.length / 2) + 1;
  const closing = new AbortController();
  setMaxListeners(0, closing.signal);

  /** Asks all servers at once; settles as soon as a majority has agreed, or can no longer agree. */
  function vote(script: ScriptName, key: string, value: string): Promise<Vote> {
    return new Promise((resolve) => {
      const failures: Failure[] = [];
      let yes = 0;
      let no = 0;
      function count() {
        const decisive = servers.length - majority;
        if (yes >= majority) resolve({ agreed: true, failures });
        else if (no > decisive) resolve({ agreed: false, failures });
        else if (no + failures.length > decisive) resolve({ agreed: undefined, failures });
      }
      for (const { connection, run } of servers) {
        run(script, LOCK_KEY_PREFIX + key, value, Math.ceil(ttlMs))
          .then(
            (answer) => {
              if (answer === 1) yes += 1;
              else no += 1;
            },
            (error) => failures.push({ connection, error }),
          )
          .then(count);
      }
    });
  }

  /** The error if so many servers failed that the others are no majority; undefined if they are one. */
  function noMajority(failures: readonly Failure[], doing: string): LockDenied | LockUnreachable | undefined {
    if (failures.length <= servers.length - majority) return undefined;
    const reasons = failures.map(({ connection, error }) => `${address(connection)} (${reasonOf(error)})`).join(", ");
    const text = `no majority of the ${servers.length} Redis servers could ${doing}: ${reasons}`;
    return failures.every(({ connection, error }) => refusal(connection, error, doing) instanceof LockDenied)
      ? new LockDenied(`${text}; compare the user's rules and password with what the lock needs`)
      : new LockUnreachable(`${text}; ${majority} must be up`);
  }

  function leaseOf(key: string, value: string): Lease {
    async function ask(script: "extend" | "release") {
      const { agreed, failures } = await vote(script, key, value);
      if (agreed !== undefined) return agreed;
      const doing = `${script} lock "${key}"`;
      throw noMajority(failures, doing) ?? new LockUnreachable(`the Redis servers do not agree whether to ${doing}`);
    }
    // A release is sent once: on a server that it does not reach, the lease ends by itself.
    return { extend: () => ask("extend"), release: () => ask("release") };
  }

  async function attempt(key: string, value: string) {
    const leaseStart = performance.now();
    const { agreed, failures } = await vote("acquire", key, value);
    if (agreed && performance.now() < leaseStart + ttlMs - driftMs(ttlMs)) return { leaseStart };
    // On all servers, also on those that did not answer: a vote left there would block others until its TTL ends.
    await vote("release", key, value);
    const error = noMajority(failures, `acquire lock "${key}"`);
    if (error instanceof LockDenied) throw error;
    return { error };
  }

  await untilMajority(servers, majority, timeoutMs, noMajority);
  return completeLock(options, {
    inOrder: true,
    async acquire(key, wait) {
      const value = randomUUID();
      let lastError: LockError | undefined;
      const leaseStart = await poll<number>(key, wait, closing.signal, {
        async attempt() {
          const { leaseStart, error } = await attempt(key, value);
          lastError = error;
          return leaseStart;
        },
        undo: () => vote("release", key, value),
        delayMs: () => retryMs * (0.5 + random()),
        late: () => lastError,
      });
      return createHold({ lease: leaseOf(key, value), key, fence: 0, leaseStart, ttlMs, extend });
    },
    async close() {
      closing.abort();
    },
  });
}

// --- One server -----------------------------------------------------------------------------------------------------

interface Failure {
  readonly connection: Redis | Cluster;
  readonly error: unknown;
}

interface Vote {
  /** Undefined if too few servers answered. */
  readonly agreed: boolean | undefined;
  readonly failures: readonly Failure[];
}

type Server = ReturnType<typeof openServer>;

function openServer(connection: Redis | Cluster, timeoutMs: number) {
  let lastError: unknown;
  connection.on("error", (error) => {
    lastError = error;
  });
  if (connection.status === "wait") connection.connect().catch(() => {});
  for (const [name, lua] of Object.entries(SCRIPTS))
    connection.defineCommand(`redlock_${name}`, { numberOfKeys: 1, lua });
  const commands = connection as unknown as Record<string, (...args: (string | number)[]) => Promise<number>>;
  return {
    connection,
    lastError: () => lastError,
    /** Fails at once without a connection, and after `timeoutMs` without an answer; no command is sent later. */
    run(script: ScriptName, ...args: (string | number)[]): Promise<number> {
      if (connection.status !== "ready") return Promise.reject(lastError ?? new Error("not connected"));
      return new Promise((resolve, reject) => {
        const late = () => reject(new Error(`no answer within ${timeoutMs} ms`));
        const timer = setTimeout(late, timeoutMs);
        commands[`redlock_${script}`]!(...args)
          .then(resolve, reject)
          .finally(() => clearTimeout(timer));
      });
    },
  };
}

function untilMajority(
  servers: readonly Server[],
  majority: number,
  timeoutMs: number,
  noMajority: (failures: readonly Failure[], doing: string) => LockError | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = () =>
      servers
        .filter(({ connection }) => connection.status !== "ready")
        .map(({ connection, lastError }) => ({ connection, error: lastError() }));
    const timer = setTimeout(() => end(noMajority(failed(), "be reached")), timeoutMs);
    function check() {
      if (servers.length - failed().length >= majority) return end();
      const error = noMajority(failed(), "be reached");
      if (error instanceof LockDenied) end(error);
    }
    function end(error?: LockError) {
      clearTimeout(timer);
      for (const { connection } of servers) connection.off("ready", check).off("error", check);
      if (error === undefined) resolve();
      else reject(error);
    }
    for (const { connection } of servers) connection.on("ready", check).on("error", check);
    check();
  });
}

type ScriptName = keyof typeof SCRIPTS;

/** KEYS: the lock; ARGV: the holder's random value, the TTL. */
const SCRIPTS = {
  // The holder's own value, left by an attempt whose answer was lost, counts as a vote.
  acquire: `
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`,
  extend: `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`,
  release: `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])`,
};
