/** Builds a ledger from rows: all at once in tests, row by row while the database streams. */
import type { Ledger } from "./evidence.ts";
import { findSerialOrder } from "./serial-order.ts";

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

/** `seq` and then the columns, as the database returns them. `seq` is not stored, since the rows are appended in its order. */
export type LedgerValues = readonly number[];

export interface LedgerBuilder {
  append(row: LedgerValues): void;
  /** Returns the ledger, in serial order. Nothing may be appended after that. */
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
    finish: () => serialLedger(length, (column) => columns[LEDGER_COLUMNS.indexOf(column)]!.subarray(0, length)),
  };
}

/** Whether the row was not written from the version before it, so that it overwrote an update: a lost update. */
export const isStale = ({ readVersion, newVersion }: Pick<Ledger, "readVersion" | "newVersion">, row: number) =>
  readVersion[row]! !== newVersion[row]! - 1;

/** Returns a ledger of these rows, which are in the order of `seq`. */
export function buildLedger(rows: readonly LedgerRow[]): Ledger {
  return serialLedger(rows.length, (column) => Float64Array.from(rows, (row) => row[column]));
}

/** Returns one row of a ledger. */
export function rowAt(ledger: Ledger, row: number): LedgerRow {
  const values = {} as Record<LedgerColumn, number>;
  for (const name of LEDGER_COLUMNS) values[name] = ledger[name][row]!;
  return values;
}

/** Returns the rows of a ledger, the inverse of {@link buildLedger}. */
export const listRows = (ledger: Ledger): LedgerRow[] =>
  Array.from({ length: ledger.length }, (_, row) => rowAt(ledger, row));

// --- Internal helpers -----------------------------------------------------------------------------------------------

function grown(column: Float64Array, capacity: number) {
  const larger = new Float64Array(capacity);
  larger.set(column);
  return larger;
}

function serialLedger(length: number, column: (name: LedgerColumn) => Float64Array): Ledger {
  const ledger = { length, ...(Object.fromEntries(LEDGER_COLUMNS.map((name) => [name, column(name)])) as Columns) };
  const order = findSerialOrder(ledger);
  if (order === undefined) return ledger;
  // In place and one column at a time, so that at most one is held twice.
  for (const name of LEDGER_COLUMNS) {
    const values = ledger[name].slice();
    for (let index = 0; index < length; index++) ledger[name][index] = values[order[index]!]!;
  }
  return ledger;
}

type Columns = Record<LedgerColumn, Float64Array>;
