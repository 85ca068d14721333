import type { Redis } from "ioredis";
import { LockDenied, type LockError } from "./lock.ts";
import { refusal, unreachable as unreachableBecause } from "./redis-errors.ts";
import { grantChannel, type LockScripts, lockScripts } from "./redis-scripts.ts";

/** One client's link to Redis: its scripts, and the channel on which Redis announces grants to it, kept open. */
export interface Link {
  readonly scripts: LockScripts;
  /** Whether grants can arrive. */
  readonly up: boolean;
  /** Opens the channel now, unless it is being opened. Failures go to the listener. */
  open(): void;
  /** Resolves to false if the channel was not open `timeoutMs` later. */
  untilUp(timeoutMs: number): Promise<boolean>;
  /** The error that a failed command means for its sender; undefined if only the connection was lost. */
  classify(error: unknown, doing: string): LockError | undefined;
  /** An error with the reason why Redis is unreachable, as far as it is known. */
  unreachable(doing: string): LockError;
  close(): Promise<void>;
}

export interface LinkListener {
  granted(id: string, token: number, serverTimeUs: number): void;
  /** Called when the channel was opened or reopened. Grants may have been missed. */
  up(): void;
  /** Called when waiting cannot help any more. */
  failed(error: LockError): void;
}

export function openLink(connection: Redis, client: string, listener: LinkListener): Link {
  const channel = grantChannel(client);
  const scripts = lockScripts(connection);
  const upWaiters = new Set<(up: boolean) => void>();
  let up = false;
  let opening = false;
  let closed = false;
  let lastError: unknown;

  async function open() {
    if (up || opening || closed) return;
    if (connection.status === "end") return listener.failed(unreachable("wait for a lock"));
    // While ioredis reconnects, "ready" opens the channel. A refused login does not change by waiting.
    if (connection.status !== "ready") {
      if (connection.status === "wait") connection.connect().catch(() => {});
      const denied = classify(lastError, "log in");
      if (denied instanceof LockDenied) listener.failed(denied);
      return;
    }
    opening = true;
    try {
      await connection.ssubscribe(channel);
      up = true;
      lastError = undefined;
    } catch (error) {
      const refused = classify(error, "subscribe to its grants");
      if (refused !== undefined) listener.failed(refused);
      return;
    } finally {
      opening = false;
    }
    for (const waiter of upWaiters) waiter(true);
    listener.up();
  }

  function classify(error: unknown, doing: string): LockError | undefined {
    const refused = refusal(connection, error, doing);
    if (refused === undefined) lastError ??= error;
    return refused;
  }

  const unreachable = (doing: string) => unreachableBecause(connection, lastError, doing);

  const events = {
    ready: () => void open(),
    close: () => {
      up = false;
    },
    end: () => listener.failed(unreachable("wait for a lock")),
    // A refusal is the only permanent error of a connection.
    error(error: unknown) {
      lastError = error;
      const denied = classify(error, "log in");
      if (denied instanceof LockDenied) listener.failed(denied);
    },
    // The slot of the channel has left this node; the next connection finds the node that has it now.
    moved: () => {
      up = false;
      connection.disconnect(true);
    },
    smessage: (from: string, message: string) => {
      if (from !== channel) return;
      // The id of a waiter may contain spaces: in a cluster, the key is a part of it.
      const [, id, token, serverTimeUs] = /^(.+) (\d+) (\d+)$/s.exec(message) ?? [];
      listener.granted(id!, Number(token), Number(serverTimeUs));
    },
  };
  for (const [event, handler] of Object.entries(events)) connection.on(event, handler);

  return {
    scripts,
    get up() {
      return up;
    },
    open: () => void open(),
    untilUp(timeoutMs) {
      if (up) return Promise.resolve(true);
      return new Promise((resolve) => {
        const done = (result: boolean) => {
          clearTimeout(timer);
          upWaiters.delete(done);
          resolve(result);
        };
        const timer = setTimeout(done, Math.max(0, timeoutMs), false);
        upWaiters.add(done);
        void open();
      });
    },
    classify,
    unreachable,
    async close() {
      closed = true;
      up = false;
      for (const waiter of upWaiters) waiter(false);
      for (const [event, handler] of Object.entries(events)) connection.off(event, handler);
      if (connection.status === "ready") await connection.sunsubscribe(channel).catch(() => {});
    },
  };
}
