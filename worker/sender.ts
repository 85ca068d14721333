/**
 * How statements are sent: those that belong together in one round trip, or each in a round trip of its own.
 *
 * On a server of a Galera cluster each is sent by itself. There, a COMMIT in the same round trip as other statements can
 * be acknowledged although the cluster has rejected the transaction and rolled it back.
 */
import type { PoolConnection, RowDataPacket } from "mysql2/promise";
import { isCommitRefused, rejected, unanswered } from "./outcome.ts";

export interface Statement {
  readonly sql: string;
  readonly values?: readonly unknown[];
  /** It may commit: without an answer, it is unknown whether it did. */
  readonly commits?: true;
}

export interface SenderOptions {
  readonly statementTimeoutMs: number;
  /** By default decided for each connection: `separate` where the server belongs to a Galera cluster. */
  readonly sending?: Sending | undefined;
  /** Called with the name of each server of a Galera cluster that a connection leads to. */
  readonly onGalera?: ((server: string) => void) | undefined;
}

export const SENDINGS = ["batched", "separate"] as const;
export type Sending = (typeof SENDINGS)[number];

export interface Sender {
  /** Sends one statement, which may wait for others for `waitMs` in addition to the timeout. Throws OperationError. */
  send(connection: PoolConnection, statement: Statement, waitMs?: number): Promise<unknown>;
  /** Returns one answer for each statement. Throws OperationError. */
  sendAll(connection: PoolConnection, statements: readonly Statement[]): Promise<unknown[]>;
}

export function createSender({ statementTimeoutMs, sending, onGalera }: SenderOptions): Sender {
  const decided = new WeakMap<object, Sending>();

  async function query(connection: PoolConnection, { sql, values = [] }: Statement, waitMs = 0): Promise<unknown> {
    const [answer] = await connection.query({ sql, values: [...values], timeout: statementTimeoutMs + waitMs });
    return answer;
  }

  /** Decided when a connection is first used: after a lost connection, the pool may connect to another server. */
  async function sendingOf(connection: PoolConnection): Promise<Sending> {
    const known = decided.get(connection.connection);
    if (known !== undefined) return known;
    const server = await prepareForGalera((sql) => query(connection, { sql })).catch(rethrowRejected);
    if (server !== undefined) onGalera?.(server);
    const chosen = sending ?? (server === undefined ? "batched" : "separate");
    decided.set(connection.connection, chosen);
    return chosen;
  }

  async function send(connection: PoolConnection, statement: Statement, waitMs?: number): Promise<unknown> {
    await sendingOf(connection);
    return query(connection, statement, waitMs).catch(statement.commits ? rethrowUnlessRefused : rethrowRejected);
  }

  return {
    send,
    async sendAll(connection, statements) {
      if (statements.length === 1) return [await send(connection, statements[0]!)];
      const answers: unknown[] = [];
      if ((await sendingOf(connection)) === "separate") {
        for (const statement of statements) answers.push(await send(connection, statement));
        return answers;
      }
      return (await send(connection, {
        sql: statements.map(({ sql }) => sql).join("; "),
        values: statements.flatMap(({ values = [] }) => values),
        ...(statements.some(({ commits }) => commits) ? { commits: true } : {}),
      })) as unknown[];
    },
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/**
 * Returns the name of the server if it belongs to a Galera cluster. If so, each read of this connection waits until its
 * server has applied what the cluster had committed when the read began: with a lock outside the database, a holder must
 * read what the previous holder wrote on any server.
 */
async function prepareForGalera(query: (sql: string) => Promise<unknown>): Promise<string | undefined> {
  // Empty on a server that knows no wsrep.
  const [found] = (await query("SHOW SESSION VARIABLES LIKE 'wsrep_on'")) as RowDataPacket[];
  if (found?.Value !== "ON") return undefined;
  await query("SET SESSION wsrep_sync_wait = 1");
  const [row] = (await query("SELECT CONCAT(@@hostname, ':', @@port) AS name")) as RowDataPacket[];
  return String(row?.name);
}

/** Nothing was committed: either the server answered with an error, or the transaction ends with its connection. */
const rethrowRejected = (error: unknown): never => {
  throw rejected(error);
};

const rethrowUnlessRefused = (error: unknown): never => {
  throw isCommitRefused(error) ? rejected(error) : unanswered(error);
};
