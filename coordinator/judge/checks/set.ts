import { list, outOf, plural } from "../../text/format.ts";
import type { Evidence, Ledger } from "../evidence.ts";
import type { CheckResult, Witness } from "../report-data.ts";
import { createNamer, WITNESSES } from "./witnesses.ts";
import { countResolved, pick, readHistories, type WriterHistories, type WriterHistory } from "./writer-histories.ts";

/**
 * Acknowledged operations are in the ledger, the ledger has only what was attempted, and nothing twice (Jepsen's set
 * checker). An operation of unknown outcome is resolved by its id: in the ledger it happened, else it did not. One that
 * was reported as rejected must not be there: its caller may have retried it.
 */
export function set(evidence: Evidence, histories = readHistories(evidence)): CheckResult {
  const name = createNamer(evidence);
  const known = [...histories.writers.values()].filter(({ final }) => final !== undefined);
  const lost = pickAll(
    known,
    ({ acknowledged, present }) =>
      (byte) =>
        at(acknowledged, byte) & ~at(present, byte),
  );
  const denied = pickAll(
    known,
    ({ acknowledged, unknown, present }) =>
      (byte) =>
        at(present, byte) & ~at(acknowledged, byte) & ~at(unknown, byte),
  );
  const twice = duplicates(evidence.ledger, histories);
  const { unexpected } = histories;
  const tell = (text: (op: number) => string) => (op: number) => ({
    check: "set" as const,
    text: text(op),
    operations: [op],
  });
  const witnesses: Witness[] = [
    ...lost.first.map(tell((op) => `operation ${op} of ${name(op)} was acknowledged, but it is not in the ledger`)),
    ...twice
      .map((row) => evidence.ledger.op[row]!)
      .map(tell((op) => `operation ${op} of ${name(op)} was applied twice`)),
    ...unexpected
      .slice(0, WITNESSES)
      .map((row) => evidence.ledger.op[row]!)
      .map(tell((op) => `operation ${op} of ${name(op)} is in the ledger, but no writer attempted it`)),
    ...denied.first.map(
      tell((op) => `operation ${op} of ${name(op)} was reported as rejected, but it is in the ledger`),
    ),
  ];
  const count = lost.count + twice.length + unexpected.length + denied.count;
  const silent = findSilentWorkers(evidence, histories);
  return {
    check: "set",
    status: count > 0 ? "violated" : silent.length > 0 ? "unknown" : "holds",
    detail:
      count > 0
        ? list(
            [
              [lost.count, "acknowledged but not in the ledger"],
              [twice.length, "applied twice"],
              [unexpected.length, "in the ledger but never attempted"],
              [denied.count, "rejected but in the ledger"],
            ]
              .filter(([found]) => found !== 0)
              .map(([found, what]) => `${plural(found as number, "operation")} ${what}`),
          )
        : silent.length > 0
          ? `${list(silent)} did not report which operations were acknowledged`
          : heldDetail(histories, known),
    count,
    witnesses: witnesses.slice(0, WITNESSES),
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const at = (bits: Uint8Array, byte: number) => bits[byte] ?? 0;

function pickAll(histories: readonly WriterHistory[], select: (history: WriterHistory) => (byte: number) => number) {
  const found = histories.map((history) => pick(history, WITNESSES, select(history)));
  return {
    count: found.reduce((sum, { count }) => sum + count, 0),
    first: found.flatMap(({ first }) => first).slice(0, WITNESSES),
  };
}

/** Rows whose operation changed the same employee before. An operation may change several employees, each once. */
function duplicates({ op, employee, length }: Ledger, { repeated }: WriterHistories): number[] {
  if (repeated.length === 0) return [];
  const suspects = Float64Array.from(new Set(repeated.map((row) => op[row]!))).sort();
  const rows: number[] = [];
  for (let row = 0; row < length; row++) if (contains(suspects, op[row]!)) rows.push(row);
  rows.sort((a, b) => op[a]! - op[b]! || employee[a]! - employee[b]! || a - b);
  return rows.filter((row, index) => {
    const before = rows[index - 1];
    return before !== undefined && op[before] === op[row] && employee[before] === employee[row];
  });
}

function contains(sorted: Float64Array, wanted: number): boolean {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! < wanted) low = middle + 1;
    else high = middle;
  }
  return sorted[low] === wanted;
}

/** Workers without final numbers, known from the fleet or only from what they registered. */
function findSilentWorkers({ workers, plan }: Evidence, { writers }: WriterHistories): string[] {
  const silent = new Set<number>();
  for (let index = 0; index < plan.workers; index++)
    if (!workers.some((worker) => worker.index === index && worker.final !== undefined)) silent.add(index);
  for (const history of writers.values()) if (history.final === undefined) silent.add(history.worker);
  return [...silent].sort((a, b) => a - b).map((index) => `worker-${index}`);
}

function heldDetail(histories: WriterHistories, known: readonly WriterHistory[]): string {
  const { applied, notApplied } = countResolved(histories);
  const unknown = applied + notApplied;
  const resolved = unknown === 0 ? "" : `; it has ${outOf(applied, unknown, "operation")} of unknown outcome`;
  const acknowledged = known.reduce((sum, { operations, recovered }) => sum + operations - recovered, 0);
  return `the ledger has all ${plural(acknowledged, "acknowledged operation")} and no others${resolved}`;
}
