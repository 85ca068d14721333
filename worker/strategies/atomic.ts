import type { Strategy } from "../strategy.ts";

/**
 * No lock and no read: one statement, `SET salary = salary + ?`, which the database makes atomic by itself.
 * The work of the operation is done before it, beside others. That is possible because this rule can be said in SQL and
 * needs nothing that the row holds; a rule that must see the salary first is the strategy `version` or a lock.
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
