/**
 * Computes what the checks must find, in other ways and without regard to speed: over pairs of operations, over the
 * graph of which operation read whose write, and with sets of strings. For histories of a few hundred operations.
 */
import type { Evidence } from "../../coordinator/judge/evidence.ts";
import { type LedgerRow, listRows } from "../../coordinator/judge/ledger.ts";
import { OPERATIONS_PER_WRITER } from "../../worker/contract.ts";

/** Writes with another write between the version that they read and the one that they wrote: anti-dependency cycles. */
export function lostUpdates({ ledger }: Evidence): number {
  const rows = listRows(ledger);
  return rows.filter((victim) =>
    rows.some(
      (other) =>
        other !== victim &&
        other.employee === victim.employee &&
        victim.readVersion < other.newVersion &&
        other.newVersion < victim.newVersion,
    ),
  ).length;
}

/**
 * The raises of all writes that are not ancestors of the final rows, found by following each write to the one that it
 * read.
 */
export function lostMoney({ ledger, final }: Evidence): number {
  const rows = listRows(ledger);
  const kept = new Set<string>();
  for (const { id, lastOp } of final) {
    let link = rows.find((row) => row.employee === id && row.op === lastOp);
    while (link !== undefined) {
      const { employee, op, readOp } = link;
      kept.add(`${employee}/${op}`);
      link = rows.find((row) => row.employee === employee && row.op === readOp);
    }
  }
  return rows.filter(({ employee, op }) => !kept.has(`${employee}/${op}`)).reduce((sum, { raise }) => sum + raise, 0);
}

/** The number of operations minus the number of groups of operations that are connected by overlapping pairs. */
export function overlaps({ ledger }: Evidence): number {
  const rows = listRows(ledger);
  const group = rows.map((_, index) => index);
  const root = (index: number): number => (group[index] === index ? index : root(group[index]!));
  for (const [i, a] of rows.entries())
    for (const [j, b] of rows.entries())
      if (i < j && a.employee === b.employee && sharedUs(a, b) > 0) group[root(i)] = root(j);
  return rows.length - new Set(group.map((_, index) => root(index))).size;
}

const sharedUs = (a: LedgerRow, b: LedgerRow) =>
  Math.min(a.writtenAtUs, b.writtenAtUs) - Math.max(a.readAtUs, b.readAtUs);

/** Whether any earlier write of the same employee had a token that was at least as new. */
export function tokensRegress({ ledger }: Evidence): boolean {
  const rows = listRows(ledger).filter(({ fence }) => fence !== 0);
  return rows.some((late, index) =>
    rows.slice(0, index).some((early) => early.employee === late.employee && early.fence >= late.fence),
  );
}

/** Jepsen's set checker, over sets of `writer:sequence`. */
export function setDifferences({ ledger, workers }: Evidence) {
  const finals = workers.flatMap(({ final }) => final?.writers ?? []);
  const sequences = (attempted: number) => Array.from({ length: attempted }, (_, index) => index + 1);
  const acknowledged = new Set<string>();
  const attempted = new Set<string>();
  for (const final of finals) {
    const text = [...Buffer.from(final.acknowledged, "base64")]
      .map((byte) => [...byte.toString(2).padStart(8, "0")].reverse().join(""))
      .join("");
    for (const sequence of sequences(final.attempted)) attempted.add(`${final.writer}:${sequence}`);
    for (const sequence of sequences(text.length))
      if (text[sequence - 1] === "1") acknowledged.add(`${final.writer}:${sequence}`);
  }
  const applied = listRows(ledger).map(
    ({ op }) => `${Math.trunc(op / OPERATIONS_PER_WRITER)}:${op % OPERATIONS_PER_WRITER}`,
  );
  return {
    lost: [...acknowledged].filter((id) => !applied.includes(id)).length,
    unexpected: applied.filter((id) => !attempted.has(id)).length,
    duplicated: applied.length - new Set(applied).size,
  };
}
