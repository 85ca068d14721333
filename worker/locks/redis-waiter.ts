import { driftMs } from "./hold.ts";
import { abortedWait, timedOut, type Wait } from "./lock.ts";
import type { Link } from "./redis-link.ts";

export interface WaiterOptions {
  readonly link: Link;
  readonly key: string;
  /** Unique. Redis knows the waiter, and later the holder, by it. */
  readonly id: string;
  readonly ttlMs: number;
  readonly wait: Wait;
  readonly random: () => number;
  /** Called when the lock is held. Its lease began no earlier than `leaseStart` by `performance.now()`. */
  readonly entered: (fence: number, leaseStart: number) => void;
  /** Called when the wait has ended without the lock. */
  readonly gaveUp: (error: Error) => void;
  /** Called when Redis no longer knows this waiter. */
  readonly forgotten: () => void;
}

export interface Waiter {
  readonly key: string;
  /** Asks Redis for the lock, or for its state while waiting. A waiter that has given up sends its cancel again. */
  ask(): void;
  /** Handles a message of Redis that the lock was handed to this waiter. */
  granted(token: number, serverTimeUs: number): void;
  fail(error: Error): void;
  /** Removes this waiter from Redis. Resolves after one attempt, successful or not; never throws. */
  leave(): Promise<void>;
}

/**
 * One wait for one lock: sends one request, then listens for a grant, and asks again only if the holder has not
 * released the lock by the end of its lease.
 *
 * A waiter is in one of five states:
 *
 * - **disconnected** (neither `asking` nor `answered` is set). The channel for grants is not open, or the connection
 *   was lost. The lock calls `ask` when the channel opens, which leads to *asking*. With a timeout of 0 the wait fails
 *   instead.
 * - **asking** (`asking` is set). The request is in flight. An answer with a token leads to *entered*, one without to
 *   *queued*, or to *leaving* with a timeout of 0. A refusal leads to *leaving*, a lost connection to *disconnected*.
 *   Redis may hand the lock over after it has answered, and that message is processed before the answer, which is
 *   delivered some microtasks later: such a grant is kept in `earlyGrant`, and counts if it is not older than the
 *   answer.
 * - **queued** (`answered` is set, `recheck` is scheduled). Redis has this waiter in its queue. A grant leads to
 *   *entered*. `recheck`, due just after the holder's lease ends, and every reopening of the channel lead back to
 *   *asking*, because the holder may have died or the grant may have been missed.
 * - **entered** (`waiting` is false). The lock is held, and the waiter has ended. A grant that is too old to be used
 *   does not lead here but back to *asking*: Redis then restarts the lease of its owner.
 * - **leaving** (`waiting` is false). Entered from the first three by the deadline, by the caller's signal, by `close`
 *   or by a refusal: the caller gets the error at once, and `cancel` removes the waiter from Redis. If the answer to
 *   that is lost, the waiter stays in this state until the channel reopens or a late grant arrives: both cancel again.
 *   The waiter ends once Redis has confirmed or refused.
 *
 * `knownToRedis` says whether the queue or the owner may be this waiter; without it there is nothing to cancel.
 */
export function createWaiter(options: WaiterOptions): Waiter {
  const { link, key, id, ttlMs, random, entered, gaveUp, forgotten } = options;
  const { signal, timeoutMs } = options.wait;
  const once = timeoutMs === 0;
  const doing = `acquire lock "${key}"`;
  let waiting = true;
  let asking: Promise<void> | undefined;
  let leaving: Promise<void> | undefined;
  /** The last answer. Redis read its clock no earlier than `sentAt` by `performance.now()`. */
  let answered: { sentAt: number; serverTimeUs: number } | undefined;
  /** A grant that arrived while a request was in flight. */
  let earlyGrant: { token: number; serverTimeUs: number } | undefined;
  let knownToRedis = false;
  let recheck: NodeJS.Timeout | undefined;
  const deadline = setTimeout(passDeadline, once ? ttlMs : timeoutMs);
  signal?.addEventListener("abort", abort, { once: true });

  function ask() {
    if (!waiting) return void leave();
    if (asking !== undefined) return;
    if (!link.up) {
      if (once) fail(link.unreachable(doing));
      return;
    }
    clearTimeout(recheck);
    knownToRedis = true;
    const sentAt = performance.now();
    asking = link.scripts.request(key, id, !once).then(
      ([token, serverTimeUs, leaseLeftMs]) => {
        asking = undefined;
        if (!waiting) return;
        answered = { sentAt, serverTimeUs };
        const grant = earlyGrant;
        earlyGrant = undefined;
        if (token > 0) return enter(token, sentAt);
        if (grant !== undefined && grant.serverTimeUs >= serverTimeUs) return granted(grant.token, grant.serverTimeUs);
        knownToRedis = !once;
        if (once) return fail(timedOut(key, timeoutMs));
        recheck = setTimeout(ask, recheckMs(leaseLeftMs));
      },
      (error) => {
        asking = undefined;
        earlyGrant = undefined;
        if (!waiting) return;
        const refused = link.classify(error, doing);
        if (refused !== undefined || once) return fail(refused ?? link.unreachable(doing));
        // The lock asks as well, usually sooner: when the channel has reopened.
        recheck = setTimeout(ask, recheckMs(0));
      },
    );
  }

  /** Until the holder's lease ends, plus 1 to 5 % of the own TTL: the only polling, once for each lease. */
  function recheckMs(leaseLeftMs: number) {
    return (leaseLeftMs < 0 ? ttlMs : leaseLeftMs) + 1 + ttlMs * (0.01 + 0.04 * random());
  }

  /** Enters only with a recent grant: this process may have been stalled since, or a clock may have jumped. */
  function enter(token: number, leaseStart: number) {
    const now = performance.now();
    if (leaseStart > now + driftMs(ttlMs) || leaseStart < now - ttlMs / 2) return ask();
    stop();
    entered(token, Math.min(leaseStart, now));
  }

  function granted(token: number, serverTimeUs: number) {
    if (!waiting) return void leave();
    if (asking !== undefined) {
      earlyGrant = { token, serverTimeUs };
      return;
    }
    if (answered === undefined) return ask();
    enter(token, answered.sentAt + (serverTimeUs - answered.serverTimeUs) / 1_000);
  }

  function fail(error: Error) {
    if (!waiting) return;
    stop();
    gaveUp(error);
    void leave();
  }

  function passDeadline() {
    fail(link.up && answered !== undefined ? timedOut(key, timeoutMs) : link.unreachable(doing));
  }

  function abort() {
    fail(abortedWait(key, signal!));
  }

  function stop() {
    waiting = false;
    clearTimeout(recheck);
    clearTimeout(deadline);
    signal?.removeEventListener("abort", abort);
  }

  function leave() {
    leaving ??= cancel().finally(() => {
      leaving = undefined;
    });
    return leaving;
  }

  /** If the answer is lost, the next opening of the channel or a late grant cancels again. */
  async function cancel() {
    // A cancel that overtakes its request would leave the request in the queue.
    await asking;
    if (!knownToRedis) return forgotten();
    try {
      await link.scripts.cancel(key, id);
      forgotten();
    } catch (error) {
      if (link.classify(error, `leave the queue of lock "${key}"`) !== undefined) forgotten();
    }
  }

  return { key, ask, granted, fail, leave };
}
