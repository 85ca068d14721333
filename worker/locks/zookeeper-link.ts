import { explainZooKeeper } from "../server-errors.ts";
import type { ZooKeeperClient, ZooKeeperSession } from "../servers/zookeeper-session.ts";
import { LockDenied, type LockError, LockUnreachable, messageOf } from "./lock.ts";

/** The session of one lock, replaced by a new one when it has ended. */
export interface Link {
  /** Resolves when requests can be sent. Throws a LockError if waiting cannot help. */
  session(doing: string): Promise<ZooKeeperSession>;
  /** An error of a request, for its caller: undefined if the request may be sent again, over another connection or session. */
  refusal(error: unknown, doing: string): LockError | undefined;
  /** An error with the reason why ZooKeeper is unreachable, as far as it is known. */
  unreachable(doing: string): LockUnreachable;
  readonly isUp: boolean;
  close(): Promise<void>;
}

export interface LinkListener {
  /** Called each time a connection was opened. */
  up(): void;
  /** Called when a session has ended: its nodes are gone. */
  ended(session: ZooKeeperSession): void;
}

export function openLink(client: ZooKeeperClient, ttlMs: number, listener: LinkListener): Link {
  let current = open();
  let closed = false;

  function open(): ZooKeeperSession {
    const session = client.open({
      timeoutMs: ttlMs,
      opened: () => listener.up(),
      onEnd: () => listener.ended(session),
    });
    return session;
  }

  function refusal(error: unknown, doing: string): LockError | undefined {
    const code = codeOf(error);
    if (RETRIED.includes(code)) return undefined;
    const { fix = "see the log of the server" } = explainZooKeeper(error) ?? {};
    const who = client.user === undefined ? "a client that does not log in" : `user "${client.user}"`;
    const options = { cause: error };
    if (code === "NoAuth" || code === "AuthFailed")
      return new LockDenied(
        `ZooKeeper at ${client.address} does not let ${who} ${doing}: ${messageOf(error)}; ${fix}`,
        options,
      );
    if (error instanceof Error && error.name === "ZooKeeperError")
      return new LockUnreachable(
        `ZooKeeper at ${client.address} could not ${doing}: ${messageOf(error)}; ${fix}`,
        options,
      );
    return unreachable(doing, error);
  }

  function unreachable(doing: string, error: unknown = current.lastError) {
    const { fix = "check its address and that it is running" } = explainZooKeeper(error) ?? {};
    return new LockUnreachable(
      `ZooKeeper at ${client.address} is unreachable, so it is not possible to ${doing}: ${messageOf(error ?? "no answer")}; ${fix}`,
      { cause: error },
    );
  }

  return {
    async session(doing) {
      for (;;) {
        if (current.ended !== undefined && !closed) current = open();
        try {
          await current.connected();
          return current;
        } catch (error) {
          const refused = closed ? unreachable(doing, error) : refusal(error, doing);
          if (refused !== undefined) throw refused;
        }
      }
    },
    refusal,
    unreachable,
    get isUp() {
      return current.isConnected;
    },
    async close() {
      closed = true;
      await current.close();
    },
  };
}

export const codeOf = (error: unknown): string =>
  error instanceof Error && error.name === "ZooKeeperError" ? (error as Error & { readonly code: string }).code : "";

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** The connection or the session was lost. Nothing is known about the request. */
const RETRIED = ["ConnectionLoss", "SessionExpired", "SessionMoved", "ThrottledOp"];
