import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { ConsulApi, LockAnswer } from "./consul-api.ts";
import { createHold, type Lease, TTL_MS_MIN } from "./hold.ts";
import { type KeptSession, keepSessions } from "./kept-sessions.ts";
import { checkMilliseconds, completeLock, type Lock, LockError, type LockOptions, LockUnreachable } from "./lock.ts";
import { poll } from "./polling.ts";

export interface ConsulLockOptions extends LockOptions {
  /** TTL of the sessions, milliseconds; no shorter than `session_ttl_min` of the servers, which is 10 s by default. */
  readonly ttlMs: number;
  /** Whether a session is renewed at a third of its TTL while it holds a lock. Default true. */
  readonly extend?: boolean | undefined;
}

/**
 * A lock in the key-value store of Consul, as its documentation describes: a session with a TTL acquires a key, and
 * waiters learn from a blocking query that the key has changed. All waiters of a key are told, and one of them wins; there
 * is no order. `held.fence` is the Raft index of the acquisition, so it grows with every change that the servers make.
 *
 * It is a lease. Consul ends a session no earlier than one TTL and no later than about two TTLs after it was renewed
 * (and a new leader counts from the beginning), deletes its keys, and lets nobody lock them for the lock-delay of
 * {@link lockDelayMs}. If a holder is stalled for longer than all of that, there are two holders, and one of them learns
 * it too late. Prevent what must never happen by checking `held.fence` in the write itself.
 *
 * The caller closes `api`. Resolves once a session exists; throws LockDenied or LockUnreachable.
 */
export async function createConsulLock(api: ConsulApi, options: ConsulLockOptions): Promise<Lock> {
  const { extend = true } = options;
  const ttlMs = Math.ceil(options.ttlMs);
  checkMilliseconds("ttlMs", ttlMs, TTL_MS_MIN);
  // Creating a session is a write that a majority of the servers must confirm, so sessions are kept. Two waits never share
  // one: Consul grants a lock again to the session that has it.
  const sessions = keepSessions(
    {
      create: () => api.createSession(ttlMs, lockDelayMs(ttlMs)),
      renew: api.renewSession,
      end: api.destroySession,
    },
    // A hold that is not extended needs the whole TTL.
    extend ? ttlMs / 3 : 0,
  );
  sessions.keep(await sessions.take());
  const closing = new AbortController();
  setMaxListeners(0, closing.signal);
  /** Attempts and releases that nobody waits for any more. */
  const unfinished = new Set<Promise<unknown>>();

  function leaseOf(key: string, session: KeptSession): Lease {
    return {
      // A session can outlive its lock: somebody may have deleted the key.
      extend: async () => (await session.renew()) && (await api.read(key)).session === session.id,
      async release(deadline) {
        for (let attempt = 1; ; attempt += 1) {
          try {
            const mine = await api.unlock(key, session.id);
            if (mine && attempt === 1) sessions.keep(session);
            else sessions.end(session);
            // After a lost answer, "not yours" may be the result of a release that succeeded.
            return mine || attempt > 1;
          } catch (error) {
            if (error instanceof LockUnreachable && performance.now() + RETRY_MS < deadline) {
              await sleep(RETRY_MS);
              continue;
            }
            sessions.end(session);
            throw error;
          }
        }
      },
    };
  }

  /** Resolves to undefined when the wait is over. `failed` is told the reason while no answer comes. */
  async function acquire(key: string, once: boolean, over: AbortSignal, failed: (error?: LockError) => void) {
    let session: KeptSession | undefined;
    let since = 0;
    while (!over.aborted) {
      try {
        session = session === undefined ? await sessions.take() : await sessions.fresh(session);
        const answer: LockAnswer = over.aborted ? "held" : await api.lock(key, session.id);
        if (typeof answer === "number") return { session, fence: answer };
        failed(undefined);
        if (once) break;
        if (answer === "ended") session = undefined;
        else if (answer === "delayed") await sleep(lockDelayMs(ttlMs) / 10, undefined, { signal: over });
        else since = await untilFree(key, since, over);
      } catch (error) {
        if (!(error instanceof LockError)) {
          if (over.aborted) break;
          throw error;
        }
        // A request that was not answered may still lock the key for this session.
        if (session !== undefined) sessions.end(session);
        session = undefined;
        if (!(error instanceof LockUnreachable)) throw error;
        failed(error);
        if (once) return undefined;
        await sleep(RETRY_MS, undefined, { signal: over }).catch(() => {});
      }
    }
    if (session !== undefined) sessions.keep(session);
    return undefined;
  }

  /** Resolves, once no session holds the lock, to the index of that state. */
  async function untilFree(key: string, since: number, signal: AbortSignal): Promise<number> {
    for (let index = since; ; ) {
      const state = await api.read(key, { since: index, forMs: BLOCK_MS, signal });
      if (state.session === undefined) return state.index;
      // An index that has gone back belongs to other data; 0 does not wait.
      index = state.index < index ? 0 : state.index;
    }
  }

  function track<T>(work: Promise<T>): Promise<T> {
    const tracked: Promise<unknown> = work.catch(() => {}).finally(() => unfinished.delete(tracked));
    unfinished.add(tracked);
    return work;
  }

  return completeLock(options, {
    async acquire(key, wait) {
      let lastError: LockError | undefined;
      const { session, fence } = await poll(key, wait, closing.signal, {
        attempt: (over) =>
          track(
            acquire(key, wait.timeoutMs === 0, over, (error) => {
              lastError = error;
            }),
          ),
        undo: ({ session }) => track(leaseOf(key, session).release(performance.now() + ttlMs)).catch(() => {}),
        delayMs: () => 0,
        late: () => lastError,
      });
      return createHold({ lease: leaseOf(key, session), key, fence, leaseStart: session.renewedAt, ttlMs, extend });
    },
    async close() {
      closing.abort();
      while (unfinished.size > 0) await Promise.all(unfinished);
      await sessions.close();
    },
  });
}

/**
 * For how long nobody can lock a key after the session that held it was ended. Half a TTL: a holder renews its session at
 * a third of its TTL, so it learns of a session that was ended before its time (an operator destroyed it, or its node was
 * removed) before anybody else can have the lock. Consul's default is 15 s, its maximum 60 s.
 */
export const lockDelayMs = (ttlMs: number): number => Math.min(Math.ceil(ttlMs / 2), 60_000);

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** Pause before a request that was not answered is repeated. */
const RETRY_MS = 100;
/** How long the server keeps a blocking query that nothing ends; it also keeps one whose client has gone. */
const BLOCK_MS = 10_000;
