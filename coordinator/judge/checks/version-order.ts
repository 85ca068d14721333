import type { Evidence, Ledger } from "../evidence.ts";

/** The rows of each employee, threaded in the serial order of the ledger. */
export interface VersionOrder {
  /** The row before this one that is about the same employee; -1 where there is none. */
  readonly previous: Int32Array;
  /** The last row about each employee. */
  readonly last: ReadonlyMap<number, number>;
}

export function orderVersions({ length, employee }: Ledger): VersionOrder {
  const previous = new Int32Array(length);
  const last = new Map<number, number>();
  for (let row = 0; row < length; row++) {
    const id = employee[row]!;
    previous[row] = last.get(id) ?? -1;
    last.set(id, row);
  }
  return { previous, last };
}

/** `employee 7: ` where the run has more than one, so that a witness names the row it is about. */
export const employeePrefix = ({ plan }: Pick<Evidence, "plan">, employee: number) =>
  plan.rows > 1 ? `employee ${employee}: ` : "";
