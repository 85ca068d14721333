import { ETCD_KEY_PREFIX, type EtcdConnection, type EtcdSendOptions } from "../servers/etcd.ts";
import { etcdMessage, explainEtcd, isEtcdRefusal } from "../servers/etcd-errors.ts";
import type { HttpAnswer } from "../servers/http.ts";
import { LockDenied, type LockError, LockUnreachable, messageOf } from "./lock.ts";

/** What etcd says about one key in the queue of a lock. */
export interface Turn {
  /** The revision that created the key: it grows with each key of the server. */
  readonly revision: number;
  /** The key that was created just before; undefined if this one is the first. */
  readonly before: string | undefined;
  /** The revision of the answer. */
  readonly seenAt: number;
}

/** The requests of a lock. Each throws LockDenied or LockUnreachable. Leases are named by their ID. */
export interface EtcdApi {
  /** Resolves to the ID of a lease, whose TTL the server may have raised to its minimum. */
  grant(ttlSeconds: number): Promise<string>;
  /** Restarts the TTL; false if the lease has ended. */
  keepAlive(lease: string): Promise<boolean>;
  /** Ends a lease and deletes its keys, if it is there. */
  revoke(lease: string): Promise<void>;
  /** A key in the queue of a lock; `name` must be unique. */
  keyOf(lock: string, name: string): string;
  /**
   * Creates a key, unless it is there, and finds the one before it. With `onlyFirst`, creates it only if the queue is
   * empty. May be repeated after an answer was lost. Returns "ended" if the lease has ended, "others" if others are
   * before it.
   */
  enter(key: string, lease: string, onlyFirst: boolean): Promise<Turn | "ended" | "others">;
  /** Finds the key before this one; undefined if the key that `revision` created is no longer there. */
  look(key: string, revision: number): Promise<Turn | undefined>;
  /** Deletes the key that `revision` created; false if it is not there. `repeated` as in {@link HttpAnswer}. */
  leave(key: string, revision: number): Promise<{ readonly left: boolean; readonly repeated: boolean }>;
  /** Waits until a key is deleted in a revision after `seenAt`, or until the signal is aborted. */
  deleted(key: string, seenAt: number, signal: AbortSignal): Promise<void>;
  close(): void;
}

