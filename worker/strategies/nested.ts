import { createRedisLock } from "../locks/redis-lock.ts";
import type { Operation, Strategy } from "../strategy.ts";

/**
 * Two locks with two purposes. Every other operation is a bonus: it moves money from the reserve, employee 1, to
 * another employee, and the total must not change. Only bonuses touch the reserve, so one lock around that process
 * guards it, no matter how many steps the process has. The other employees also get single raises outside the process,
 * so each write to them takes the row lock, in the fixed order reserve, employee.
 */
export const nested: Strategy = {
  async open({ rows, spec, redis, random, releaseFailed }) {
    const processLock = await createRedisLock(await redis("lock"), {
      ttlMs: spec.lockTtlMs,
      extend: spec.extend,
      random,
      onReleaseFailed: releaseFailed,
    });

    const bonus = (operation: Operation, employeeId: number) => {
      const waitOptions = { signal: operation.signal, timeoutMs: spec.lockTimeoutMs };
      return processLock.using(`${spec.run}/bonuses`, waitOptions, async (held) => {
        operation.entered();
        const reserve = await rows.read(RESERVE);
        const amount = (await operation.compute(reserve)) - reserve.salary;
        held.signal.throwIfAborted();
        await rows.transaction(async (transaction) => {
          await transaction.write(operation, reserve, reserve.salary - amount, { fence: held.fence });
          const employee = await transaction.read(employeeId, "FOR UPDATE");
          await transaction.write(operation, employee, employee.salary + amount);
        });
        operation.grantedNothing();
      });
    };

    const raise = (operation: Operation, employeeId: number) =>
      rows.transaction(async (transaction) => {
        const employee = await transaction.read(employeeId, "FOR UPDATE");
        operation.entered();
        await transaction.write(operation, employee, await operation.compute(employee));
      });

    return {
      mutate(operation) {
        const employeeId = RESERVE + 1 + (operation.employeeId % (spec.rows - 1));
        return operation.id % 2 === 0 ? bonus(operation, employeeId) : raise(operation, employeeId);
      },
      close: () => processLock.close(),
    };
  },
};

const RESERVE = 1;
