import { abortedWait, closedWait, completeLock, type Held, type Lock, type LockOptions, timedOut } from "./lock.ts";

/** A mutex for each key inside this process, first come first served. It does not exclude other processes. */
export function createMemoryLock(options: LockOptions = {}): Lock {
  /** A key is present while it is held, with its waiters in the order of arrival. */
  const queues = new Map<string, Set<Waiter>>();

  function release(key: string) {
    const queue = queues.get(key)!;
    const [next] = queue;
    if (next === undefined) {
      queues.delete(key);
      return;
    }
    queue.delete(next);
    next.granted();
  }

  function held(key: string): Held {
    let released = false;
    return {
      key,
      fence: 0,
      signal: new AbortController().signal,
      extend: async () => {},
      async release() {
        if (released) return;
        released = true;
        release(key);
      },
    };
  }

  return completeLock(options, {
    async acquire(key, { signal, timeoutMs }) {
      const queue = queues.get(key);
      if (queue === undefined) {
        queues.set(key, new Set());
        return held(key);
      }
      if (timeoutMs === 0) throw timedOut(key, timeoutMs);
      return new Promise((resolve, reject) => {
        const waiter: Waiter = {
          granted() {
            stopWaiting();
            resolve(held(key));
          },
          refused(error) {
            stopWaiting();
            reject(error);
          },
          closed: () => waiter.refused(closedWait(key)),
        };
        const aborted = () => waiter.refused(abortedWait(key, signal!));
        const timer = setTimeout(() => waiter.refused(timedOut(key, timeoutMs)), timeoutMs);
        const stopWaiting = () => {
          queue.delete(waiter);
          clearTimeout(timer);
          signal?.removeEventListener("abort", aborted);
        };
        signal?.addEventListener("abort", aborted, { once: true });
        queue.add(waiter);
      });
    },
    async close() {
      for (const queue of queues.values()) for (const waiter of queue) waiter.closed();
    },
  });
}

interface Waiter {
  granted(): void;
  refused(error: Error): void;
  closed(): void;
}
