import { CONSUL_KEY_PREFIX, type ConsulConnection } from "../servers/consul.ts";
import { explainConsul } from "../servers/consul-errors.ts";
import type { HttpAnswer, HttpRequest } from "../servers/http.ts";
import { LockDenied, type LockError, LockUnreachable, messageOf } from "./lock.ts";

/** What a key of Consul says about its lock. */
export interface KeyState {
  /** For a blocking query: the index of the last change. */
  readonly index: number;
  /** The session that holds the lock; undefined if none does. */
  readonly session: string | undefined;
}

/**
 * The answer to an attempt to lock a key: the index of the change; or who prevents it: another session (`held`), the
 * lock-delay after a session that ended while it held the lock (`delayed`), or the end of this session (`ended`).
 */
export type LockAnswer = number | "held" | "delayed" | "ended";

/** The requests of a lock. Each throws LockDenied or LockUnreachable, and `read` also the reason of its signal. */
export interface ConsulApi {
  /** `host:port` of each host, for messages. */
  readonly address: string;
  /** Creates a session without health checks that ends by its TTL. Returns its ID. */
  createSession(ttlMs: number, lockDelayMs: number): Promise<string>;
  /** Restarts the TTL; false if the session has ended. */
  renewSession(session: string): Promise<boolean>;
  /** A key that the session holds is then free after the lock-delay. */
  destroySession(session: string): Promise<void>;
  /** Does nothing but return a new index if this session holds the lock already. */
  lock(key: string, session: string): Promise<LockAnswer>;
  /** Deletes the key if this session holds its lock, without a lock-delay; false if it does not hold it. */
  unlock(key: string, session: string): Promise<boolean>;
  /** With `change`, waits until the key has changed since `change.since`, for no longer than `change.forMs`. */
  read(key: string, change?: { since: number; forMs: number; signal: AbortSignal }): Promise<KeyState>;
  close(): void;
}

export function consulApi(connection: ConsulConnection): ConsulApi {
  const { address } = connection;

  /** Sends a request; `expected` are statuses besides 200 whose meaning the caller knows. */
  async function ask(doing: string, request: HttpRequest, ...expected: number[]): Promise<HttpAnswer> {
    let answer: HttpAnswer;
    try {
      answer = await connection.send(request);
    } catch (error) {
      if (request.signal?.aborted) throw request.signal.reason;
      throw failure(address, doing, error);
    }
    if (answer.status === 200 || expected.includes(answer.status)) return answer;
    throw refusal(address, doing, answer);
  }

  async function change(key: string, doing: string, operations: readonly object[]): Promise<TransactionAnswer> {
    const body = operations.map((operation) => ({ KV: { Key: CONSUL_KEY_PREFIX + key, ...operation } }));
    const answer = await ask(doing, { method: "PUT", path: "txn", body }, 409);
    const { Results, Errors } = JSON.parse(answer.text) as TransactionAnswer;
    const [first] = Errors ?? [];
    // The transaction reports a missing right as an error of an operation, with the status of a conflict.
    if (first !== undefined && /Permission denied/.test(first.What))
      throw refusal(address, doing, { status: 403, text: first.What });
    return { Results, Errors };
  }

  return {
    address,
    async createSession(ttlMs, lockDelayMs) {
      const body = {
        Name: "holdfast",
        // A failed health check would end the session at once, whatever its holder's clock says.
        NodeChecks: [],
        TTL: `${ttlMs}ms`,
        LockDelay: `${lockDelayMs}ms`,
        Behavior: "delete",
      };
      const { text } = await ask("create a session", { method: "PUT", path: "session/create", body });
      return (JSON.parse(text) as { ID: string }).ID;
    },
    async renewSession(session) {
      const renew = () => ask("renew a session", { method: "PUT", path: `session/renew/${session}` }, 404);
      if ((await renew()).status === 200) return true;
      // A server that has just started knows no session until it has applied its log. A consistent read waits for that.
      const path = `session/info/${session}?consistent`;
      const { text } = await ask("read a session", { method: "GET", path });
      const lives = (JSON.parse(text) as unknown[] | null)?.length === 1;
      return lives && (await renew()).status === 200;
    },
    async destroySession(session) {
      await ask("destroy a session", { method: "PUT", path: `session/destroy/${session}` });
    },
    async lock(key, session) {
      const doing = `acquire lock "${key}"`;
      const { Results, Errors } = await change(key, doing, [{ Verb: "lock", Session: session, Value: "" }]);
      const [first] = Errors ?? [];
      if (first === undefined) return Results![0]!.KV.ModifyIndex;
      if (/already held/.test(first.What)) return "held";
      if (/lock delay/.test(first.What)) return "delayed";
      if (/invalid session/.test(first.What)) return "ended";
      throw refusal(address, doing, { status: 409, text: first.What });
    },
    async unlock(key, session) {
      const doing = `release lock "${key}"`;
      const { Errors } = await change(key, doing, [{ Verb: "check-session", Session: session }, { Verb: "delete" }]);
      const [first] = Errors ?? [];
      if (first === undefined) return true;
      if (/failed (to check session|session check)/.test(first.What)) return false;
      throw refusal(address, doing, { status: 409, text: first.What });
    },
    async read(key, changed) {
      const path = `kv/${CONSUL_KEY_PREFIX}${key.split("/").map(encodeURIComponent).join("/")}`;
      const request: HttpRequest =
        changed === undefined
          ? // For the same reason as in renewSession.
            { method: "GET", path: `${path}?consistent` }
          : {
              method: "GET",
              path: `${path}?index=${changed.since}&wait=${Math.ceil(changed.forMs)}ms`,
              // The server adds up to a sixteenth to the wait.
              timeoutMs: changed.forMs * (1 + 1 / 16) + ANSWER_MS,
              signal: changed.signal,
            };
      const { status, headers, text } = await ask(`read lock "${key}"`, request, 404);
      const [entry] = status === 404 ? [] : (JSON.parse(text) as { Session?: string }[]);
      const index = Number(headers["x-consul-index"]);
      if (!(index > 0)) throw refusal(address, `read lock "${key}"`, { status, text: "no header X-Consul-Index" });
      return { index, session: entry?.Session };
    },
    close: connection.close,
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** How long an answer may take in addition to the wait of a blocking query. */
const ANSWER_MS = 5_000;

interface TransactionAnswer {
  readonly Results: readonly { readonly KV: { readonly ModifyIndex: number } }[] | null;
  readonly Errors: readonly { readonly OpIndex: number; readonly What: string }[] | null;
}

function refusal(address: string, doing: string, { status, text }: Pick<HttpAnswer, "status" | "text">): LockError {
  const cause = new Error(`${status} ${text.trim().slice(0, 200)}`);
  const { fix } = explainConsul(cause) ?? {};
  const advice = fix === undefined ? "" : `; ${fix}`;
  if (status === 401 || status === 403)
    return new LockDenied(`Consul at ${address} does not let this token ${doing}: ${cause.message}${advice}`, {
      cause,
    });
  return new LockUnreachable(`Consul at ${address} could not ${doing}: ${cause.message}${advice}`, { cause });
}

const failure = (address: string, doing: string, cause: unknown) =>
  new LockUnreachable(
    `Consul at ${address} is unreachable, so it is not possible to ${doing}: ${messageOf(cause)}; ${explainConsul(cause)?.fix ?? "check its address and that it is running"}`,
    { cause },
  );
