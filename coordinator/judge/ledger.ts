/** Builds a ledger from rows: all at once in tests, row by row while the database streams. */
import type { Ledger } from "./evidence.ts";

/** In the order that `append` expects, after `seq`. */
export const LEDGER_COLUMNS = [
  "employee",
  "op",
  "readOp",
  "readVersion",
  "newVersion",
  "readSalary",
  "newSalary",
  "raise",
  "fence",
  "readAtUs",
  "writtenAtUs",
] as const satisfies readonly Exclude<keyof Ledger, "length">[];

export type LedgerColumn = (typeof LEDGER_COLUMNS)[number];
export type LedgerRow = Readonly<Record<LedgerColumn, number>>;

/** `seq` and then the columns, as the database returns them. `seq` is not stored, since it is the order of the rows. */
export type LedgerValues = readonly number[];

export interface LedgerBuilder {
  append(row: LedgerValues): void;
  /** Returns the ledger. Nothing may be appended after that. */
  finish(): Ledger;
}

const SMALLEST = 1_024;
/** Small, because memory beyond the last row is wasted: a million rows must fit in 100 MB. */
const GROWTH = 1.25;

/** `expectedRows` avoids copying if the number of rows is known. */
export function createLedgerBuilder(expectedRows = 0): LedgerBuilder {
  let capacity = Math.max(expectedRows, SMALLEST);
  let length = 0;
  const columns = LEDGER_COLUMNS.map(() => new Float64Array(capacity));

  return {
    append(row) {
      if (row.length !== LEDGER_COLUMNS.length + 1)
        throw new RangeError(`a ledger row has ${LEDGER_COLUMNS.length + 1} values, not ${row.length}`);
      if (length === capacity) {
        capacity = Math.ceil(capacity * GROWTH);
        // One column at a time, so that at most one is held twice.
        for (const [index, column] of columns.entries()) columns[index] = grown(column, capacity);
      }
      // A value that is not a number becomes NaN, which equals nothing, so that the checks flag its row.
      for (let index = 0; index < columns.length; index++) columns[index]![length] = row[index + 1]!;
      length++;
    },
    finish: () => ledgerFrom(length, (column) => columns[LEDGER_COLUMNS.indexOf(column)]!.subarray(0, length)),
  };
}

/** Whether the row was not written from the version before it, so that it overwrote an update: a lost update. */
export const isStale = ({ readVersion, newVersion }: Pick<Ledger, "readVersion" | "newVersion">, row: number) =>
  readVersion[row]! !== newVersion[row]! - 1;

/** Returns a ledger of these rows, in this order. */
export function ledgerOf(rows: readonly LedgerRow[]): Ledger {
  return ledgerFrom(rows.length, (column) => Float64Array.from(rows, (row) => row[column]));
}

/** Returns the rows of a ledger, the inverse of {@link ledgerOf}. */
export function rowsOf(ledger: Ledger): LedgerRow[] {
  return Array.from(
    { length: ledger.length },
    (_, row) => Object.fromEntries(LEDGER_COLUMNS.map((column) => [column, ledger[column][row]!])) as LedgerRow,
  );
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

function grown(column: Float64Array, capacity: number) {
  const larger = new Float64Array(capacity);
  larger.set(column);
  return larger;
}

function ledgerFrom(length: number, column: (name: LedgerColumn) => Float64Array): Ledger {
  return { length, ...(Object.fromEntries(LEDGER_COLUMNS.map((name) => [name, column(name)])) as Columns) };
}

type Columns = Record<LedgerColumn, Float64Array>;
