import { guardedRow } from "./guarded-row.ts";
import type { Lock } from "./locks/lock.ts";
import type { Resources, Session } from "./strategy.ts";

/** The session of every lock outside the database: while it is held, read, compute and write under the run's guard. */
export function lockedSession(lock: Lock, { rows, spec }: Pick<Resources, "rows" | "spec">): Session {
  const row = guardedRow(rows, spec.guard);
  return {
    mutate: (operation) =>
      lock.using(operation.lockKey, { signal: operation.signal, timeoutMs: spec.lockTimeoutMs }, async (held) => {
        operation.entered();
        const employee = await row.read(operation.employeeId, held.fence);
        const salary = await operation.compute(employee);
        // The last moment at which a lost lock can be noticed here. A guard notices it later, in the write.
        await held.check?.();
        held.signal.throwIfAborted();
        await row.write(operation, employee, salary, held.fence);
      }),
    close: () => lock.close(),
  };
}
