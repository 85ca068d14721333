/** Histories of operations on simulated rows, with what is known about them by construction. */
import fc from "fast-check";
import type { EmployeeState, Evidence, PrometheusWorker, WorkerEvidence } from "../../coordinator/judge/evidence.ts";
import { buildLedger, type LedgerRow, listRows } from "../../coordinator/judge/ledger.ts";
import type { PlanSettings, RunPlan } from "../../coordinator/plan/run-plan.ts";
import { operationId, type WorkerFinal, type WriterFinal } from "../../worker/contract.ts";

/** Settings of a run, for tests that need some and do not care which. */
export const SETTINGS: PlanSettings = {
  keyScope: "row",
  workers: 4,
  concurrency: 1,
  rows: 1,
  durationMs: 1_000,
  holdMs: 0,
  pauseMs: 0,
  lockTtlMs: 1_000,
  extend: true,
  lockTimeoutMs: 1_000,
  seed: 1,
};

export const INITIAL_VERSION = 1;
export const INITIAL_SALARY = 1_000;
const START_US = 1_700_000_000_000_000;

/** Worker 0 registers as this writer, worker 1 as the next one, and so on. */
export const FIRST_WRITER = 11;
export const writerOfWorker = (worker: number) => FIRST_WRITER + worker;
export const op = (worker: number, sequence: number) => operationId(writerOfWorker(worker), sequence);

/** `lost` is an unknown outcome that was not applied, `recovered` one that was. */
export type End = "committed" | "rejected" | "lost" | "recovered";

/** One turn of a worker: it reads or, if it has read, writes. */
export interface Turn {
  readonly worker: number;
  readonly employee: number;
  readonly raise: number;
  readonly end: End;
  /** Time before this turn, µs. */
  readonly afterUs: number;
}

export interface History {
  readonly evidence: Evidence;
  /** Writes that replaced a version which their writer had not read. */
  readonly stale: number;
  readonly recovered: number;
}

/** Lets the workers take these turns on unguarded rows. */
export function simulate(turns: readonly Turn[], plan: Partial<RunPlan> = {}): History {
  const workers = Math.max(0, ...turns.map(({ worker }) => worker)) + 1;
  const employees = initialRows(Math.max(1, ...turns.map(({ employee }) => employee)));
  const state = new Map(employees.map((employee) => [employee.id, { ...employee }]));
  const open = new Map<number, { read: EmployeeState; op: number; readAtUs: number; turn: Turn }>();
  const attempts = Array.from({ length: workers }, (): End[] => []);
  const rows: LedgerRow[] = [];
  let nowUs = START_US;
  let stale = 0;
  for (const turn of turns) {
    nowUs += turn.afterUs;
    const begun = open.get(turn.worker);
    if (begun === undefined) {
      attempts[turn.worker]!.push(turn.end);
      const read = { ...state.get(turn.employee)! };
      open.set(turn.worker, { read, op: op(turn.worker, attempts[turn.worker]!.length), readAtUs: nowUs, turn });
      continue;
    }
    open.delete(turn.worker);
    const { read, turn: first } = begun;
    if (first.end === "rejected" || first.end === "lost") continue;
    const row = state.get(first.employee)!;
    if (row.version !== read.version) stale++;
    const version = row.version + 1;
    const salary = read.salary + first.raise;
    state.set(first.employee, { id: row.id, version, salary, lastOp: begun.op });
    rows.push({
      employee: first.employee,
      op: begun.op,
      readOp: read.lastOp,
      readVersion: read.version,
      newVersion: version,
      readSalary: read.salary,
      newSalary: salary,
      raise: first.raise,
      fence: 0,
      readAtUs: begun.readAtUs,
      writtenAtUs: nowUs,
    });
  }
  // An operation that has read but not written was not applied.
  for (const { turn } of open.values()) if (turn.end !== "lost") attempts[turn.worker]!.splice(-1, 1, "rejected");
  const finals = [...state.values()];
  const evidence = evidenceOf({
    rows,
    initial: employees,
    final: finals,
    attempts,
    startUs: START_US,
    endUs: nowUs,
    plan,
  });
  return { evidence, stale, recovered: attempts.flat().filter((end) => end === "recovered").length };
}

/** Turns of workers that never overlap, as with a lock that holds. */
export function serialTurns(operations: number, workers = 4, employees = 1): Turn[] {
  return Array.from({ length: operations }, (_, index): Turn => {
    const employee = (index % employees) + 1;
    return { worker: index % workers, employee, raise: (index % 7) + 1, end: "committed", afterUs: 1_000 };
  }).flatMap((turn) => [turn, turn]);
}

/** A correct history: enough operations, and all counts agree. */
export const serial = (operations = 100, workers = 4, plan: Partial<RunPlan> = {}): Evidence =>
  simulate(serialTurns(operations, workers, plan.rows), plan).evidence;

/** Random turns of up to four workers on up to two rows: most histories have some stale writes. */
export const turns = (most = 60): fc.Arbitrary<Turn[]> =>
  fc.array(
    fc.record<Turn>({
      worker: fc.nat(3),
      employee: fc.integer({ min: 1, max: 2 }),
      raise: fc.integer({ min: 1, max: 50 }),
      end: fc.oneof(
        { weight: 8, arbitrary: fc.constant<End>("committed") },
        { weight: 1, arbitrary: fc.constantFrom<End>("rejected", "lost", "recovered") },
      ),
      afterUs: fc.nat(3),
    }),
    { maxLength: most, size: "max" },
  );

