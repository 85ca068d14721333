import { setTimeout as sleep } from "node:timers/promises";
import { isDeadlock } from "../outcome.ts";
import type { Operation, Strategy } from "../strategy.ts";

/**
 * Reads under a shared lock and writes under an exclusive one. Two who have read wait for each other, so the database ends
 * one of them as a deadlock: right, and expensive. It has rolled back the whole transaction, so all of it is tried again,
 * from the read on, after a random wait that keeps the two from meeting again.
 */
export const sharedRowLock: Strategy = {
  async open({ rows, spec, random, retried }) {
    const attempt = (operation: Operation) =>
      rows.transaction(async (transaction) => {
        const employee = await transaction.read(operation.employeeId, "LOCK IN SHARE MODE");
        await transaction.write(operation, employee, await operation.compute(employee));
      });
    return {
      async mutate(operation) {
        const deadline = performance.now() + spec.lockTimeoutMs;
        for (let attempts = 1; ; attempts += 1) {
          try {
            return await attempt(operation);
          } catch (error) {
            if (!isDeadlock(error) || operation.signal.aborted || performance.now() >= deadline) throw error;
            retried(error);
            await sleep(random() * Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** attempts));
          }
        }
      },
      async close() {},
    };
  },
};

const FIRST_WAIT_MS = 4;
const LONGEST_WAIT_MS = 200;
