import { STRATEGIES } from "../../../worker/contract.ts";
import { outOf, plural } from "../../text/format.ts";
import type { Evidence, Ledger } from "../evidence.ts";
import type { CheckResult, Witness } from "../report-data.ts";
import { employeePrefix, orderVersions } from "./version-order.ts";
import { createNamer, WITNESSES } from "./witnesses.ts";

/**
 * Nobody read what a lock guards between another's read and write, by the database's clock: one employee, or all of
 * them where one key guards them all. The interval from read to write lies inside the true critical section, so an
 * overlap is real; one that is shorter than the way to the database, or whose operation wrote nothing, is not seen.
 * Intervals that only touch do not overlap: they must share some time.
 *
 * The ledger has the writes of what a lock guards in the order of their end, so one sweep from the last to the first
 * finds every interval that reaches beyond the start of a later one. The count is the number of operations less the
 * number of groups that do not touch each other.
 */
export function exclusion(evidence: Evidence, order = orderVersions(evidence.ledger)): CheckResult {
  const { ledger } = evidence;
  if (ledger.length === 0) return { check: "exclusion", status: "unknown", detail: "no data", count: 0, witnesses: [] };
  const back = clockWentBack(ledger, order.previous);
  if (back >= 0) {
    const detail = `the database's clock went back at operation ${ledger.op[back]}, so its times cannot be compared`;
    return { check: "exclusion", status: "unknown", detail, count: 0, witnesses: [] };
  }
  const { count, first } = sweep(ledger, guardsAll(evidence) ? () => 0 : (row) => ledger.employee[row]!);
  return {
    check: "exclusion",
    status: count > 0 ? "violated" : "holds",
    detail:
      count > 0
        ? `${outOf(count, ledger.length, "operation")} overlapped another one`
        : `none of ${plural(ledger.length, "operation")} overlapped another one`,
    count,
    witnesses: first.map(([row, other]) => describeWitness(evidence, row, other)),
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** The first row that was written before its own read or before the row before it; -1 if there is none. */
function clockWentBack({ length, readAtUs, writtenAtUs }: Ledger, previous: Int32Array): number {
  for (let row = 0; row < length; row++) {
    const before = previous[row]!;
    const floor = before < 0 ? readAtUs[row]! : Math.max(readAtUs[row]!, writtenAtUs[before]!);
    // Written so that a time that is no number counts as one that went back.
    if (!(writtenAtUs[row]! >= floor)) return row;
  }
  return -1;
}

const guardsAll = ({ plan: { keyScope, strategy, mix = [strategy] } }: Evidence) =>
  keyScope === "global" && mix.every((one) => STRATEGIES[one].lock.keyed);

/** Pairs of rows: one that ended after the other had started, and that other. The first pairs are the earliest. */
function sweep({ length, readAtUs, writtenAtUs }: Ledger, guardedBy: (row: number) => number) {
  const earliest = new Map<number, number>();
  const first: [row: number, other: number][] = [];
  let count = 0;
  for (let row = length - 1; row >= 0; row--) {
    const later = earliest.get(guardedBy(row));
    const took = readAtUs[row]! < writtenAtUs[row]!;
    if (took && later !== undefined && readAtUs[later]! < writtenAtUs[row]!) {
      count++;
      first.unshift([row, later]);
      if (first.length > WITNESSES) first.pop();
    }
    if (later === undefined || readAtUs[row]! < readAtUs[later]!) earliest.set(guardedBy(row), row);
  }
  return { count, first };
}

function describeWitness(evidence: Evidence, row: number, other: number): Witness {
  const { ledger } = evidence;
  const name = createNamer(evidence);
  const both = [ledger.op[row]!, ledger.op[other]!] as const;
  const begun = Math.max(ledger.readAtUs[row]!, ledger.readAtUs[other]!);
  const overlapMs = (ledger.writtenAtUs[row]! - begun) / 1_000;
  const text = `${name(both[0])} (version ${ledger.newVersion[row]}) and ${name(both[1])} (version ${ledger.newVersion[other]}) were both in the critical section for ${overlapMs.toFixed(3)} ms`;
  return { check: "exclusion", text: employeePrefix(evidence, ledger.employee[row]!) + text, operations: both };
}
