/** Samples a run from outside while it is running: the contested rows, their ledger, and both servers, once a second. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Pool } from "mysql2/promise";
import { type LedgerRow, readLedgerAfter, readStatus, sumVersions } from "../clients/mysql.ts";
import type { RunPlan } from "../plan/run-plan.ts";
import type { CoordinatorMetrics, RowState, Source } from "./metrics.ts";
import { MYSQL_SERIES } from "./server-series.ts";

export interface SamplerOptions {
  readonly mysqlPool: Pool;
  /** Reads INFO of each server. Left out where the run has no Redis. */
  readonly redis?: { readInfos(): Promise<string[]> } | undefined;
  readonly metrics: Pick<CoordinatorMetrics, "setRowState" | "setServerStatus" | "pollFailed">;
  readonly run: Pick<RunPlan, "run" | "strategy" | "ownLock">;
  readonly intervalMs?: number;
  /** A poll of one source that takes longer counts as failed. */
  readonly deadlineMs?: number;
}

export interface Sampler extends AsyncDisposable {
  /** Polls each source once, after the poll that is in progress. Never rejects; a poll takes at most `deadlineMs`. */
  poll(): Promise<void>;
  /** Ends the polling with a last poll, which sees the final state of the rows. Never rejects. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Starts to poll. A failed poll is counted in `holdfast_observer_failures_total` and does not affect the run: the verdict
 * is made from other readings.
 */
export function createSampler(options: SamplerOptions): Sampler {
  const { mysqlPool, redis, metrics, run, intervalMs = 1_000, deadlineMs = 1_000 } = options;
  const readRowState = followRows(mysqlPool, run.run);
  const unanswered = new Set<Source>();

  /** Does not ask a source whose last answer is still missing, so a server that hangs holds one connection, not many. */
  async function pollSource(source: Source, read: () => Promise<() => unknown>) {
    if (unanswered.has(source)) return metrics.pollFailed(source, run);
    unanswered.add(source);
    const answer = read().finally(() => unanswered.delete(source));
    try {
      (await withDeadline(deadlineMs, answer))();
    } catch {
      metrics.pollFailed(source, run);
    }
  }

  async function pollAll() {
    await Promise.all([
      pollSource("row", async () => {
        const state = await readRowState();
        return () => state && metrics.setRowState(run, state);
      }),
      pollSource("mysql", async () => {
        const fields = MYSQL_SERIES.map(({ field }) => field);
        const status = keepNumbers(await readStatus(mysqlPool, fields));
        return () => metrics.setServerStatus("mysql", status);
      }),
      redis &&
        pollSource("redis", async () => {
          const status = sumOf((await redis.readInfos()).map(parseRedisInfo));
          return () => metrics.setServerStatus("redis", status);
        }),
    ]);
  }

  let polls: Promise<void> = pollAll();
  const poll = () => {
    polls = polls.then(pollAll);
    return polls;
  };
  const timer = setInterval(poll, intervalMs).unref();

  return {
    poll,
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await poll();
    },
  };
}

/** Returns the fields of `INFO` that are numbers. */
export function parseRedisInfo(info: string): Map<string, number> {
  return keepNumbers(info.split(/\r?\n/).map((line) => line.split(":", 2)));
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** The series of a cluster show the sums over its primaries. */
function sumOf(statuses: readonly ReadonlyMap<string, number>[]): ReadonlyMap<string, number> {
  const [first = new Map<string, number>(), ...others] = statuses;
  return new Map(
    [...first].map(([field, value]) => [field, others.reduce((sum, other) => sum + (other.get(field) ?? 0), value)]),
  );
}

function keepNumbers(pairs: readonly (readonly (string | undefined)[])[]) {
  const known = new Map<string, number>();
  for (const [field, text] of pairs) {
    const number = Number(text);
    if (field !== undefined && text !== undefined && text !== "" && Number.isFinite(number)) known.set(field, number);
  }
  return known;
}

const PAGE_ROWS = 5_000;
const PAGES_PER_POLL_MAX = 4;

/**
 * Follows the ledger of a run. Each call reads the new rows and returns the sums so far. A row is stale when it was not
 * written from the version before its own. The money that it overwrote is the difference between the salary that the row
 * of that version wrote and the salary that this row read.
 *
 * Rows of one employee become visible in the order of `seq`; rows of different employees may not, because a transaction
 * can commit after one with a greater `seq`. Each call therefore reads again what became visible since the call before
 * last, and skips the rows that it has seen. A transaction that stays open for longer is missed, here only, and so may
 * be rows of a server that assigns `seq` in blocks.
 */
function followRows(pool: Pool, run: string) {
  const last = new Map<number, LedgerRow>();
  let newest = 0;
  let waitAtMost = 0;
  let ledgerRows = 0;
  let staleWrites = 0;
  let moneyLost = 0;

  function count(row: LedgerRow) {
    const previous = last.get(row.employee);
    if (previous !== undefined && row.seq <= previous.seq) return;
    last.set(row.employee, row);
    ledgerRows += 1;
    if (row.readVersion !== row.newVersion - 1) staleWrites += 1;
    if (previous?.newVersion === row.newVersion - 1) moneyLost += previous.newSalary - row.readSalary;
  }

  return async (): Promise<RowState | undefined> => {
    const employees = await sumVersions(pool, run);
    if (employees === undefined) return undefined;
    let from = waitAtMost;
    waitAtMost = newest;
    for (let page = 1; page <= PAGES_PER_POLL_MAX; page += 1) {
      const rows = await readLedgerAfter(pool, run, from, PAGE_ROWS);
      for (const row of rows) count(row);
      from = rows.at(-1)?.seq ?? from;
      newest = Math.max(newest, from);
      if (rows.length < PAGE_ROWS) break;
      // More rows are waiting: reading any of them twice would never catch up.
      waitAtMost = newest;
    }
    // The rows of a single employee are never late.
    if (employees.count === 1) waitAtMost = newest;
    return { version: employees.version, ledgerRows, staleWrites, moneyLost };
  };
}

async function withDeadline<T>(deadlineMs: number, answer: Promise<T>): Promise<T> {
  const cancelled = new AbortController();
  const late = sleep(deadlineMs, undefined, { signal: cancelled.signal }).then(() => {
    throw new Error(`no answer within ${deadlineMs} ms`);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    cancelled.abort();
    late.catch(() => {});
  }
}
