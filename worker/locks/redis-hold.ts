import { type Held, LockError, LockLost, LockUnreachable, messageOf } from "./lock.ts";
import type { Link } from "./redis-link.ts";

export interface HoldOptions {
  readonly link: Link;
  readonly key: string;
  /** Under which Redis knows the holder. */
  readonly id: string;
  readonly fence: number;
  /** No later than Redis began to count the lease, by `performance.now()`. */
  readonly leaseStart: number;
  readonly ttlMs: number;
  readonly extend: boolean;
  /** Called when nothing is left to be done for this hold. */
  readonly ended: () => void;
}

export interface Hold extends Held {
  /** The connection is back: what failed meanwhile is tried again at once. */
  reconnected(): void;
}

/** A lease counts as lost this much before Redis ends it: clocks may differ in speed by 1 %, and timers by 2 ms. */
export const driftMs = (ttlMs: number) => ttlMs / 100 + 2;

/** The holder's side of a lease: extends it at a third of its TTL, and tells the holder when it can no longer be sure of it. */
export function createHold({ link, key, id, fence, leaseStart, ttlMs, extend, ended }: HoldOptions): Hold {
  const usableMs = ttlMs - driftMs(ttlMs);
  let expiresAt = leaseStart + usableMs;
  let extendAt = leaseStart + ttlMs / 3;
  let extending = 0;
  let extensionFailure: unknown;
  let controller: AbortController | undefined;
  let lost: LockLost | undefined;
  let release: { promise: Promise<void>; failed(error: LockError): void } | undefined;
  let timer = setTimeout(tick, delay());

  function delay() {
    const due = extend && release === undefined ? Math.min(extendAt, expiresAt) : expiresAt;
    return Math.max(1, Math.ceil(due - performance.now()));
  }

  function tick() {
    if (performance.now() >= expiresAt) return expire();
    if (extend && release === undefined && performance.now() >= extendAt) renew().catch(() => {});
    timer = setTimeout(tick, delay());
  }

  function expire() {
    if (release !== undefined) return release.failed(unanswered());
    if (lost === undefined) lose(lateReason());
  }

  function lateReason() {
    if (!extend) {
      return `it was held for longer than its TTL of ${ttlMs} ms; hold it for a shorter time, raise ttlMs or set extend`;
    }
    if (extensionFailure !== undefined) {
      return `its lease of ${ttlMs} ms ended before Redis could be reached to extend it: ${messageOf(extensionFailure)}`;
    }
    if (extending > 0)
      return `its lease of ${ttlMs} ms ended before Redis answered its extension; see why Redis is slow`;
    return `this process stood still for longer than its TTL of ${ttlMs} ms allows; raise ttlMs, or keep the event loop free`;
  }

  function lose(reason: string) {
    lost = new LockLost(`lock "${key}" was lost: ${reason}`);
    clearTimeout(timer);
    controller?.abort(lost);
    ended();
  }

  async function renew() {
    const sentAt = performance.now();
    extendAt = sentAt + ttlMs / 3;
    let mine: number;
    extending += 1;
    try {
      mine = await link.scripts.extend(key, id);
    } catch (error) {
      extensionFailure = error;
      throw link.verdict(error, `extend lock "${key}"`) ?? link.unreachable(`extend lock "${key}"`);
    } finally {
      extending -= 1;
    }
    if (lost !== undefined || release !== undefined) return;
    if (mine === 0) return lose(GONE);
    extensionFailure = undefined;
    expiresAt = Math.max(expiresAt, sentAt + usableMs);
    clearTimeout(timer);
    timer = setTimeout(tick, delay());
  }

  async function giveBack() {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const mine = await link.scripts.release(key, id);
        // After a lost answer, "not yours" is what a release that worked looks like.
        if (mine === 0 && attempt === 1) throw new LockLost(`lock "${key}" was lost before its release: ${GONE}`);
        return;
      } catch (error) {
        if (error instanceof LockError) throw error;
        const refused = link.verdict(error, `release lock "${key}"`);
        if (refused !== undefined) throw refused;
        if (!(await link.untilUp(expiresAt - performance.now()))) throw unanswered();
      }
    }
  }

  const unanswered = () =>
    new LockUnreachable(
      `${link.unreachable(`release lock "${key}"`).message}; it ends by itself with its lease of ${ttlMs} ms`,
    );

  /** Time passes while no timer can run, so whoever asks gets the answer of this moment. */
  function check() {
    if (lost === undefined && release === undefined && performance.now() >= expiresAt) expire();
  }

  return {
    key,
    fence,
    get signal() {
      check();
      if (controller === undefined) {
        controller = new AbortController();
        if (lost !== undefined) controller.abort(lost);
      }
      return controller.signal;
    },
    async extend() {
      check();
      if (release !== undefined) throw new LockLost(`lock "${key}" has been released; acquire it again`);
      if (lost === undefined) await Promise.race([renew(), aborted(this.signal)]);
      if (lost !== undefined) throw lost;
    },
    release() {
      if (release !== undefined) return release.promise;
      check();
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const knownLost = lost;
      release = { promise, failed: reject };
      // The timer stays: it ends the wait for an answer together with the lease.
      giveBack()
        .then(() => (knownLost === undefined ? resolve() : reject(knownLost)))
        .catch((error: LockError) => reject(knownLost ?? error))
        .finally(() => {
          clearTimeout(timer);
          if (knownLost === undefined) ended();
        });
      return promise;
    },
    reconnected() {
      if (extensionFailure !== undefined && release === undefined && lost === undefined) renew().catch(() => {});
    },
  };
}

const GONE = "Redis no longer has it under this holder's name (its lease ended, or Redis lost its data)";

const aborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
