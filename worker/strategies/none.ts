import type { Strategy } from "../strategy.ts";

/** Nothing: whoever writes last wins, and the raises that it did not see are lost. The control that must be violated. */
export const none: Strategy = {
  async open({ rows }) {
    return {
      async mutate(operation) {
        const employee = await rows.read(operation.employeeId);
        const salary = await operation.compute(employee);
        await rows.write(operation, employee, salary);
      },
      async close() {},
    };
  },
};
