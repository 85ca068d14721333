import { randomBytes } from "node:crypto";
import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { ZooKeeperClient, ZooKeeperSession } from "../servers/zookeeper-session.ts";
import { createHold, driftMs, type Hold, TTL_MS_MIN } from "./hold.ts";
import {
  abortedWait,
  checkMilliseconds,
  closedWait,
  completeLock,
  DEFAULT_TIMEOUT_MS,
  type Held,
  type Lock,
  type LockOptions,
  timedOut,
  type Wait,
} from "./lock.ts";
import { type Link, openLink } from "./zookeeper-link.ts";
import { createPlace, type Place } from "./zookeeper-place.ts";

export interface ZooKeeperLockOptions extends LockOptions {
  /** The timeout of the session, milliseconds. A server grants no less than two of its ticks. */
  readonly ttlMs: number;
  /** Whether a holder keeps the lock for longer than `ttlMs`; default true. */
  readonly extend?: boolean | undefined;
}

/**
 * A lock in ZooKeeper, by the recipe of its documentation: each waiter creates an ephemeral sequential node, the first in
 * order holds the lock, and each other one watches only the node before its own. A release wakes one waiter. An
 * acquisition costs three requests, and five if others are before it.
 *
 * It is a lease: the server deletes the nodes of a session that it has not heard from for its timeout. The holder counts
 * that time from its last request that was answered, so it notices the end before the server does, unless it is
 * stalled. Prevent what must never happen by checking `held.fence`, the transaction that created the node, in the
 * write itself.
 *
 * A lock has one session for all of its keys. Resolves once the session is there; throws LockDenied or LockUnreachable.
 *
 * Source: "Locks" in https://zookeeper.apache.org/doc/current/recipes.html
 */
