import type { TlsOptions } from "./tls.ts";
import { openZooKeeperSocket, type ZooKeeperServer } from "./zookeeper.ts";
import {
  bool,
  buffer,
  errorName,
  frame,
  int,
  long,
  OPERATIONS,
  type OperationName,
  type Reader,
  readerOf,
  splitFrames,
  string,
  XID_AUTH,
  XID_EVENT,
  XID_PING,
  ZooKeeperError,
} from "./zookeeper-wire.ts";

/** A session as the server knows it; `id` is 0 before the first connection. */
export interface SessionIdentity {
  readonly id: bigint;
  readonly password: Buffer;
  /** How long the server keeps the session without hearing from it, milliseconds. */
  readonly timeoutMs: number;
}

export interface Answer<T> {
  readonly value: T;
  /** When the request was sent, by `performance.now()`: the server heard from the session no earlier. */
  readonly sentAt: number;
}

/** One TCP connection of a session. It is given up when a request is not answered in time. */
export interface Connection {
  /** Rejects with ZooKeeperError: the server's, or ConnectionLoss, after which the request may have been carried out. */
  send<T>(operation: OperationName, parts: readonly Buffer[], read: (answer: Reader) => T): Promise<Answer<T>>;
  /** Gives up the connection. */
  destroy(reason: Error): void;
}

export interface ConnectionOptions {
  readonly server: ZooKeeperServer;
  readonly tls: TlsOptions | undefined;
  readonly identity: SessionIdentity;
  /** The newest transaction that the session has seen: a server that is behind it refuses the connection. */
  readonly lastZxid: bigint;
  /** `user:password` for the scheme `digest`. */
  readonly login: string | undefined;
  /** The server has accepted the session. */
  readonly opened: (identity: SessionIdentity) => void;
  /** The server has ended the session. */
  readonly expired: () => void;
  /** A watch has fired. */
  readonly changed: (path: string) => void;
  /** Called with each answer: the session is alive since `sentAt`. */
  readonly heard: (sentAt: number, zxid: bigint) => void;
  /** Called once. `refused` if the server closed the connection without an answer to the first frame. */
  readonly closed: (reason: Error, refused: boolean) => void;
}

export function openConnection(options: ConnectionOptions): Connection {
  const { server, tls, lastZxid, login } = options;
  let { identity } = options;
  const unanswered: Request[] = [];
  let phase: "connecting" | "greeting" | "open" | "closed" = "connecting";
  let xid = 0;
  let lastSentAt = performance.now();
  let pingSentAt: number | undefined;
  let failure: Error | undefined;

  const socket = openZooKeeperSocket(server, tls, () => {
    phase = "greeting";
    const { id, password, timeoutMs } = identity;
    write(frame(int(0), long(lastZxid), int(timeoutMs), long(id), buffer(password), bool(false)));
  });
  socket.on(
    "data",
    splitFrames((bytes) => (phase === "greeting" ? greeted(bytes) : answered(bytes))),
  );
  socket.on("error", destroy);
  socket.on("close", close);
  // A server that is starting may never answer the first frame: an existing session needs time for another connection.
  const openWithinMs = identity.id === 0n ? CONNECT_MS : Math.min(CONNECT_MS, identity.timeoutMs / 3);
  const openBy = setTimeout(() => destroy(new Error(`no answer within ${Math.round(openWithinMs)} ms`)), openWithinMs);
  let watchdog: NodeJS.Timeout | undefined;

  function write(bytes: Buffer) {
    lastSentAt = performance.now();
    socket.write(bytes);
    return lastSentAt;
  }

  function greeted(bytes: Buffer) {
    clearTimeout(openBy);
    const reader = readerOf(bytes);
    reader.int();
    identity = { timeoutMs: reader.int(), id: reader.long(), password: Buffer.from(reader.buffer()) };
    if (identity.timeoutMs <= 0) {
      options.expired();
      return destroy(new ZooKeeperError("SessionExpired"));
    }
    phase = "open";
    options.heard(lastSentAt, 0n);
    if (login !== undefined)
      write(frame(int(XID_AUTH), int(OPERATIONS.auth), int(0), string("digest"), buffer(Buffer.from(login))));
    watchdog = setInterval(watch, Math.max(1, identity.timeoutMs / WATCHES_PER_TIMEOUT));
    options.opened(identity);
  }

  function answered(bytes: Buffer) {
    const reader = readerOf(bytes);
    const [id, zxid, error] = [reader.int(), reader.long(), reader.int()];
    if (id === XID_EVENT) {
      reader.int();
      reader.int();
      return options.changed(reader.string());
    }
    if (id === XID_AUTH) return error === 0 ? undefined : destroy(new ZooKeeperError(errorName(error)));
    if (id === XID_PING) {
      if (pingSentAt !== undefined) options.heard(pingSentAt, zxid);
      pingSentAt = undefined;
      return;
    }
    const request = unanswered.shift();
    if (request === undefined) return destroy(new Error("the server answered what was not asked"));
    options.heard(request.sentAt, zxid);
    request.settle(error, reader);
  }

  /** Keeps the session alive, and gives up a server that does not answer while there is time to ask another one. */
  function watch() {
    const now = performance.now();
    const oldest = Math.min(unanswered[0]?.sentAt ?? now, pingSentAt ?? now);
    // After a stall of this process, an answer may be there that has not been read yet.
    if (now - oldest > identity.timeoutMs * ANSWER_SHARE) setImmediate(giveUpIfSilent, oldest);
    if (pingSentAt === undefined && now - lastSentAt >= identity.timeoutMs / 4)
      pingSentAt = write(frame(int(XID_PING), int(OPERATIONS.ping)));
  }

  function giveUpIfSilent(since: number) {
    const still = unanswered[0]?.sentAt === since || pingSentAt === since;
    if (still) destroy(new Error(`no answer within ${Math.round(identity.timeoutMs * ANSWER_SHARE)} ms`));
  }

  function destroy(reason: Error) {
    failure ??= reason;
    socket.destroy();
  }

  function close() {
    if (phase === "closed") return;
    const refused = phase === "greeting" && failure === undefined;
    phase = "closed";
    clearTimeout(openBy);
    clearInterval(watchdog);
    const reason = failure ?? new Error("the server closed the connection");
    for (const { lost } of unanswered.splice(0)) lost(reason);
    options.closed(reason, refused);
  }

  return {
    send(operation, parts, read) {
      if (phase !== "open") return Promise.reject(new ZooKeeperError("ConnectionLoss", "", failure));
      return new Promise((resolve, reject) => {
        xid = (xid + 1) % XID_MAX;
        const sentAt = write(frame(int(xid), int(OPERATIONS[operation]), ...parts));
        unanswered.push({
          sentAt,
          settle(error, reader) {
            if (error === 0) resolve({ value: read(reader), sentAt });
            else reject(new ZooKeeperError(errorName(error)));
          },
          lost: (reason) => reject(new ZooKeeperError("ConnectionLoss", "", reason)),
        });
      });
    },
    destroy,
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

interface Request {
  readonly sentAt: number;
  settle(error: number, reader: Reader): void;
  lost(reason: Error): void;
}

const CONNECT_MS = 3_000;
const XID_MAX = 2 ** 31 - 1;
const WATCHES_PER_TIMEOUT = 12;
/** As in the Java client, which waits for an answer for two thirds of the timeout. */
const ANSWER_SHARE = 2 / 3;
