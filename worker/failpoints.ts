/** Injects the fault of the run's spec at its place in an operation. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Failpoint, Fault } from "./contract.ts";
import type { Employee, Rows, Transaction } from "./rows.ts";

export interface FailpointOptions {
  readonly fault: Fault;
  /** Index of this worker in the fleet. */
  readonly index: number;
  /** Time since the loops started; undefined before that. */
  readonly elapsedMs: () => number | undefined;
  /** Called each time before the fault happens. */
  readonly onFault: () => void;
  /** Reports what this worker did and ends the process. Gets the employee that the operation read, if there is one. */
  readonly die: (employee?: Employee) => Promise<never>;
}

/** Returns the same rows with the failpoints in them, so that a strategy needs no code for faults. */
export function withFailpoints(rows: Rows, options: FailpointOptions): Rows {
  const reach = failpoint(options);
  const inTransaction = (transaction: Transaction): Transaction => ({
    ...transaction,
    async read(employeeId, lock) {
      const employee = await transaction.read(employeeId, lock);
      await reach("after-read", employee);
      return employee;
    },
    async write(...write) {
      await reach("before-write", write[1]);
      return transaction.write(...write);
    },
    async add(...add) {
      await reach("before-write");
      return transaction.add(...add);
    },
  });
  return {
    ...rows,
    async read(employeeId) {
      const employee = await rows.read(employeeId);
      await reach("after-read", employee);
      return employee;
    },
    async write(...write) {
      await reach("before-write", write[1]);
      return rows.write(...write);
    },
    transaction: (body) => rows.transaction((transaction) => body(inTransaction(transaction))),
    connection: (body) =>
      rows.connection((connection) =>
        body({
          ...connection,
          transaction: (inside) => connection.transaction((transaction) => inside(inTransaction(transaction))),
        }),
      ),
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

function failpoint(options: FailpointOptions): (place: Failpoint, employee?: Employee) => Promise<void> {
  const { fault, index, elapsedMs, onFault } = options;
  let passed = 0;
  if (fault.worker !== undefined && fault.worker !== index) return async () => {};
  return async (place, employee) => {
    const elapsed = elapsedMs();
    if (place !== fault.at || elapsed === undefined || elapsed < fault.afterMs) return;
    passed += 1;
    if (passed % fault.every !== 0) return;
    onFault();
    await act(options, employee);
  };
}

async function act({ fault, die }: FailpointOptions, employee?: Employee): Promise<void> {
  switch (fault.action) {
    case "sleep":
      await sleep(fault.forMs);
      return;
    case "stall":
      return stall(fault.forMs);
    case "die":
      return die(employee);
    default:
      fault.action satisfies never;
      throw new Error(`the fault action ${fault.action} is not implemented`);
  }
}

/** Blocks the thread, so that no timer fires and no answer is read. */
function stall(ms: number) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
