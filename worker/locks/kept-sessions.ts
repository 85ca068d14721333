/** A session of a server that ends by itself unless it is renewed. One wait or one hold uses it at a time. */
export interface KeptSession {
  readonly id: string;
  /** No later than the moment when the server began to count its TTL, by `performance.now()`. */
  readonly renewedAt: number;
  /** Restarts the TTL; false if the session has ended. Throws a LockError. */
  renew(): Promise<boolean>;
}

export interface SessionServer {
  /** Resolves to the ID of a new session. */
  create(): Promise<string>;
  /** Restarts the TTL; false if the session has ended. */
  renew(id: string): Promise<boolean>;
  /** Ends a session and all that it holds. */
  end(id: string): Promise<void>;
}

export interface KeptSessions {
  /** Returns a session that nobody uses, or a new one, renewed no longer ago than the age that the pool allows. */
  take(): Promise<KeptSession>;
  /** Returns this session, renewed if it is older than that, or a new one if it has ended. */
  fresh(session: KeptSession): Promise<KeptSession>;
  /** Keeps a session that holds nothing for the next `take`. */
  keep(session: KeptSession): void;
  /** Ends a session that may hold something. */
  end(session: KeptSession): void;
  /** Ends those that are kept, and waits until all are ended or the server does not answer. */
  close(): Promise<void>;
}

/**
 * The sessions of one client. Each wait or hold has one of its own, so that ending it ends all that an unanswered request
 * may still do. Nobody renews a session that is kept, so the server ends those that are no longer needed.
 */
export function keepSessions(server: SessionServer, maxAgeMs: number): KeptSessions {
  const kept: KeptSession[] = [];
  const ending = new Set<Promise<void>>();
  let closed = false;

  async function create(): Promise<KeptSession> {
    let renewedAt = performance.now();
    const id = await server.create();
    return {
      id,
      get renewedAt() {
        return renewedAt;
      },
      async renew() {
        const sentAt = performance.now();
        const lives = await server.renew(id);
        if (lives) renewedAt = sentAt;
        return lives;
      },
    };
  }

  async function fresh(session: KeptSession): Promise<KeptSession> {
    const isFresh = performance.now() - session.renewedAt <= maxAgeMs || (await session.renew());
    return isFresh ? session : create();
  }

  function end({ id }: KeptSession) {
    const ended: Promise<void> = server
      .end(id)
      .catch(() => {})
      .finally(() => ending.delete(ended));
    ending.add(ended);
  }

  return {
    async take() {
      const last = kept.pop();
      return last === undefined ? create() : fresh(last);
    },
    fresh,
    keep(session) {
      if (closed) end(session);
      else kept.push(session);
    },
    end,
    async close() {
      closed = true;
      for (const session of kept.splice(0)) end(session);
      await Promise.all(ending);
    },
  };
}
