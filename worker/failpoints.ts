/** Makes go wrong, at named places, what the run's spec says shall go wrong. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Failpoint, Fault } from "./contract.ts";
import type { Employee, Rows, Transaction } from "./rows.ts";

export interface FailpointOptions {
  readonly fault: Fault;
  /** Of this worker. */
  readonly index: number;
  /** Time since the start of the operations; undefined before it. */
  readonly elapsedMs: () => number | undefined;
  /** Told each time before it happens. */
  readonly happens: () => void;
  /** Hands in what this worker did, and ends the process. Told what was read, where it is known. */
  readonly die: (employee?: Employee) => Promise<never>;
}

/** The same rows, with the failpoints in their way. Strategies know nothing of it. */
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

function failpoint({
  fault,
  index,
  elapsedMs,
  happens,
  die,
}: FailpointOptions): (place: Failpoint, employee?: Employee) => Promise<void> {
  let passed = 0;
  if (fault.worker !== undefined && fault.worker !== index) return async () => {};
  return async (place, employee) => {
    const elapsed = elapsedMs();
    if (place !== fault.at || elapsed === undefined || elapsed < fault.afterMs) return;
    passed += 1;
    if (passed % fault.every !== 0) return;
    happens();
    if (fault.action === "sleep") await sleep(fault.forMs);
    else if (fault.action === "stall") standStill(fault.forMs);
    else await die(employee);
  };
}

/** No timer fires and no answer is read while the thread waits here. */
function standStill(ms: number) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
