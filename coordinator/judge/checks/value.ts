import { count, list, plural } from "../../text/format.ts";
import type { Evidence } from "../evidence.ts";
import { isStale } from "../ledger.ts";
import type { CheckResult, Witness } from "../report-data.ts";
import { employeePrefix, orderVersions } from "./version-order.ts";
import { createNamer, WITNESSES } from "./witnesses.ts";

/**
 * Money is conserved: every raise in the ledger is in the final salary, each write starts from the salary that the
 * write before it left, and adds exactly its raise. Sees what versions cannot: a salary or a raise that was changed
 * behind the workers' backs. The sums alone could cancel out, so raises are positive and each step is checked too.
 */
export function value(evidence: Evidence, order = orderVersions(evidence.ledger)): CheckResult {
  const { ledger, final } = evidence;
  const start = new Map(evidence.initial.map((employee) => [employee.id, employee.salary]));
  const first: Witness[] = [];
  let wrongSums = 0;
  let wrongStarts = 0;
  for (let row = 0; row < ledger.length; row++) {
    const before = order.previous[row]!;
    const left = before < 0 ? (start.get(ledger.employee[row]!) ?? Number.NaN) : ledger.newSalary[before]!;
    const adds = ledger.newSalary[row]! === ledger.readSalary[row]! + ledger.raise[row]!;
    const starts = ledger.readSalary[row]! === left;
    if (adds && starts) continue;
    if (adds) wrongStarts++;
    else wrongSums++;
    if (first.length < WITNESSES) first.push(describeWitness(evidence, row, adds, before, left));
  }
  const money = sumMoney(evidence);
  const wrongEnds = money.ends.length;
  const violated = wrongSums + wrongStarts + wrongEnds > 0;
  return {
    check: "value",
    status: violated ? "violated" : final.length === 0 ? "unknown" : "holds",
    detail: violated
      ? `${lostSentence(money.lost, money.granted)}: ${list(causes(wrongSums, wrongStarts, wrongEnds))}`
      : final.length === 0
        ? "the final rows could not be read"
        : `all ${count(money.granted)} granted arrived in the final rows`,
    count: wrongSums + wrongStarts + wrongEnds,
    witnesses: [...first, ...money.ends].slice(0, WITNESSES),
  };
}

/** Salary units. `lost` is initial + raises - final, null where the final rows could not be read. */
export function sumMoney(evidence: Evidence): { granted: number; lost: number | null; ends: readonly Witness[] } {
  const { ledger, initial, final } = evidence;
  const expected = new Map(initial.map(({ id, salary }) => [id, salary]));
  const left = new Map(expected);
  let granted = 0;
  for (let row = 0; row < ledger.length; row++) {
    const id = ledger.employee[row]!;
    granted += ledger.raise[row]!;
    expected.set(id, (expected.get(id) ?? 0) + ledger.raise[row]!);
    left.set(id, ledger.newSalary[row]!);
  }
  if (final.length === 0) return { granted, lost: null, ends: [] };
  const ends: Witness[] = [];
  let lost = 0;
  for (const { id, salary } of final) {
    lost += (expected.get(id) ?? 0) - salary;
    const last = left.get(id);
    if (salary === last) continue;
    const known = last === undefined ? "this run has no such employee" : `the ledger ends with ${last}`;
    const text = `${employeePrefix(evidence, id)}the row has salary ${salary}, but ${known}: it was changed outside the ledger`;
    ends.push({ check: "value", text, operations: [] });
  }
  return { granted, lost, ends };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const lostSentence = (lost: number | null, granted: number) => {
  if (lost === null) return `an unknown part of the ${count(granted)} granted salary units was lost`;
  if (lost < 0)
    return `the final salary is ${count(-lost)} higher than the ${count(granted)} granted salary units explain`;
  return `${count(lost)} of ${count(granted)} granted salary units were lost`;
};

function causes(wrongSums: number, wrongStarts: number, wrongEnds: number): string[] {
  const found: string[] = [];
  if (wrongStarts > 0) found.push(`${plural(wrongStarts, "write")} based on a salary other than the previous one`);
  if (wrongSums > 0) found.push(`${plural(wrongSums, "write")} where salary and raise do not add up`);
  if (wrongEnds > 0) found.push(`${plural(wrongEnds, "employee")} whose final salary differs from the ledger`);
  return found;
}

function describeWitness(evidence: Evidence, row: number, adds: boolean, before: number, left: number): Witness {
  const { ledger } = evidence;
  const own = ledger.op[row]!;
  const read = ledger.readSalary[row]!;
  const who = `${createNamer(evidence)(own)} wrote version ${ledger.newVersion[row]}`;
  const stale = isStale(ledger, row);
  const text = !adds
    ? `${who}: ${read} and a raise of ${ledger.raise[row]} do not make ${ledger.newSalary[row]}`
    : stale
      ? `${who} based on the salary ${read} of version ${ledger.readVersion[row]} and overwrote the salary ${left}`
      : `${who} based on the salary ${read}, but the write before it left ${left}: it was changed outside the ledger`;
  return {
    check: "value",
    text: employeePrefix(evidence, ledger.employee[row]!) + text,
    operations: before < 0 ? [own] : [ledger.op[before]!, own],
  };
}
