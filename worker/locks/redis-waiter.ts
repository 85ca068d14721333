import { driftMs } from "./hold.ts";
import { abortedWait, timedOut, type Wait } from "./lock.ts";
import type { Link } from "./redis-link.ts";

export interface WaiterOptions {
  readonly link: Link;
  readonly key: string;
  /** Unique, and under which Redis knows the waiter and then the holder. */
  readonly id: string;
  readonly ttlMs: number;
  readonly wait: Wait;
  readonly random: () => number;
  /** The lock is held; its lease began no earlier than `leaseStart` by `performance.now()`. */
  readonly entered: (fence: number, leaseStart: number) => void;
  /** The wait is over without the lock. */
  readonly gaveUp: (error: Error) => void;
  /** Redis has nothing left of this waiter. */
  readonly forgotten: () => void;
}

export interface Waiter {
  readonly key: string;
  /** Asks Redis for the lock, or again where it stands; one that gave up tells Redis so instead. */
  ask(): void;
  /** Redis says that the lock was handed to this waiter. */
  granted(token: number, serverTimeUs: number): void;
  fail(error: Error): void;
  /** Tells Redis that this waiter is gone. Resolves when that was tried; never throws. */
  leave(): Promise<void>;
}

/** One wait for one lock: asks once, then listens, and looks after a lock whose holder stays silent. */
export function createWaiter(options: WaiterOptions): Waiter {
  const { link, key, id, ttlMs, random, entered, gaveUp, forgotten } = options;
  const { signal, timeoutMs } = options.wait;
  const once = timeoutMs === 0;
  const doing = `acquire lock "${key}"`;
  let waiting = true;
  let asking: Promise<void> | undefined;
  let leaving: Promise<void> | undefined;
  /** The last answer: Redis read its clock no earlier than `sentAt` of ours. */
  let answered: { sentAt: number; serverTimeUs: number } | undefined;
  /** A grant that came in while an answer was awaited. Messages are heard at once, answers a few microtasks later. */
  let early: { token: number; serverTimeUs: number } | undefined;
  /** Whether Redis may have this waiter in its queue or as the owner. */
  let known = false;
  let guard: NodeJS.Timeout | undefined;
  const deadline = setTimeout(late, once ? ttlMs : timeoutMs);
  signal?.addEventListener("abort", abort, { once: true });

  function ask() {
    if (!waiting) return void leave();
    if (asking !== undefined) return;
    if (!link.up) {
      if (once) fail(link.unreachable(doing));
      return;
    }
    clearTimeout(guard);
    known = true;
    const sentAt = performance.now();
    asking = link.scripts.request(key, id, !once).then(
      ([token, serverTimeUs, leaseLeftMs]) => {
        asking = undefined;
        if (!waiting) return;
        answered = { sentAt, serverTimeUs };
        const grant = early;
        early = undefined;
        if (token > 0) return enter(token, sentAt);
        if (grant !== undefined && grant.serverTimeUs >= serverTimeUs) return granted(grant.token, grant.serverTimeUs);
        known = !once;
        if (once) return fail(timedOut(key, timeoutMs));
        guard = setTimeout(ask, lookAgainMs(leaseLeftMs));
      },
      (error) => {
        asking = undefined;
        early = undefined;
        if (!waiting) return;
        const refused = link.classify(error, doing);
        if (refused !== undefined || once) return fail(refused ?? link.unreachable(doing));
        // A lost connection asks again as soon as it is back.
        guard = setTimeout(ask, lookAgainMs(0));
      },
    );
  }

  /** As the holder's lease ends, and 1 to 5 % of its own later: the only poll, once a lease. */
  function lookAgainMs(leaseLeftMs: number) {
    return (leaseLeftMs < 0 ? ttlMs : leaseLeftMs) + 1 + ttlMs * (0.01 + 0.04 * random());
  }

  /** A grant is of use only while it is young: this process may have stood still since, or a clock may have jumped. */
  function enter(token: number, leaseStart: number) {
    const now = performance.now();
    if (leaseStart > now + driftMs(ttlMs) || leaseStart < now - ttlMs / 2) return ask();
    stop();
    entered(token, Math.min(leaseStart, now));
  }

  function granted(token: number, serverTimeUs: number) {
    if (!waiting) return void leave();
    if (asking !== undefined) {
      early = { token, serverTimeUs };
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

  function late() {
    fail(link.up && answered !== undefined ? timedOut(key, timeoutMs) : link.unreachable(doing));
  }

  function abort() {
    fail(abortedWait(key, signal!));
  }

  function stop() {
    waiting = false;
    clearTimeout(guard);
    clearTimeout(deadline);
    signal?.removeEventListener("abort", abort);
  }

  function leave() {
    leaving ??= cancel().finally(() => {
      leaving = undefined;
    });
    return leaving;
  }

  /** Where the answer is lost, the next opening of the channel, or a grant that comes too late, tries again. */
  async function cancel() {
    // A cancel that overtook its request would leave that in the queue.
    await asking;
    if (!known) return forgotten();
    try {
      await link.scripts.cancel(key, id);
      forgotten();
    } catch (error) {
      if (link.classify(error, `leave the queue of lock "${key}"`) !== undefined) forgotten();
    }
  }

  return { key, ask, granted, fail, leave };
}
