/** What all locks share: how one is taken, held, extended and given back, and how it can fail. */

export interface Lock {
  /**
   * Waits until this caller alone holds `key`.
   * Throws LockTimeout, LockAborted, LockUnreachable or LockDenied; then nothing is held and nobody waits behind it.
   */
  acquire(key: string, options?: AcquireOptions): Promise<Held>;
  /**
   * Holds `key` while `body` runs and always gives it back; what the caller does next on this lock comes after that.
   * A failed release goes to `onReleaseFailed`, never over what `body` returned or threw.
   */
  using<T>(key: string, options: AcquireOptions, body: (held: Held) => Promise<T>): Promise<T>;
  /** Ends all waiting with LockAborted, and waits for the releases of `using`. What is held stays held until released. */
  close(): Promise<void>;
}

export interface AcquireOptions {
  /** Ends the wait with LockAborted. It does not take back a lock that is already held: see {@link Held.signal}. */
  readonly signal?: AbortSignal | undefined;
  /** How long to wait, milliseconds; 0 asks once. The default is the lock's own `timeoutMs`. */
  readonly timeoutMs?: number | undefined;
}

export interface Held {
  readonly key: string;
  /** Grows with every holder of the key, so that a guarded write can refuse an older one; 0 where the lock has none. */
  readonly fence: number;
  /** Aborted, with a LockLost as its reason, once the lock can no longer be relied on. */
  readonly signal: AbortSignal;
  /** Starts the lease anew. Throws LockLost if it had ended; does nothing where holding has no time limit. */
  extend(): Promise<void>;
  /** Gives the lock back, once. Throws LockLost if it had been lost, so that others may have been inside as well. */
  release(): Promise<void>;
}

/** Options that every lock takes. */
export interface LockOptions {
  /** How long `acquire` waits unless told otherwise, milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** Told of a lock that `using` could not give back. Without it, the process emits a warning. */
  readonly onReleaseFailed?: ((error: unknown) => void) | undefined;
}

export const DEFAULT_TIMEOUT_MS = 10_000;

/** The base of all errors below; `name` tells them apart across bundles. */
export class LockError extends Error {
  override readonly name: string = "LockError";
}
/** Others held the lock for as long as this caller was willing to wait. */
export class LockTimeout extends LockError {
  override readonly name = "LockTimeout";
}
/** The lock was held and is held no longer, although its holder did not release it. */
export class LockLost extends LockError {
  override readonly name = "LockLost";
}
/** The caller's signal, or `close`, ended the wait. */
export class LockAborted extends LockError {
  override readonly name = "LockAborted";
}
/** Whoever keeps the lock gave no usable answer. */
export class LockUnreachable extends LockError {
  override readonly name = "LockUnreachable";
}
/** Whoever keeps the lock refused this user; waiting cannot help. */
export class LockDenied extends LockError {
  override readonly name = "LockDenied";
}

// --- For those who write a lock -------------------------------------------------------------------------------------

/** A wait as the lock sees it: the options checked and the default filled in. */
export interface Wait {
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: number;
}

/** What is each lock's own. */
export interface OwnLock {
  acquire(key: string, wait: Wait): Promise<Held>;
  close(): Promise<void>;
  /** Whether what is sent later is done later, so that nobody need wait for the answer to a release. Default false. */
  readonly inOrder?: boolean;
}

/** Completes a lock from what is its own. */
export function completeLock(options: LockOptions, own: OwnLock): Lock {
  const { timeoutMs: defaultTimeoutMs = DEFAULT_TIMEOUT_MS, onReleaseFailed = warn } = options;
  checkMilliseconds("timeoutMs", defaultTimeoutMs);

  async function acquire(key: string, { signal, timeoutMs = defaultTimeoutMs }: AcquireOptions = {}): Promise<Held> {
    if (key === "") throw new RangeError("the key of a lock must not be empty");
    checkMilliseconds("timeoutMs", timeoutMs);
    if (signal?.aborted) throw abortedWait(key, signal);
    return own.acquire(key, { signal, timeoutMs });
  }

  const releasing = new Set<Promise<void>>();
  async function giveBack(held: Held) {
    const released: Promise<void> = held
      .release()
      .catch(onReleaseFailed)
      .finally(() => releasing.delete(released));
    releasing.add(released);
    if (!own.inOrder) await released;
  }

  return {
    acquire,
    async using(key, waitOptions, body) {
      const held = await acquire(key, waitOptions);
      try {
        return await body(held);
      } finally {
        await giveBack(held);
      }
    },
    async close() {
      await own.close();
      await Promise.all(releasing);
    },
  };
}

/** Node's timers hold 31 bits; anything longer would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Throws RangeError unless `value` is a time that a timer can keep. */
export function checkMilliseconds(name: string, value: number, least = 0) {
  if (value >= least && value <= LONGEST_TIMER_MS) return;
  throw new RangeError(`${name} must be from ${least} to ${LONGEST_TIMER_MS} milliseconds, but is ${value}`);
}

export const abortedWait = (key: string, signal: AbortSignal) =>
  new LockAborted(`the wait for lock "${key}" was aborted by its caller: ${messageOf(signal.reason)}`, {
    cause: signal.reason,
  });

export const timedOut = (key: string, timeoutMs: number) =>
  new LockTimeout(
    `lock "${key}" stayed with others for ${timeoutMs} ms; wait longer, hold it for a shorter time, or look for a holder that hangs`,
  );

export const closedWait = (key: string) =>
  new LockAborted(`the wait for lock "${key}" ended because the lock was closed; acquire before calling close()`);

export const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

function warn(error: unknown) {
  process.emitWarning(error instanceof Error ? error : messageOf(error));
}