export function etcdApi(connection: EtcdConnection): EtcdApi {
  const where = `etcd at ${connection.address}`;

  async function ask(doing: string, path: string, body: object, options: EtcdSendOptions = {}): Promise<HttpAnswer> {
    let answer: HttpAnswer;
    try {
      answer = await connection.send(path, body, options);
    } catch (error) {
      throw unreachable(doing, error);
    }
    if (answer.status === 200 || isLeaseMissing(answer)) return answer;
    throw refusal(doing, etcdMessage(answer.status, answer.text));
  }

  function refusal(doing: string, message: string): LockError {
    const cause = new Error(message);
    const { fix } = explainEtcd(cause) ?? {};
    const reason = fix === undefined ? message : `${message}; ${fix}`;
    if (!isEtcdRefusal(message)) return new LockUnreachable(`${where} could not ${doing}: ${reason}`, { cause });
    const who = connection.user === undefined ? "a client without a login" : `user "${connection.user}"`;
    return new LockDenied(`${where} does not let ${who} ${doing}: ${reason}`, { cause });
  }

  const unreachable = (doing: string, cause: unknown) =>
    new LockUnreachable(
      `${where} is unreachable, so it is not possible to ${doing}: ${messageOf(cause)}; ${explainEtcd(cause)?.fix ?? "check its address and that it is running"}`,
      { cause },
    );

  return {
    async grant(ttlSeconds) {
      const { text } = await ask("create a lease", "lease/grant", { TTL: ttlSeconds });
      return (JSON.parse(text) as { ID: string }).ID;
    },
    async keepAlive(lease) {
      const doing = "extend a lease";
      const answer = await ask(doing, "lease/keepalive", { ID: lease });
      if (isLeaseMissing(answer)) return false;
      const { text } = answer;
      const { result, error } = JSON.parse(text) as KeepAliveAnswer;
      if (error !== undefined) throw refusal(doing, etcdMessage(200, text));
      return Number(result?.TTL ?? 0) > 0;
    },
    async revoke(lease) {
      await ask("end a lease", "lease/revoke", { ID: lease });
    },
    keyOf: (lock, name) => `${ETCD_KEY_PREFIX}${encodeURIComponent(lock)}/${name}`,
    async enter(key, lease, onlyFirst) {
      const doing = `acquire lock "${lockOf(key)}"`;
      const body = {
        // Every key has been created, so a range of keys without a creation is empty.
        compare: [{ target: "CREATE", create_revision: 0, ...(onlyFirst ? queueOf(key) : { key: encode(key) }) }],
        success: [{ request_put: { key: encode(key), lease } }, { request_range: lastOf(key) }],
        failure: [{ request_range: { key: encode(key), keys_only: true } }],
      };
      const answer = await ask(doing, "kv/txn", body);
      if (isLeaseMissing(answer)) return "ended";
      const { succeeded = false, responses = [], header } = JSON.parse(answer.text) as TransactionAnswer;
      if (succeeded) return turnOf(key, responses[1], header)!;
      const own = responses[0]?.response_range?.kvs?.[0];
      // An earlier attempt, whose answer was lost, has created it.
      return own === undefined ? "others" : ((await this.look(key, Number(own.create_revision))) ?? "ended");
    },
    async look(key, revision) {
      const body = { ...lastOf(key), max_create_revision: revision };
      const { text } = await ask(`acquire lock "${lockOf(key)}"`, "kv/range", body);
      const answer = JSON.parse(text) as RangeAnswer;
      return turnOf(key, { response_range: answer }, answer.header!, revision);
    },
    async leave(key, revision) {
      const body = {
        compare: [{ target: "CREATE", key: encode(key), create_revision: revision }],
        success: [{ request_delete_range: { key: encode(key) } }],
      };
      const { text, repeated = false } = await ask(`release lock "${lockOf(key)}"`, "kv/txn", body);
      return { left: (JSON.parse(text) as TransactionAnswer).succeeded === true, repeated };
    },
    async deleted(key, seenAt, signal) {
      const doing = `wait for lock "${lockOf(key)}"`;
      const body = { create_request: { key: encode(key), start_revision: seenAt + 1, filters: ["NOPUT"] } };
      let over = false;
      const onLine = (line: string) => {
        const { result, error } = JSON.parse(line) as WatchAnswer;
        // The caller looks again in any case: also when the server has ended the watch.
        over = error !== undefined || result?.canceled === true || (result?.events ?? []).length > 0;
        return over;
      };
      try {
        await ask(doing, "watch", body, { signal, onLine });
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      }
      if (!over && !signal.aborted) throw unreachable(doing, new Error("the connection was lost"));
    },
    close: connection.close,
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** Numbers of 64 bits are strings in JSON; revisions stay far below the largest exact number. */
interface Header {
  readonly revision: string;
}
interface RangeAnswer {
  readonly header?: Header;
  readonly kvs?: readonly { readonly key: string; readonly create_revision: string }[];
}
interface TransactionAnswer {
  readonly header: Header;
  readonly succeeded?: boolean;
  readonly responses?: readonly { readonly response_range?: RangeAnswer }[];
}
interface KeepAliveAnswer {
  readonly result?: { readonly TTL?: string };
  readonly error?: unknown;
}
interface WatchAnswer {
  readonly result?: { readonly canceled?: boolean; readonly events?: readonly unknown[] };
  readonly error?: unknown;
}

const encode = (text: string) => Buffer.from(text).toString("base64");

/** All keys of the lock: `0` follows the slash. */
const queueOf = (key: string) => {
  const queue = key.slice(0, key.lastIndexOf("/"));
  return { key: encode(`${queue}/`), range_end: encode(`${queue}0`) };
};

/** The last key of the queue and the one before it. */
const lastOf = (key: string) => ({
  ...queueOf(key),
  sort_target: "CREATE",
  sort_order: "DESCEND",
  limit: 2,
  keys_only: true,
});

const lockOf = (key: string) => decodeURIComponent(key.slice(ETCD_KEY_PREFIX.length, key.lastIndexOf("/")));

const isLeaseMissing = ({ text }: HttpAnswer) => text.includes("requested lease not found");

function turnOf(
  key: string,
  answer: { readonly response_range?: RangeAnswer } | undefined,
  { revision: seenAt }: Header,
  expected?: number,
): Turn | undefined {
  const [own, before] = answer?.response_range?.kvs ?? [];
  if (own === undefined || own.key !== encode(key)) return undefined;
  const revision = Number(own.create_revision);
  if (expected !== undefined && revision !== expected) return undefined;
  return {
    revision,
    before: before === undefined ? undefined : Buffer.from(before.key, "base64").toString(),
    seenAt: Number(seenAt),
  };
}
