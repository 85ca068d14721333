import type { Strategy } from "../strategy.ts";

/**
 * Optimistic: nobody waits, and a write is refused when the row has another version than the one that was read.
 * The refused operation is counted as rejected; the next one reads again.
 */
export const version: Strategy = {
  async open({ rows }) {
    return {
      async mutate(operation) {
        const employee = await rows.read(operation.employeeId);
        const salary = await operation.compute(employee);
        await rows.write(operation, employee, salary, { version: employee.version });
      },
      async close() {},
    };
  },
};
