import { list, outOf, plural } from "../../text/format.ts";
import type { Evidence, Ledger } from "../evidence.ts";
import { isStale } from "../ledger.ts";
import type { CheckResult, Witness } from "../report-data.ts";
import { employeePrefix, orderVersions } from "./version-order.ts";
import { createNamer, WITNESSES } from "./witnesses.ts";

/**
 * The main check: every version of every employee was written once, from the version before it. If each transaction
 * reads and writes one key once, this finds all that a search for cycles in the dependency graph could find (Elle's
 * G-single: a lost update), and its count is exact. It cannot see a stale read by a client that never writes.
 */
export function chain(evidence: Evidence, order = orderVersions(evidence.ledger)): CheckResult {
  const { ledger } = evidence;
  const start = new Map(evidence.initial.map((employee) => [employee.id, employee]));
  const breaks: Record<Break, number> = { stale: 0, misplaced: 0, misread: 0 };
  const first: { row: number; kind: Break; version: number; op: number }[] = [];
  for (let row = 0; row < ledger.length; row++) {
    const before = order.previous[row]!;
    const initial = before < 0 ? start.get(ledger.employee[row]!) : undefined;
    // NaN for an employee that the run does not have: it equals nothing, so the row breaks.
    const version = before < 0 ? (initial?.version ?? Number.NaN) : ledger.newVersion[before]!;
    const op = before < 0 ? (initial?.lastOp ?? Number.NaN) : ledger.op[before]!;
    const kind = breakOf(ledger, row, version, op);
    if (kind === undefined) continue;
    breaks[kind]++;
    if (first.length < WITNESSES) first.push({ row, kind, version, op });
  }
  const outside = outsideWrites(evidence, order.last);
  const count = breaks.stale + breaks.misplaced + breaks.misread + outside.length;
  const witnesses = [...first.map((found) => describeWitness(evidence, order.previous, found)), ...outside];
  return {
    check: "chain",
    status: count > 0 ? "violated" : evidence.final.length === 0 ? "unknown" : "holds",
    detail: detailOf(evidence, breaks, outside.length),
    count,
    witnesses: witnesses.slice(0, WITNESSES),
  };
}

/**
 * The lost-update count: writes that were not based on the version before them. It does not depend on the order of
 * rows.
 */
export function staleWrites(ledger: Ledger): number {
  let stale = 0;
  for (let row = 0; row < ledger.length; row++) if (isStale(ledger, row)) stale++;
  return stale;
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/**
 * `stale`: based on another version than the one before. `misplaced`: that version was written already, or one before
 * it is missing. `misread`: the right version, but not as the row before left it.
 */
type Break = "stale" | "misplaced" | "misread";

function breakOf(ledger: Ledger, row: number, version: number, op: number) {
  if (isStale(ledger, row)) return "stale";
  if (ledger.newVersion[row]! !== version + 1) return "misplaced";
  if (ledger.readOp[row]! !== op) return "misread";
  return undefined;
}

/** Employees whose row is not as their last ledger row left it. */
function outsideWrites(evidence: Evidence, last: ReadonlyMap<number, number>): Witness[] {
  const { ledger, initial, final } = evidence;
  // No final rows at all means that they were not read.
  if (final.length === 0) return [];
  const end = new Map(final.map((employee) => [employee.id, employee]));
  return initial.flatMap((employee) => {
    const row = last.get(employee.id);
    const version = row === undefined ? employee.version : ledger.newVersion[row]!;
    const op = row === undefined ? employee.lastOp : ledger.op[row]!;
    const found = end.get(employee.id);
    if (found?.version === version && found.lastOp === op) return [];
    const what =
      found === undefined
        ? "the row is gone"
        : found.version === version
          ? `the row says that operation ${found.lastOp} wrote it last, the ledger says ${op}`
          : `the row has version ${found.version}, but the ledger ends with version ${version}`;
    const text = `${employeePrefix(evidence, employee.id)}${what}: it was written outside the ledger`;
    return [{ check: "chain", text, operations: row === undefined ? [] : [op] }];
  });
}

function describeWitness(
  evidence: Evidence,
  previous: Int32Array,
  { row, kind, version, op }: { row: number; kind: Break; version: number; op: number },
): Witness {
  const { ledger } = evidence;
  const name = createNamer(evidence);
  const own = ledger.op[row]!;
  const written = ledger.newVersion[row]!;
  const witness = (text: string, ...others: number[]): Witness => ({
    check: "chain",
    text: employeePrefix(evidence, ledger.employee[row]!) + text,
    operations: [own, ...others],
  });
  const who = `${name(own)} wrote version ${written}`;
  if (Number.isNaN(version)) return witness(`${who}, but this run has no such employee`);
  if (kind === "misread")
    return witness(`${who} on top of operation ${ledger.readOp[row]}, but operation ${op} wrote version ${version}`);
  if (kind === "misplaced")
    return witness(
      written > version + 1
        ? `${who}, but the ledger has nothing between version ${version} and it: a write outside the ledger`
        : `${who} after version ${version} had been written: two writers had one version`,
    );
  const read = ledger.readVersion[row]!;
  const base = `${who} based on version ${read}`;
  if (read >= written) return witness(`${base}, which did not exist yet`);
  const lost = writesBetween(ledger, previous, row, read);
  if (lost.length === 0) return witness(`${base}: the ledger has no write between them`);
  const raises = lost.map((other) => `${name(ledger.op[other]!)}'s raise of ${ledger.raise[other]}`);
  const shown =
    raises.length > WITNESSES ? [...raises.slice(0, WITNESSES), `${raises.length - WITNESSES} more`] : raises;
  const verb = raises.length === 1 ? "was" : "were";
  return witness(`${base}: ${list(shown)} ${verb} lost`, ...lost.map((other) => ledger.op[other]!).slice(0, WITNESSES));
}

/** The rows of the same employee that wrote the versions between the one that was read and the one that was written. */
function writesBetween(ledger: Ledger, previous: Int32Array, row: number, read: number): number[] {
  const between: number[] = [];
  for (let other = previous[row]!; other >= 0 && ledger.newVersion[other]! > read; other = previous[other]!)
    between.unshift(other);
  return between;
}

function detailOf({ ledger, final, initial }: Evidence, breaks: Record<Break, number>, outside: number): string {
  const found: string[] = [];
  if (breaks.stale > 0) found.push(`${outOf(breaks.stale, ledger.length, "write")} were stale (lost updates)`);
  if (breaks.misplaced > 0) found.push(`${plural(breaks.misplaced, "version")} out of order`);
  if (breaks.misread > 0)
    found.push(`${plural(breaks.misread, "write")} on top of an operation other than the one before`);
  if (outside > 0) found.push(`${plural(outside, "employee")} written outside the ledger`);
  if (found.length > 0) return list(found);
  const held = `${plural(ledger.length, "write")} to ${plural(initial.length, "employee")}, each from the version before it`;
  return final.length === 0 ? `${held}, but the final rows could not be read` : held;
}
