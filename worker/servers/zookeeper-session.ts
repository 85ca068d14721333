import { explainZooKeeper } from "../server-errors.ts";
import {
  locksPath,
  type ZooKeeperAccess,
  type ZooKeeperLogin,
  type ZooKeeperVariables,
  zooKeeperAccess,
  zooKeeperAddress,
} from "./zookeeper.ts";
import { type Answer, type Connection, openConnection, type SessionIdentity } from "./zookeeper-connection.ts";
import {
  type AclEntry,
  acl,
  bool,
  buffer,
  CREATE_FLAGS,
  type CreateMode,
  int,
  isCode,
  type OperationName,
  type Reader,
  type Stat,
  string,
  ZooKeeperError,
} from "./zookeeper-wire.ts";

/**
 * One session of ZooKeeper. It survives lost connections, and ends when the server says so, when it is closed, or with an
 * error that waiting cannot cure. It is not opened again: its ephemeral nodes are gone.
 *
 * Requests reject with ZooKeeperError. After ConnectionLoss, a request may have been carried out; wait for
 * `connected` and look.
 */
export interface ZooKeeperSession {
  /** Throws unless the server has accepted the session. */
  readonly id: bigint;
  /** What the server grants, which may differ from what was asked for, milliseconds. */
  readonly timeoutMs: number;
  /** Why it has ended: a ZooKeeperError SessionExpired or AuthFailed, or the error of a connection. */
  readonly ended: Error | undefined;
  /** The last error of a connection, for messages. */
  readonly lastError: Error | undefined;
  readonly isConnected: boolean;
  /** Resolves when requests can be sent. Rejects with `ended`. */
  connected(): Promise<void>;
  create(path: string, mode: CreateMode, entries: readonly AclEntry[]): Promise<Answer<{ path: string; stat: Stat }>>;
  delete(path: string): Promise<void>;
  /** Undefined if there is no such node. */
  exists(path: string): Promise<Answer<Stat | undefined>>;
  children(path: string): Promise<Answer<string[]>>;
  /**
   * Watches a node. Resolves, once the watch is set, to what resolves when the node has changed or the connection was
   * lost; undefined if there is no such node, in which case the server keeps no watch.
   */
  watch(path: string): Promise<{ readonly changed: Promise<void> } | undefined>;
  /** Any other request. */
  request<T>(operation: OperationName, parts: readonly Buffer[], read: (answer: Reader) => T): Promise<Answer<T>>;
  /** Ends the session, so that the server deletes its ephemeral nodes at once if it can be reached. */
  close(): Promise<void>;
}

export interface SessionOptions {
  readonly timeoutMs: number;
  readonly login: ZooKeeperLogin | undefined;
  /** Called each time a connection was opened. */
  readonly opened?: () => void;
  /** Called once, when the session has ended. */
  readonly onEnd?: (reason: Error) => void;
  /** An existing session to take over, in place of a new one. */
  readonly identity?: SessionIdentity;
}

