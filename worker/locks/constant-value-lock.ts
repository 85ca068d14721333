import { setMaxListeners } from "node:events";
import type { Cluster, Redis } from "ioredis";
import { SEED_KEY_PREFIX } from "../contract.ts";
import {
  checkMilliseconds,
  completeLock,
  type Held,
  type Lock,
  LockError,
  LockLost,
  type LockOptions,
} from "./lock.ts";
import { poll } from "./polling.ts";
import { refusal, unreachable } from "./redis-errors.ts";

export interface ConstantValueLockOptions extends LockOptions {
  /** Milliseconds after which Redis deletes the lock, no matter who holds it; undefined for never. */
  readonly ttlMs?: number | undefined;
  /** Milliseconds between two attempts. */
  readonly pollMs: number;
}

/**
 * A lock as it is often written first: set a constant if there is none, delete it if it exists, poll in between. It is
 * here to show where it breaks. With a TTL, a holder that is too slow shares the lock with the next one and then
 * releases that one's lock; neither gets an error, because the value does not say whose lock it is. Without a TTL, a
 * holder that dies keeps the lock for ever.
 */
export function createConstantValueLock(connection: Redis | Cluster, options: ConstantValueLockOptions): Lock {
  const { ttlMs, pollMs } = options;
  checkMilliseconds("pollMs", pollMs, 1);
  if (ttlMs !== undefined) checkMilliseconds("ttlMs", ttlMs, 1);
  connection.defineCommand("holdfast_delete_if_exists", { numberOfKeys: 1, lua: DELETE_IF_EXISTS });
  const { holdfast_delete_if_exists: deleteIfExists } = connection as unknown as Record<string, Script>;
  const closing = new AbortController();
  setMaxListeners(0, closing.signal);

  async function ask<T>(doing: string, command: () => Promise<T>): Promise<T> {
    try {
      return await command();
    } catch (error) {
      throw refusal(connection, error, doing) ?? unreachable(connection, error, doing);
    }
  }

  function hold(key: string): Held {
    let released: Promise<void> | undefined;
    async function release() {
      const deleted = await ask(`release lock "${key}"`, () => deleteIfExists!.call(connection, SEED_KEY_PREFIX + key));
      if (deleted === 0) throw new LockLost(`lock "${key}" no longer existed when it was released; raise ttlMs`);
    }
    return {
      key,
      fence: 0,
      signal: new AbortController().signal,
      async extend() {
        throw new LockError(`lock "${key}" cannot be extended: its value does not say who holds it`);
      },
      release() {
        released ??= release();
        return released;
      },
    };
  }

  return completeLock(options, {
    inOrder: true,
    acquire: (key, wait) =>
      poll(key, wait, closing.signal, {
        async attempt() {
          const name = SEED_KEY_PREFIX + key;
          const answer = await ask(`acquire lock "${key}"`, () =>
            ttlMs === undefined ? connection.set(name, VALUE, "NX") : connection.set(name, VALUE, "PX", ttlMs, "NX"),
          );
          return answer === "OK" ? hold(key) : undefined;
        },
        undo: (held) => held.release().catch(() => {}),
        delayMs: () => pollMs,
      }),
    async close() {
      closing.abort();
    },
  });
}

type Script = (this: Redis | Cluster, key: string) => Promise<number>;

const VALUE = "locked";

const DELETE_IF_EXISTS = `
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
return redis.call('DEL', KEYS[1])`;
