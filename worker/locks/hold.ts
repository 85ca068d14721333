import { type Held, type LockError, LockLost, LockUnreachable, messageOf } from "./lock.ts";

/** What a holder can ask of those who keep its lease. Both throw a LockError where there is no usable answer. */
export interface Lease {
  /** Starts the lease anew; false if it is no longer this holder's. */
  extend(): Promise<boolean>;
  /** Gives the lock back, trying until `deadline` by `performance.now()`; false if it was no longer this holder's. */
  release(deadline: number): Promise<boolean>;
}

export interface HoldOptions {
  readonly lease: Lease;
  readonly key: string;
  readonly fence: number;
  /** No later than the keeper began to count the lease, by `performance.now()`. */
  readonly leaseStart: number;
  readonly ttlMs: number;
  readonly extend: boolean;
  /** Called when nothing is left to be done for this hold. */
  readonly ended?: () => void;
}

export interface Hold extends Held {
  /** What failed because the keeper was out of reach is tried again at once. */
  reconnected(): void;
}

/** A lease counts as lost this much before its keeper ends it: clocks may differ in speed by 1 %, and timers by 2 ms. */
export const driftMs = (ttlMs: number) => ttlMs / 100 + 2;

/** Below this the allowance for drift and timers would eat the lease. */
export const SHORTEST_TTL_MS = 20;

/**
 * The holder's side of a lease: extends it at a third of its TTL, and tells the holder when it can no longer be sure of it.
 * No timer can run while a process stands still, so whoever looks at `signal` gets the answer of that moment.
 */
export function createHold({ lease, key, fence, leaseStart, ttlMs, extend, ended = () => {} }: HoldOptions): Hold {
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
    if (release !== undefined) {
      release.failed(
        new LockUnreachable(
          `the release of lock "${key}" was not answered; its lease of ${ttlMs} ms has ended by itself`,
        ),
      );
    } else if (lost === undefined) {
      lose(lateReason());
    }
  }

  function lateReason() {
    if (!extend) {
      return `it was held for longer than its TTL of ${ttlMs} ms; hold it for a shorter time, raise ttlMs or set extend`;
    }
    const ended = `its lease of ${ttlMs} ms ended before it was extended`;
    if (extensionFailure !== undefined) return `${ended}: ${messageOf(extensionFailure)}`;
    if (extending > 0) return `${ended}: the extension was not answered; see why the server is slow`;
    return `${ended}: this process stood still; raise ttlMs, or keep the event loop free`;
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
    let mine: boolean;
    extending += 1;
    try {
      mine = await lease.extend();
    } catch (error) {
      extensionFailure = error;
      throw error;
    } finally {
      extending -= 1;
    }
    if (lost !== undefined || release !== undefined) return;
    if (!mine) return lose(GONE);
    extensionFailure = undefined;
    expiresAt = Math.max(expiresAt, sentAt + usableMs);
    clearTimeout(timer);
    timer = setTimeout(tick, delay());
  }

  async function giveBack() {
    if (!(await lease.release(expiresAt))) throw new LockLost(`lock "${key}" was lost before its release: ${GONE}`);
  }

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

const GONE = "its keeper has it no longer under this holder's name (the lease ended, or the keeper lost its data)";

const aborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