export function openSession(access: ZooKeeperAccess, options: SessionOptions): ZooKeeperSession {
  const { servers, tls } = access;
  const { login, opened = () => {}, onEnd = () => {} } = options;
  let identity = options.identity ?? { id: 0n, password: Buffer.alloc(16), timeoutMs: Math.round(options.timeoutMs) };
  let connection: Connection | undefined;
  let isConnected = false;
  let ended: Error | undefined;
  let lastError: Error | undefined;
  let lastZxid = 0n;
  let aliveAt = performance.now();
  let server = Math.floor(Math.random() * servers.length);
  let failures = 0;
  let retry: NodeJS.Timeout | undefined;
  const waiting = new Set<PromiseWithResolvers<void>>();
  const watches = new Map<string, Set<() => void>>();
  void connect();

  async function connect() {
    let text: string | undefined;
    try {
      text = login && `${login.user}:${await login.password.read()}`;
    } catch (error) {
      return end(error as Error);
    }
    if (ended !== undefined) return;
    server = (server + 1) % servers.length;
    connection = openConnection({
      server: servers[server]!,
      tls,
      identity,
      lastZxid,
      login: text,
      opened(granted) {
        identity = granted;
        isConnected = true;
        failures = 0;
        lastError = undefined;
        for (const { resolve } of waiting) resolve();
        waiting.clear();
        opened();
      },
      expired: () => end(new ZooKeeperError("SessionExpired")),
      changed: fire,
      heard(sentAt, zxid) {
        aliveAt = Math.max(aliveAt, sentAt);
        if (zxid > lastZxid) lastZxid = zxid;
      },
      closed,
    });
  }

  function closed(reason: Error, refused: boolean) {
    isConnected = false;
    connection = undefined;
    if (ended !== undefined) return;
    lastError = reason;
    // Watches are kept by the connection.
    for (const path of [...watches.keys()]) fire(path);
    if (explainZooKeeper(reason)?.final) return end(reason);
    // A server that lost its data refuses the session for ever; by now no server keeps it.
    if (refused && identity.id !== 0n && performance.now() - aliveAt > identity.timeoutMs)
      return end(new ZooKeeperError("SessionExpired"));
    failures += 1;
    const everyServerOnce = failures < servers.length;
    retry = setTimeout(connect, everyServerOnce ? 0 : RETRY_MS * (0.5 + Math.random()));
  }

  function end(reason: Error) {
    if (ended !== undefined) return;
    ended = reason;
    isConnected = false;
    clearTimeout(retry);
    for (const { reject } of waiting) reject(reason);
    waiting.clear();
    for (const path of [...watches.keys()]) fire(path);
    connection?.destroy(reason);
    onEnd(reason);
  }

  function fire(path: string) {
    const called = watches.get(path);
    watches.delete(path);
    for (const call of called ?? []) call();
  }

  function request<T>(operation: OperationName, parts: readonly Buffer[], read: (answer: Reader) => T) {
    if (ended !== undefined) return Promise.reject(ended);
    if (connection === undefined) return Promise.reject(new ZooKeeperError("ConnectionLoss", "", lastError));
    return connection.send(operation, parts, read);
  }

  return {
    get id() {
      return identity.id;
    },
    get timeoutMs() {
      return identity.timeoutMs;
    },
    get ended() {
      return ended;
    },
    get lastError() {
      return ended ?? lastError;
    },
    get isConnected() {
      return isConnected;
    },
    connected() {
      if (ended !== undefined) return Promise.reject(ended);
      if (isConnected) return Promise.resolve();
      const waiter = Promise.withResolvers<void>();
      waiting.add(waiter);
      return waiter.promise;
    },
    request,
    ...requestsBy(request),
    async watch(path) {
      const { promise: changed, resolve } = Promise.withResolvers<void>();
      const all = watches.get(path) ?? new Set();
      watches.set(path, all.add(resolve));
      try {
        // Unlike `exists`, it leaves no watch on a node that is missing.
        await request("getData", [string(path), bool(true)], () => undefined);
        return { changed };
      } catch (error) {
        all.delete(resolve);
        if (all.size === 0 && watches.get(path) === all) watches.delete(path);
        if (isCode(error, "NoNode")) return undefined;
        throw error;
      }
    },
    async close() {
      const closing = request("closeSession", [], () => undefined).catch(() => {});
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise((resolve) => {
        timer = setTimeout(resolve, CLOSE_MS);
      });
      await Promise.race([closing, late]);
      clearTimeout(timer);
      end(new ZooKeeperError("SessionExpired", "because it was closed"));
    },
  };
}

/** What a lock needs to know of the servers. */
export interface ZooKeeperClient {
  /** For messages. */
  readonly address: string;
  /** For messages; undefined if nobody logs in. */
  readonly user: string | undefined;
  /** The node below which each lock has one. */
  readonly locks: string;
  open(options: Omit<SessionOptions, "login" | "identity">): ZooKeeperSession;
}

/** Opens no connection yet. Throws an Error in one line that names the variable. */
export function zooKeeperClient(variables: ZooKeeperVariables): ZooKeeperClient {
  const access = zooKeeperAccess(variables);
  const { login } = access;
  return {
    address: zooKeeperAddress(access),
    user: login?.user,
    locks: locksPath(access),
    open: (options) => openSession(access, { ...options, login }),
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const RETRY_MS = 100;
const CLOSE_MS = 1_000;

type SendRequest = ZooKeeperSession["request"];

const requestsBy = (request: SendRequest): Pick<ZooKeeperSession, "create" | "delete" | "exists" | "children"> => ({
  create: (path, mode, entries) =>
    request(
      mode === "container" ? "createContainer" : "create2",
      [string(path), buffer(Buffer.alloc(0)), acl(entries), int(CREATE_FLAGS[mode])],
      (answer) => ({ path: answer.string(), stat: answer.stat() }),
    ),
  async delete(path) {
    await request("delete", [string(path), int(ANY_VERSION)], () => undefined);
  },
  exists: (path) =>
    request("exists", [string(path), bool(false)], (answer): Stat | undefined => answer.stat()).catch((error) => {
      if (isCode(error, "NoNode")) return { value: undefined, sentAt: performance.now() };
      throw error;
    }),
  children: (path) => request("getChildren", [string(path), bool(false)], (answer) => answer.strings()),
});

const ANY_VERSION = -1;
