import { createMemoryLock } from "../locks/memory-lock.ts";
import type { Strategy } from "../strategy.ts";

/** A mutex inside the process: enough for the loops of one worker, and nothing at all between workers. */
export const memory: Strategy = {
  async open({ rows, spec }) {
    const lock = createMemoryLock();
    return {
      mutate: (operation) =>
        lock.using(operation.lockKey, { signal: operation.signal, timeoutMs: spec.lockTimeoutMs }, async () => {
          operation.entered();
          const employee = await rows.read(operation.employeeId);
          const salary = await operation.compute(employee);
          await rows.write(operation, employee, salary);
        }),
      close: () => lock.close(),
    };
  },
};
