import type { Strategy } from "../strategy.ts";

/**
 * Pessimistic, in the database: the read takes the lock of the row, and COMMIT gives it back.
 * Lock and write share one transaction, so whoever loses the lock has lost the write as well.
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
