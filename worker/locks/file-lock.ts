import { createHash } from "node:crypto";
import { setMaxListeners } from "node:events";
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import {
  checkMilliseconds,
  completeLock,
  type Held,
  type Lock,
  LockDenied,
  LockError,
  type LockOptions,
  LockTimeout,
  LockUnreachable,
  messageOf,
  timedOut,
} from "./lock.ts";
import { createMemoryLock } from "./memory-lock.ts";
import { poll } from "./polling.ts";

export interface FileLockOptions extends LockOptions {
  /** Where the lock files are. All processes that share the lock must see the same folder of the same file system. */
  readonly folder: string;
  /** Milliseconds between two attempts, on average; default 2. */
  readonly pollMs?: number | undefined;
  /** Uniform in [0, 1), for the time between two attempts. */
  readonly random?: (() => number) | undefined;
}

/**
 * A lock among the processes that share a file system. Node has no flock, so the lock is the one that SQLite takes on a
 * file before it writes: a byte-range lock of the kernel (fcntl), which ends with its process. So it is not a lease: a
 * holder that is stalled keeps it, a holder that dies loses it at once, and no file ever has to be declared stale.
 *
 * Files made with O_EXCL, or folders with a heartbeat, have to be declared stale after a crash, and two processes that
 * do so at the same time can remove each other's new lock. On network file systems the lock is as good as their fcntl.
 *
 * A waiting process must first lock a second file, the turnstile. So a process that has just released the lock cannot
 * overtake the next one, and only one process polls at a time. Within a process, the loops queue in memory.
 */
export function createFileLock(options: FileLockOptions): Lock {
  const { folder, pollMs = 2, random = Math.random } = options;
  checkMilliseconds("pollMs", pollMs, 1);
  const local = createMemoryLock(options);
  const files = new Map<string, LockFile>();
  const closing = new AbortController();
  setMaxListeners(0, closing.signal);
  useFile(folder, () => mkdirSync(folder, { recursive: true }));

  function fileOf(key: string, suffix: string) {
    // A key may contain characters that a file name may not.
    const path = join(folder, `${createHash("sha256").update(key).digest("hex").slice(0, 32)}.${suffix}`);
    const file = files.get(path) ?? openLockFile(path);
    files.set(path, file);
    return file;
  }

  function held(key: string, file: LockFile, inProcess: Held): Held {
    let released = false;
    return {
      ...inProcess,
      key,
      async release() {
        if (released) return;
        released = true;
        file.unlock();
        if (closing.signal.aborted) file.close();
        await inProcess.release();
      },
    };
  }

  return completeLock(options, {
    async acquire(key, { signal, timeoutMs }) {
      const deadline = performance.now() + timeoutMs;
      const inProcess = await local.acquire(key, { signal, timeoutMs });
      const take = (file: LockFile) => {
        const left = timeoutMs === 0 ? 0 : Math.max(1, deadline - performance.now());
        return poll(key, { signal, timeoutMs: left }, closing.signal, {
          attempt: async () => (file.tryLock() ? file : undefined),
          undo: () => file.unlock(),
          delayMs: () => pollMs * (0.5 + random()),
        });
      };
      try {
        const turnstile = await take(fileOf(key, "next"));
        try {
          return held(key, await take(fileOf(key, "lock")), inProcess);
        } finally {
          turnstile.unlock();
        }
      } catch (error) {
        await inProcess.release();
        throw error instanceof LockTimeout ? timedOut(key, timeoutMs) : error;
      }
    },
    async close() {
      closing.abort();
      await local.close();
      for (const file of files.values()) if (!file.locked) file.close();
    },
  });
}

// --- One file -------------------------------------------------------------------------------------------------------

interface LockFile {
  readonly locked: boolean;
  /** False if another process has it. Throws LockUnreachable or LockDenied. */
  tryLock(): boolean;
  unlock(): void;
  close(): void;
}

function openLockFile(path: string): LockFile {
  let file = open();
  let locked = false;

  function open() {
    return useFile(path, () => {
      const database = new DatabaseSync(path, { timeout: 0 });
      const begin = database.prepare("BEGIN IMMEDIATE");
      const rollback = database.prepare("ROLLBACK");
      return { database, begin, rollback, inode: statSync(path).ino };
    });
  }

  return {
    get locked() {
      return locked;
    },
    tryLock() {
      return useFile(path, () => {
        try {
          file.begin.run();
        } catch (error) {
          if (sqliteCode(error) === SQLITE_BUSY) return false;
          throw error;
        }
        locked = statSync(path, { throwIfNoEntry: false })?.ino === file.inode;
        if (locked) return true;
        // Somebody has deleted the file: other processes would lock a new file of the same name.
        file.database.close();
        file = open();
        return false;
      });
    },
    unlock() {
      locked = false;
      file.rollback.run();
    },
    close() {
      if (file.database.isOpen) file.database.close();
    },
  };
}

/** Primary result codes of SQLite, sqlite.org/rescode.html. */
const SQLITE_PERM = 3;
const SQLITE_BUSY = 5;
const SQLITE_READONLY = 8;

const sqliteCode = (error: unknown) =>
  error instanceof Error && "errcode" in error ? Number(error.errcode) & 0xff : undefined;

function useFile<T>(path: string, use: () => T): T {
  try {
    return use();
  } catch (error) {
    if (error instanceof LockError) throw error;
    const denied =
      [SQLITE_PERM, SQLITE_READONLY].includes(sqliteCode(error) ?? 0) || /EACCES|EPERM|EROFS/.test(messageOf(error));
    const text = `${path} cannot be used for locking: ${messageOf(error)}`;
    throw denied
      ? new LockDenied(`${text}; make it writable for this user`, { cause: error })
      : new LockUnreachable(`${text}; it must be in a folder on a file system that supports locks`, { cause: error });
  }
}
