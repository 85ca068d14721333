/** What all locks share: how a lock is acquired, held, extended and released, and how it can fail. */

export interface Lock {
  /**
   * Waits until this caller alone holds `key`.
   * Throws LockTimeout, LockAborted, LockUnreachable or LockDenied; then nothing is held, and no other caller is
   * blocked.
   */
  acquire(key: string, options?: AcquireOptions): Promise<Held>;
  /**
   * Holds `key` while `body` runs, and always releases it, before anything that the caller does next with this lock. An
   * error of the release goes to `onReleaseFailed`; it never replaces what `body` returned or threw.
   */
  using<T>(key: string, options: AcquireOptions, body: (held: Held) => Promise<T>): Promise<T>;
  /** Ends all waits with LockAborted, and waits for the releases of `using`. Held locks stay held until released. */
  close(): Promise<void>;
}

export interface AcquireOptions {
  /** Ends the wait with LockAborted. It does not revoke a lock that is already held: see {@link Held.signal}. */
  readonly signal?: AbortSignal | undefined;
  /** How long to wait, milliseconds; 0 asks once. The default is the lock's own `timeoutMs`. */
  readonly timeoutMs?: number | undefined;
}

export interface Held {
  readonly key: string;
  /** Fencing token: grows with every holder of the key, so that a guarded write can reject an older one; 0 if none. */
  readonly fence: number;
  /** Aborted, with a LockLost as its reason, once the lock can no longer be relied on. */
  readonly signal: AbortSignal;
  /** Asks whether the lock is still held, just before a write. Throws LockLost if not. Only where a lock can be asked. */
  check?(): Promise<void>;
  /** Restarts the lease. Throws LockLost if it had ended. Does nothing if the lock has no time limit. */
  extend(): Promise<void>;
  /** Releases the lock, once. Throws LockLost if it had been lost, so that others may have held it as well. */
  release(): Promise<void>;
}

/** Options that every lock takes. */
export interface LockOptions {
  /** How long `acquire` waits by default, milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** Called when `using` could not release a lock. By default, the process emits a warning. */
  readonly onReleaseFailed?: ((error: unknown) => void) | undefined;
}

export const DEFAULT_TIMEOUT_MS = 10_000;

/** Base of all errors below. `name` distinguishes them across bundles, where `instanceof` does not. */
export class LockError extends Error {
  override readonly name: string = "LockError";
}
/** Others held the lock for the whole time that this caller was willing to wait. */
export class LockTimeout extends LockError {
  override readonly name = "LockTimeout";
}
/** The lock is no longer held, although its holder did not release it. */
export class LockLost extends LockError {
  override readonly name = "LockLost";
}
/** The caller's signal, or `close`, ended the wait. */
export class LockAborted extends LockError {
  override readonly name = "LockAborted";
}
/** The server that keeps the lock gave no usable answer. */
export class LockUnreachable extends LockError {
  override readonly name = "LockUnreachable";
}
/** The server that keeps the lock refused this user; waiting cannot help. */
export class LockDenied extends LockError {
  override readonly name = "LockDenied";
}

// --- For the implementation of locks --------------------------------------------------------------------------------

/** The options of a wait, checked and with the default filled in. */
export interface Wait {
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: number;
}

/** What each lock implements itself. */
export interface OwnLock {
  acquire(key: string, wait: Wait): Promise<Held>;
  close(): Promise<void>;
  /** Whether commands are carried out in the order of sending, so that `using` need not wait for a release. */
  readonly inOrder?: boolean;
}

/** Completes a lock: adds checks, defaults and `using`. */
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
  async function release(held: Held) {
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
        await release(held);
      }
    },
    async close() {
      await own.close();
      await Promise.all(releasing);
    },
  };
}

/** Node stores timeouts in 31 bits; a longer one would fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Throws RangeError unless `value` is a time that a timer can hold. */
export function checkMilliseconds(name: string, value: number, min = 0) {
  if (value >= min && value <= TIMER_MS_MAX) return;
  throw new RangeError(`${name} must be from ${min} to ${TIMER_MS_MAX} milliseconds, but is ${value}`);
}

export const abortedWait = (key: string, signal: AbortSignal) =>
  new LockAborted(`the wait for lock "${key}" was aborted by its caller: ${messageOf(signal.reason)}`, {
    cause: signal.reason,
  });

export const timedOut = (key: string, timeoutMs: number) =>
  new LockTimeout(
    `others held lock "${key}" for ${timeoutMs} ms; wait longer, hold it for a shorter time, or look for a holder that hangs`,
  );

export const closedWait = (key: string) =>
  new LockAborted(`the wait for lock "${key}" ended because the lock was closed; acquire before calling close()`);

/** The message; of an error without one, such as that of a host with several addresses that all refuse, its code. */
export const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message || (error as NodeJS.ErrnoException).code || String(error) : String(error);

function warn(error: unknown) {
  process.emitWarning(error instanceof Error ? error : messageOf(error));
}
