import type { Strategy } from "../strategy.ts";

/**
 * Optimistic: no operation waits, and a write is rejected if the row no longer has the version that was read. The
 * operation counts as rejected, and is not retried here.
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
