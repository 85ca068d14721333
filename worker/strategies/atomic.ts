import type { Strategy } from "../strategy.ts";

/**
 * No lock and no read: one statement, `SET salary = salary + ?`, which is atomic in the database. The work of the
 * operation is done before it, in parallel with others. That is possible because this rule can be expressed in SQL and
 * needs nothing from the row. A rule that must read the salary first needs the strategy `version` or a lock.
 */
export const atomic: Strategy = {
  async open({ rows }) {
    return {
      async mutate(operation) {
        await operation.work();
        await rows.transaction((transaction) => transaction.add(operation, operation.employeeId, operation.raise));
      },
      async close() {},
    };
  },
};