export async function createZooKeeperLock(client: ZooKeeperClient, options: ZooKeeperLockOptions): Promise<Lock> {
  const { ttlMs, extend = true } = options;
  checkMilliseconds("ttlMs", ttlMs, TTL_MS_MIN);
  const closing = new AbortController();
  setMaxListeners(0, closing.signal);
  const holds = new Map<Hold, ZooKeeperSession>();
  const leaving = new Set<Promise<unknown>>();
  const link = openLink(client, ttlMs, {
    up() {
      for (const hold of holds.keys()) hold.reconnected();
    },
    ended(session) {
      // The extension finds out that the node is gone.
      for (const [hold, its] of holds) if (its === session) hold.extend().catch(() => {});
    },
  });
  const prefix = randomBytes(6).toString("hex");
  let places = 0;
  await checkUsable(link, client.locks);

  function leave(place: Place, doing: string): Promise<boolean> {
    const left = place.leave(doing).finally(() => leaving.delete(left));
    leaving.add(left);
    return left;
  }

  function hold(key: string, place: Place, leaseStart: number): Held {
    const session = place.session!;
    const granted = Math.min(ttlMs, session.timeoutMs);
    let released = false;
    const held = createHold({
      key,
      fence: place.fence,
      leaseStart,
      ttlMs: granted,
      extend,
      lease: {
        async extend() {
          if (session.ended !== undefined) return false;
          const doing = `extend lock "${key}"`;
          return place.isThere().catch((error) => {
            if (session.ended !== undefined) return false;
            throw link.refusal(error, doing) ?? link.unreachable(doing);
          });
        },
        release() {
          released = true;
          return leave(place, `release lock "${key}"`);
        },
      },
      ended() {
        holds.delete(held);
        // The session goes on with the requests for other keys, so nothing else would delete the node.
        if (!released) setTimeout(() => leave(place, `leave lock "${key}"`).catch(() => {}), driftMs(granted));
      },
    });
    holds.set(held, session);
    return held;
  }

  return completeLock(options, {
    inOrder: true,
    async acquire(key, wait) {
      const place = createPlace({
        link,
        parent: `${client.locks}/${nodeName(key)}`,
        id: `${prefix}${(places++).toString(36)}`,
        loggedIn: client.user !== undefined,
      });
      const ending = endingOf(key, wait, closing.signal, link);
      try {
        return hold(key, place, await waitForTurn(key, place, wait, link, ending));
      } catch (error) {
        leave(place, `leave lock "${key}"`).catch(() => {});
        throw error;
      } finally {
        ending.stop();
      }
    },
    async close() {
      closing.abort();
      // A server that does not answer ends the session by itself.
      const left = Promise.all([...leaving].map((each) => each.catch(() => {})));
      await Promise.race([left, sleep(CLOSE_MS, undefined, { ref: false })]);
      await link.close();
    },
  });
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const CLOSE_MS = 1_000;
/** How long the answer may take where the caller does not want to wait. */
const ONCE_MS = 1_000;

/** Any request on the node of the locks shows whether it is there and lets this user in. */
async function checkUsable(link: Link, locks: string) {
  const doing = "see the locks";
  const deadline = Promise.withResolvers<never>();
  const timer = setTimeout(() => deadline.reject(link.unreachable(doing)), DEFAULT_TIMEOUT_MS);
  try {
    for (;;) {
      const session = await Promise.race([link.session(doing), deadline.promise]);
      try {
        return await Promise.race([session.children(locks), deadline.promise]);
      } catch (error) {
        const refused = link.refusal(error, doing);
        if (refused !== undefined) throw refused;
      }
    }
  } catch (error) {
    void link.close();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Resolves to the time from which the lease counts. */
async function waitForTurn(key: string, place: Place, { timeoutMs }: Wait, link: Link, ending: Ending) {
  const doing = `acquire lock "${key}"`;
  for (;;) {
    const session = await ending.race(link.session(doing));
    try {
      await ending.race(place.take(session));
      const turn = await ending.race(place.look());
      if (turn.state === "gone") continue;
      if (turn.state === "first") {
        // This process may have been stalled since.
        if (performance.now() - turn.askedAt < session.timeoutMs / 2) return turn.askedAt;
        continue;
      }
      ending.othersHold();
      if (timeoutMs === 0) throw timedOut(key, timeoutMs);
      const watch = await ending.race(session.watch(turn.before));
      await ending.race(watch?.changed);
    } catch (error) {
      if (ending.isOver || error instanceof Error === false || error.name === "LockTimeout") throw error;
      const refused = link.refusal(error, doing);
      if (refused !== undefined) throw refused;
      if (timeoutMs === 0) throw link.unreachable(doing);
    }
  }
}

/** What ends a wait without the lock: its deadline, the caller's signal, or `close`. */
interface Ending {
  readonly isOver: boolean;
  /** Rejects with the reason if the wait ends first. */
  race<T>(step: T | Promise<T>): Promise<T>;
  /** ZooKeeper has said so. */
  othersHold(): void;
  stop(): void;
}

function endingOf(key: string, { signal, timeoutMs }: Wait, closing: AbortSignal, link: Link): Ending {
  const over = Promise.withResolvers<never>();
  over.promise.catch(() => {});
  let isOver = false;
  let seen = false;
  const end = (error: Error) => {
    isOver = true;
    over.reject(error);
  };
  const onAbort = () => end(abortedWait(key, signal!));
  const onClose = () => end(closedWait(key));
  const onDeadline = () =>
    end(seen && link.isUp ? timedOut(key, timeoutMs) : link.unreachable(`acquire lock "${key}"`));
  const timer = setTimeout(onDeadline, timeoutMs === 0 ? ONCE_MS : timeoutMs);
  signal?.addEventListener("abort", onAbort, { once: true });
  closing.addEventListener("abort", onClose, { once: true });
  if (closing.aborted) onClose();
  return {
    get isOver() {
      return isOver;
    },
    race: (step) => Promise.race([over.promise, step]),
    othersHold() {
      seen = true;
    },
    stop() {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      closing.removeEventListener("abort", onClose);
    },
  };
}

/** The name of a node is one part of a path, and neither `.` nor `..`. */
const nodeName = (key: string) => encodeURIComponent(key).replaceAll(".", "%2E");
