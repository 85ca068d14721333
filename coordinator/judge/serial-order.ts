/** Puts the rows of a ledger in the order in which they were written. Pure. */
import type { Ledger } from "./evidence.ts";

/**
 * The serial order of the rows, or undefined if they are in it already. `rows[i]` is the row that belongs at position i.
 *
 * The writes of one employee are in the order of the version that the database counted under the row lock. Ids are not:
 * servers that assign AUTO_INCREMENT in blocks give a later write a smaller `seq`. Rows of one version stay in the order
 * of `seq`, in which they arrive here, so that a duplicate stays one. Rows of different employees follow each other by
 * the time of the write, as far as that agrees with the versions.
 */
export function findSerialOrder(ledger: Columns): Int32Array | undefined {
  if (isSerial(ledger)) return undefined;
  const { length, employee, newVersion, writtenAtUs } = ledger;
  const byVersion = Int32Array.from({ length }, (_, row) => row).sort(
    (a, b) => compare(employee[a]!, employee[b]!) || compare(newVersion[a]!, newVersion[b]!) || a - b,
  );
  // The time at which a row was written, but not before the version below it was.
  const notBeforeUs = new Float64Array(length);
  const position = new Int32Array(length);
  let several = false;
  for (let index = 0; index < length; index++) {
    const row = byVersion[index]!;
    const before = index === 0 ? undefined : byVersion[index - 1]!;
    const sameEmployee = before !== undefined && employee[before] === employee[row];
    if (before !== undefined && !sameEmployee) several = true;
    const floor = sameEmployee ? notBeforeUs[before]! : Number.NEGATIVE_INFINITY;
    notBeforeUs[row] = Math.max(writtenAtUs[row]!, floor);
    position[row] = index;
  }
  if (!several) return byVersion;
  return byVersion.sort((a, b) => compare(notBeforeUs[a]!, notBeforeUs[b]!) || position[a]! - position[b]!);
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

type Columns = Pick<Ledger, "length" | "employee" | "newVersion" | "writtenAtUs">;

function isSerial({ length, employee, newVersion }: Columns): boolean {
  const newest = new Map<number, number>();
  for (let row = 0; row < length; row++) {
    const id = employee[row]!;
    const version = newVersion[row]!;
    if (!(version >= (newest.get(id) ?? Number.NEGATIVE_INFINITY))) return false;
    newest.set(id, version);
  }
  return true;
}

/** A value that is not a number comes first. */
const compare = (a: number, b: number) =>
  a < b ? -1 : a > b ? 1 : Number(!Number.isNaN(a)) - Number(!Number.isNaN(b));