/** The same evidence with another ledger. The rows may be changed in place. */
export function withRows(evidence: Evidence, change: (rows: Mutable[]) => void): Evidence {
  const rows: Mutable[] = listRows(evidence.ledger);
  change(rows);
  return { ...evidence, ledger: buildLedger(rows) };
}

/** The same evidence with other final numbers of one worker. */
export const withFinal = (evidence: Evidence, index: number, change: Partial<WorkerFinal>): Evidence => ({
  ...evidence,
  workers: evidence.workers.map((worker) =>
    worker.index === index ? { ...worker, final: { ...worker.final!, ...change } } : worker,
  ),
});

/** The same evidence with further operations of one worker that ended with these errors. All counts agree. */
export function withErrors(evidence: Evidence, index: number, errors: WorkerFinal["errors"]): Evidence {
  const final = evidence.workers[index]!.final!;
  const sum = (wanted: string) =>
    errors.reduce((total, { outcome, count }) => total + (outcome === wanted ? count : 0), 0);
  const [rejected, unknown] = [sum("rejected"), sum("unknown")];
  const [writer, ...others] = final.writers;
  const attempted = writer!.attempted + rejected + unknown;
  const open = Array.from({ length: unknown }, (_, offset) => attempted - offset);
  const counts = { rejected: final.rejected + rejected, unknown: final.unknown + unknown };
  const { prometheus } = evidence;
  return {
    ...withFinal(evidence, index, {
      ...counts,
      errors: [...final.errors, ...errors],
      writers: [{ ...writer!, attempted, unknown: [...writer!.unknown, ...open] }, ...others],
    }),
    prometheus: prometheus && {
      ...prometheus,
      workers: prometheus.workers.map((worker) => (worker.worker === index ? { ...worker, ...counts } : worker)),
      operation: { ...prometheus.operation, count: prometheus.operation.count + rejected + unknown },
    },
  };
}

/** The same evidence from a fleet that lost this worker before it was done. */
export const withLost = (evidence: Evidence, index: number, lost: string): Evidence => ({
  ...evidence,
  workers: evidence.workers.map((worker) => (worker.index === index ? { ...worker, final: undefined, lost } : worker)),
});

export const bits = (sequences: readonly number[]): string => {
  const bytes = new Uint8Array((Math.max(0, ...sequences) + 7) >> 3);
  for (const sequence of sequences) bytes[(sequence - 1) >> 3]! |= 1 << ((sequence - 1) & 7);
  return Buffer.from(bytes).toString("base64");
};

// --- Internal helpers -----------------------------------------------------------------------------------------------

type Mutable = { -readonly [Key in keyof LedgerRow]: number };

const initialRows = (employees: number): EmployeeState[] =>
  Array.from({ length: employees }, (_, index) => ({
    id: index + 1,
    version: INITIAL_VERSION,
    salary: INITIAL_SALARY,
    lastOp: 0,
  }));

interface Parts {
  readonly rows: readonly LedgerRow[];
  readonly initial: readonly EmployeeState[];
  readonly final: readonly EmployeeState[];
  readonly attempts: readonly (readonly End[])[];
  readonly startUs: number;
  readonly endUs: number;
  readonly plan: Partial<RunPlan>;
}

function evidenceOf({ rows, initial, final, attempts, startUs, endUs, plan }: Parts): Evidence {
  const workers = attempts.map((ends, index): WorkerEvidence => {
    const committed = sequencesOf(ends, "committed");
    const acknowledged = new Set(committed.map((sequence) => op(index, sequence)));
    const writer: WriterFinal = {
      writer: writerOfWorker(index),
      attempted: ends.length,
      acknowledged: bits(committed),
      unknown: [...sequencesOf(ends, "lost"), ...sequencesOf(ends, "recovered")],
    };
    const mine = rows.filter((row) => acknowledged.has(row.op));
    return {
      index,
      uid: `uid-${index}`,
      node: "local",
      final: {
        committed: committed.length,
        rejected: sequencesOf(ends, "rejected").length,
        unknown: writer.unknown.length,
        raised: mine.reduce((sum, { raise }) => sum + raise, 0),
        naive: 0,
        releaseFailures: 0,
        startedAtUs: startUs,
        endedAtUs: endUs,
        writers: [writer],
        errors: [...errorsOf(ends, "rejected", "lock-wait-timeout"), ...errorsOf(ends, "unknown", "commit-unanswered")],
        residentBytes: 0,
      },
    };
  });
  return {
    plan: {
      run: "test",
      strategy: "redis",
      guard: "none",
      ...SETTINGS,
      workers: workers.length,
      rows: initial.length,
      durationMs: Math.max(1, (endUs - startUs) / 1_000),
      ...plan,
    },
    initial,
    final,
    ledger: buildLedger(rows),
    writers: workers.map(({ index, uid }) => ({ id: writerOfWorker(index), worker: index, loop: 0, uid })),
    workers,
    prometheus: {
      workers: workers.map(
        ({ index, uid, final: { committed, rejected, unknown, raised, naive } = {} as WorkerFinal }) => {
          const scraped: PrometheusWorker = { worker: index, uid, committed, rejected, unknown, raised, naive };
          return scraped;
        },
      ),
      operation: { count: attempts.flat().length },
      lockWait: { count: rows.length },
    },
    problems: [],
  };
}

function errorsOf(ends: readonly End[], outcome: "rejected" | "unknown", name: string): WorkerFinal["errors"] {
  const count = ends.filter((end) => end !== "committed" && (end === "rejected") === (outcome === "rejected")).length;
  return count === 0 ? [] : [{ class: name, outcome, count, example: `${name} of a test` }];
}

const sequencesOf = (ends: readonly End[], wanted: End) =>
  ends.flatMap((end, index) => (end === wanted ? [index + 1] : []));
