import { guardedRow, NO_FENCE } from "../guarded-row.ts";
import type { Strategy } from "../strategy.ts";

/** No lock: the last write wins, and raises that it did not read are lost. The control that must be violated. */
export const none: Strategy = {
  async open({ rows, spec }) {
    const row = guardedRow(rows, spec.guard);
    return {
      async mutate(operation) {
        const employee = await row.read(operation.employeeId, NO_FENCE);
        const salary = await operation.compute(employee);
        await row.write(operation, employee, salary, NO_FENCE);
      },
      async close() {},
    };
  },
};
