/** What the page of a report draws of one run: throughput over time, and a few operations up close. Pure. */
import { writerOf } from "../../worker/contract.ts";
import { fleetInterval } from "./checks/liveness.ts";
import type { Drawing, DrawnOperation, DrawnWindow } from "./drawing-data.ts";
import type { Evidence, Ledger } from "./evidence.ts";
import { isStale } from "./ledger.ts";
import type { CheckResult, Judgement, Witness } from "./report-data.ts";

const BINS_MAX = 60;
const BINS_MIN = 12;
/** Numbers of all bins of all workers together: a fleet of many workers has fewer bins. */
const CELLS_MAX = 960;
const WINDOWS_MAX = 3;
/** The same for a run that is as expected: one shows what a control does, or how a lock holds. */
const WINDOWS_EXPECTED = 1;
/** Operations of a window; of more, those in the middle are left out. */
const OPERATIONS_MAX = 14;
/** Operations before the first and after the last one of a witness. */
const CONTEXT = 2;

/** Undefined if the ledger is empty or was not read. The checks of the judgement name the witnesses around which the windows are made. */
export function drawingOf(evidence: Evidence, judgement: Judgement): Drawing | undefined {
  const { ledger, workers, plan } = evidence;
  if (ledger.length === 0) return undefined;
  const written = ledger.writtenAtUs.slice(0, ledger.length).sort();
  const first = Math.min(ledger.readAtUs[0]!, written[0]!);
  const { startedAtUs, endedAtUs } = fleetInterval(workers) ?? { startedAtUs: first, endedAtUs: written.at(-1)! };
  if (![startedAtUs, endedAtUs, written.at(-1)].every(Number.isFinite)) return undefined;
  const bins = Math.max(BINS_MIN, Math.min(BINS_MAX, Math.floor(CELLS_MAX / plan.workers)));
  const binUs = Math.max(1, (endedAtUs - startedAtUs) / bins);
  const workerOf = workersOf(evidence);
  const committed = Array.from({ length: plan.workers }, () => Array.from({ length: bins }, () => 0));
  for (let row = 0; row < ledger.length; row++) {
    const own = committed[workerOf(ledger.op[row]!).worker];
    const bin = Math.floor((ledger.writtenAtUs[row]! - startedAtUs) / binUs);
    if (own !== undefined) own[Math.min(bins - 1, Math.max(0, bin))]!++;
  }
  const rejected = rejectedIn(evidence, bins, (us) => (us - startedAtUs) / binUs);
  return {
    startedAtUs,
    binSeconds: binUs / 1e6,
    committed,
    ...(rejected === undefined ? {} : { rejected }),
    longestGap: longestGap(written, startedAtUs, endedAtUs),
    windows: windowsOf(evidence, judgement),
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

function workersOf({ writers }: Evidence) {
  const byId = new Map(writers.map((writer) => [writer.id, writer]));
  return (op: number) => byId.get(writerOf(op)) ?? { worker: -1, loop: 0 };
}

/** Undefined where nothing was rejected, or where a worker did not say when. `binOf`: the bin of a time, with a fraction. */
function rejectedIn({ workers, plan }: Evidence, bins: number, binOf: (us: number) => number): number[] | undefined {
  const counted = Array.from({ length: bins }, () => 0);
  for (const { final } of workers) {
    if (final === undefined) return undefined;
    const { rejectedParts = [], startedAtUs } = final;
    if (rejectedParts.reduce((sum, count) => sum + count, 0) !== final.rejected) return undefined;
    for (const [part, count] of rejectedParts.entries()) {
      const middleUs = startedAtUs + ((part + 0.5) / rejectedParts.length) * plan.durationMs * 1_000;
      counted[Math.min(bins - 1, Math.max(0, Math.floor(binOf(middleUs))))]! += count;
    }
  }
  return counted.some((count) => count > 0) ? counted : undefined;
}

function longestGap(written: Float64Array, startedAtUs: number, endedAtUs: number): Drawing["longestGap"] {
  let gap = { fromUs: startedAtUs, us: 0 };
  let last = startedAtUs;
  for (let index = 0; index <= written.length; index++) {
    const next = index === written.length ? endedAtUs : written[index]!;
    if (next - last > gap.us) gap = { fromUs: last, us: next - last };
    last = Math.max(last, next);
  }
  return { afterSeconds: (gap.fromUs - startedAtUs) / 1e6, seconds: gap.us / 1e6 };
}

function windowsOf(evidence: Evidence, { checks, agreement }: Judgement): DrawnWindow[] {
  const { ledger } = evidence;
  const most = agreement === "expected" ? WINDOWS_EXPECTED : WINDOWS_MAX;
  const windows: DrawnWindow[] = [];
  for (const witness of witnessesOf(checks)) {
    const ops = new Set(witness.operations);
    const known = windows.find(({ operations }) => [...ops].every((op) => operations.some((drawn) => drawn.op === op)));
    if (known !== undefined) known.texts.push(witness.text);
    if (known !== undefined || windows.length === most) continue;
    const rows = rowsWhere(ledger, (row) => ops.has(ledger.op[row]!));
    if (rows.length > 0) windows.push(makeWindow(evidence, around(ledger, rows), [witness.text]));
  }
  return windows.length > 0 ? windows : [makeWindow(evidence, densest(ledger), [])];
}

/** Lost updates first, then overlaps, then what else was found: a window around the first often shows the others. */
const witnessesOf = (checks: readonly CheckResult[]): Witness[] =>
  [...DRAWN_FIRST, undefined].flatMap((name) =>
    checks
      .filter(({ check, status }) => status === "violated" && (name ?? check) === check)
      .filter(({ check }) => name !== undefined || !DRAWN_FIRST.includes(check))
      .flatMap(({ witnesses }) => witnesses),
  );
const DRAWN_FIRST: readonly CheckResult["check"][] = ["chain", "exclusion"];

function rowsWhere({ length }: Ledger, test: (row: number) => boolean): number[] {
  const rows: number[] = [];
  for (let row = 0; row < length; row++) if (test(row)) rows.push(row);
  return rows;
}

/** The rows of a witness with those between them, the one that a stale write was based on, and some on both sides. */
function around(ledger: Ledger, rows: readonly number[]): number[] {
  const employee = ledger.employee[rows[0]!]!;
  const all = rowsWhere(ledger, (row) => ledger.employee[row] === employee);
  const own = rows.filter((row) => ledger.employee[row] === employee).map((row) => all.indexOf(row));
  const read = rows.filter((row) => isStale(ledger, row)).map((row) => ledger.readVersion[row]!);
  const bases = read.map((version) => all.findIndex((row) => ledger.newVersion[row] === version));
  const first = Math.min(...own, ...bases.filter((index) => index >= 0));
  const others = rows.filter((row) => ledger.employee[row] !== employee);
  return [...all.slice(Math.max(0, first - CONTEXT), Math.max(...own) + CONTEXT + 1), ...others];
}

/** The rows of one employee that follow each other in the shortest time. */
function densest(ledger: Ledger): number[] {
  const all = rowsWhere(ledger, (row) => ledger.employee[row] === ledger.employee[0]);
  const size = Math.min(OPERATIONS_MAX - CONTEXT, all.length);
  const took = (from: number) => ledger.writtenAtUs[all[from + size - 1]!]! - ledger.writtenAtUs[all[from]!]!;
  let best = 0;
  for (let from = 1; from + size <= all.length; from++) if (took(from) < took(best)) best = from;
  return all.slice(best, best + size);
}

function makeWindow(evidence: Evidence, rows: readonly number[], texts: string[]): DrawnWindow {
  const { ledger } = evidence;
  const sorted = [...rows].sort((a, b) => ledger.writtenAtUs[a]! - ledger.writtenAtUs[b]! || a - b);
  const half = OPERATIONS_MAX / 2;
  const drawn = sorted.length <= OPERATIONS_MAX ? sorted : [...sorted.slice(0, half), ...sorted.slice(-half)];
  const startedAtUs = Math.min(...drawn.map((row) => ledger.readAtUs[row]!));
  const eraserOf = findErasers(ledger, drawn);
  const workerOf = workersOf(evidence);
  const employee = ledger.employee[rows[0]!]!;
  const operations = drawn.map((row): DrawnOperation => {
    const { worker, loop } = workerOf(ledger.op[row]!);
    const eraser = eraserOf.get(row);
    return {
      op: ledger.op[row]!,
      worker,
      loop,
      ...(ledger.employee[row] === employee ? {} : { employee: ledger.employee[row]! }),
      readAfterUs: ledger.readAtUs[row]! - startedAtUs,
      writtenAfterUs: ledger.writtenAtUs[row]! - startedAtUs,
      readVersion: ledger.readVersion[row]!,
      newVersion: ledger.newVersion[row]!,
      newSalary: ledger.newSalary[row]!,
      raise: ledger.raise[row]!,
      ...(ledger.fence[row] ? { fence: ledger.fence[row]! } : {}),
      ...(isStale(ledger, row) ? { stale: true } : {}),
      ...(eraser === undefined ? {} : { overwrittenBy: ledger.op[eraser]! }),
    };
  });
  return {
    shows: texts.length > 0 ? "violation" : "densest",
    texts,
    employee,
    startedAtUs,
    omitted: sorted.length - drawn.length,
    operations,
  };
}

/** The first of these rows whose stale write erased each other one: it was based on an earlier version. */
function findErasers(ledger: Ledger, rows: readonly number[]): ReadonlyMap<number, number> {
  const erasers = new Map<number, number>();
  for (const row of rows) {
    if (!isStale(ledger, row)) continue;
    for (const other of rows) {
      if (ledger.employee[other] !== ledger.employee[row] || erasers.has(other)) continue;
      const version = ledger.newVersion[other]!;
      if (version > ledger.readVersion[row]! && version < ledger.newVersion[row]!) erasers.set(other, row);
    }
  }
  return erasers;
}
