import type { Guard } from "./contract.ts";
import type { Employee, Rows } from "./rows.ts";
import type { Operation } from "./strategy.ts";

/** Token of a lock that has none. `fence-write` ignores it; `fence-claim` rejects every operation that carries it. */
export const NO_FENCE = 0;

/** Read and write of a locked row, with the extra condition that the run's guard adds to the write itself. */
export interface GuardedRow {
  /** `fence` is the token of the lock. */
  read(employeeId: number, fence: number): Promise<Employee>;
  write(operation: Operation, employee: Employee, salary: number, fence: number): Promise<void>;
}

/**
 * A token that is checked only on the write stops a late writer, but not a writer that read before an older holder's
 * write was accepted. A token that is claimed before the read stops both, as does the version.
 */
export function guardedRow(rows: Rows, guard: Guard): GuardedRow {
  return {
    async read(employeeId, fence) {
      if (guard === "fence-claim") await rows.claim(employeeId, fence);
      return rows.read(employeeId);
    },
    write(operation, employee, salary, fence) {
      switch (guard) {
        case "none":
          return rows.write(operation, employee, salary, { fence });
        case "version":
          return rows.write(operation, employee, salary, { fence, version: employee.version });
        case "fence-write":
          return rows.write(operation, employee, salary, fence === NO_FENCE ? {} : { fence, fenceAbove: fence });
        case "fence-claim":
          return rows.write(operation, employee, salary, { fence, fenceIs: fence });
      }
    },
  };
}
