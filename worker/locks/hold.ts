import { type Held, type LockError, LockLost, LockUnreachable, messageOf } from "./lock.ts";

/** What a holder can ask of the server that keeps its lease. Both throw a LockError if there is no usable answer. */
export interface Lease {
  /** Restarts the lease; false if this holder no longer has it. */
  extend(): Promise<boolean>;
  /** Releases the lock, retrying until `deadline` by `performance.now()`; false if this holder no longer had it. */
  release(deadline: number): Promise<boolean>;
}

export interface HoldOptions {
  readonly lease: Lease;
  readonly key: string;
  readonly fence: number;
  /** No later than the moment when the server began to count the lease, by `performance.now()`. */
  readonly leaseStart: number;
  readonly ttlMs: number;
  readonly extend: boolean;
  /** Called when nothing is left to do for this hold. */
  readonly ended?: () => void;
}

export interface Hold extends Held {
  /** Retries at once an extension that failed because the server was unreachable. */
  reconnected(): void;
}

/** A lease counts as lost this long before the server ends it: clocks may differ by 1 %, and timers by 2 ms. */
export const driftMs = (ttlMs: number) => ttlMs / 100 + 2;

/** With a shorter TTL, the allowance for drift and timers would take up most of the lease. */
export const TTL_MS_MIN = 20;

/**
 * The holder's side of a lease: extends it at a third of its TTL, and aborts `signal` once the holder can no longer be
 * sure of the lock. No timer fires while a process is stalled, so reading `signal` compares the clock at that moment.
 *
 * A hold is in one of four states, given by `lost` and `release`:
 *
 * - **held** (neither is set). One timer fires at `extendAt`, or at `expiresAt` if that is earlier or nothing is
 *   extended. Each extension that the server confirms moves `expiresAt`; one that fails leaves it, and is retried a
 *   third of a TTL later or once the connection is back. Several may be in flight (`extending` counts them): the timer
 *   does not wait for them.
 * - **lost** (`lost` is set). Entered from *held* when `expiresAt` passes, or when the server answers that this holder
 *   no longer has the lease. `signal` is aborted with the reason. The state is final, but `release` may still be
 *   called: it asks the server to release, in case the lease is still there, and then rejects with the reason.
 * - **releasing** (`release` is set). Entered from *held* by `release`. The timer goes on: if no answer arrives before
 *   `expiresAt`, the release fails, and the lease ends by itself. An answer to an earlier extension is ignored.
 * - **ended**. The promise of `release` is settled: resolved if the server says that this holder had the lease.
 *
 * The callback `ended` is called once: on entering *lost*, or when the request to release is finished.
 */
export function createHold({ lease, key, fence, leaseStart, ttlMs, extend, ended = () => {} }: HoldOptions): Hold {
  const usableMs = ttlMs - driftMs(ttlMs);
  let expiresAt = leaseStart + usableMs;
  let extendAt = leaseStart + ttlMs / 3;
  /** Extensions in flight. */
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
        new LockUnreachable(`the release of lock "${key}" was not answered; its lease of ${ttlMs} ms has ended`),
      );
    } else if (lost === undefined) {
      lose(lateReason());
    }
  }

  function lateReason() {
    if (!extend) {
      return `it was held for longer than its TTL of ${ttlMs} ms; hold it for a shorter time, raise ttlMs, or set extend`;
    }
    const ended = `its lease of ${ttlMs} ms ended before it was extended`;
    if (extensionFailure !== undefined) return `${ended}: ${messageOf(extensionFailure)}`;
    if (extending > 0) return `${ended}: the extension was not answered; find out why the server is slow`;
    return `${ended}: this process was stalled; raise ttlMs, or keep the event loop free`;
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

  async function releaseLease() {
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
      // The timer stays: it ends the wait for an answer when the lease ends.
      releaseLease()
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

const GONE = "the server no longer has it under this holder's name (the lease ended, or the server lost its data)";

const aborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
