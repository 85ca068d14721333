import type { Strategy } from "../strategy.ts";

/**
 * Pessimistic, in the database: the read takes the row lock, and COMMIT releases it. Lock and write share one
 * transaction, so a session that loses the lock loses the write as well.
 */
export const rowLock: Strategy = {
  async open({ rows }) {
    return {
      mutate: (operation) =>
        rows.transaction(async (transaction) => {
          const employee = await transaction.read(operation.employeeId, "FOR UPDATE");
          operation.entered();
          const salary = await operation.compute(employee);
          await transaction.write(operation, employee, salary);
        }),
      async close() {},
    };
  },
};
