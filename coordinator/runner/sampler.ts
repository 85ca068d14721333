/** Looks at a run from outside while it is on: the contested rows, their ledger, and both servers, once a second. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import type { Pool, RowDataPacket } from "mysql2/promise";
import type { RunPlan } from "../plan/run-plan.ts";
import type { CoordinatorMetrics, RowState, Source } from "./metrics.ts";
import { MYSQL_SERIES } from "./server-series.ts";

export interface SamplerOptions {
  readonly mysqlPool: Pool;
  /** Logged in as the user `monitor`, which may use INFO and nothing else. Left out where the run has no Redis. */
  readonly redis?: Redis | undefined;
  readonly metrics: Pick<CoordinatorMetrics, "setRowState" | "setServerStatus" | "pollFailed">;
  readonly run: Pick<RunPlan, "run" | "strategy">;
  readonly intervalMs?: number;
  /** A poll of one source that takes longer counts as failed. */
  readonly deadlineMs?: number;
}

export interface Sampler extends AsyncDisposable {
  /** Polls each source once, after the poll that is under way. Never rejects; a poll takes `deadlineMs` at most. */
  poll(): Promise<void>;
  /** Ends the polling with a last poll, so that the final state of the rows is seen. Never rejects. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Starts to poll. What goes wrong here is counted in `holdfast_observer_failures_total` and never reaches the run: the
 * verdict is made from other readings.
 */
export function createSampler(options: SamplerOptions): Sampler {
  const { mysqlPool, redis, metrics, run, intervalMs = 1_000, deadlineMs = 1_000 } = options;
  const nextRowState = followRows(mysqlPool, run.run);
  const unanswered = new Set<Source>();

  /** A source that still owes an answer is not asked again, so a hanging server holds one connection, not many. */
  async function pollSource(source: Source, read: () => Promise<() => unknown>) {
    if (unanswered.has(source)) return metrics.pollFailed(source, run);
    unanswered.add(source);
    const answer = read().finally(() => unanswered.delete(source));
    try {
      (await within(deadlineMs, answer))();
    } catch {
      metrics.pollFailed(source, run);
    }
  }

  async function pollAll() {
    await Promise.all([
      pollSource("row", async () => {
        const state = await nextRowState();
        return () => state && metrics.setRowState(run, state);
      }),
      pollSource("mysql", async () => {
        const status = await readMysqlStatus(mysqlPool);
        return () => metrics.setServerStatus("mysql", status);
      }),
      redis &&
        pollSource("redis", async () => {
          const status = parseRedisInfo(await redis.info());
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

/** The fields of `INFO` that are numbers. */
export function parseRedisInfo(info: string): Map<string, number> {
  return numbers(info.split(/\r?\n/).map((line) => line.split(":", 2)));
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

async function readMysqlStatus(pool: Pool) {
  const fields = MYSQL_SERIES.map(({ field }) => field);
  const sql = "SHOW GLOBAL STATUS WHERE Variable_name IN (?)";
  const [rows] = await pool.query<RowDataPacket[]>(sql, [fields]);
  return numbers(rows.map((row) => [row.Variable_name, row.Value]));
}

function numbers(pairs: readonly (readonly (string | undefined)[])[]) {
  const known = new Map<string, number>();
  for (const [field, text] of pairs) {
    const number = Number(text);
    if (field !== undefined && text !== undefined && text !== "" && Number.isFinite(number)) known.set(field, number);
  }
  return known;
}

const PAGE = 5_000;
const PAGES_PER_POLL = 4;

interface LedgerRow extends RowDataPacket {
  seq: number;
  employee: number;
  op: number;
  readOp: number;
  readSalary: number;
  newSalary: number;
}

/**
 * Follows the ledger of a run: each call reads the rows that are new and returns the sums so far. A row is stale when it
 * names another operation as the one it read than the one before it on the same employee, and what it overwrote is the
 * difference between the salary there and the salary it read.
 *
 * Rows of one employee appear in the order of `seq`, rows of two may not: a transaction can commit after one with a
 * greater `seq`. So each call reads again what came since the call before last and skips what it has seen. A transaction
 * that takes longer than that is missed, here only.
 */
function followRows(pool: Pool, run: string) {
  const last = new Map<number, LedgerRow>();
  let newest = 0;
  let settled = 0;
  let ledgerRows = 0;
  let staleWrites = 0;
  let moneyLost = 0;

  function take(row: LedgerRow) {
    const before = last.get(row.employee);
    if (before !== undefined && row.seq <= before.seq) return;
    last.set(row.employee, row);
    ledgerRows += 1;
    if (before === undefined) return;
    if (row.readOp !== before.op) staleWrites += 1;
    moneyLost += before.newSalary - row.readSalary;
  }

  return async (): Promise<RowState | undefined> => {
    const [[employees]] = await pool.query<RowDataPacket[]>(
      "SELECT COUNT(*) AS count, CAST(SUM(version) AS SIGNED) AS version FROM employee WHERE run = ?",
      [run],
    );
    // The run has not put its rows there yet.
    if (employees === undefined || employees.count === 0) return undefined;
    let from = settled;
    settled = newest;
    for (let page = 1; page <= PAGES_PER_POLL; page += 1) {
      const [rows] = await pool.query<LedgerRow[]>(SELECT_LEDGER, [run, from, PAGE]);
      for (const row of rows) take(row);
      from = rows.at(-1)?.seq ?? from;
      newest = Math.max(newest, from);
      if (rows.length < PAGE) break;
      // Behind: reading anything twice would never catch up.
      settled = newest;
    }
    // One employee's rows never come late.
    if (employees.count === 1) settled = newest;
    return { version: employees.version, ledgerRows, staleWrites, moneyLost };
  };
}

const SELECT_LEDGER =
  "SELECT seq, employee_id AS employee, op, read_op AS readOp, read_salary AS readSalary, new_salary AS newSalary FROM ledger WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?";

async function within<T>(deadlineMs: number, answer: Promise<T>): Promise<T> {
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
