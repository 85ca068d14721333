import { setTimeout as sleep } from "node:timers/promises";
import { isDeadlock } from "../outcome.ts";
import type { Operation, Strategy } from "../strategy.ts";

/**
 * Reads under a shared lock and writes under an exclusive one. Two operations that have both read wait for each other,
 * so the database ends one of them with a deadlock: correct, and expensive. The database rolls back the whole
 * transaction, so all of it is retried, beginning with the read, after a random wait that keeps the two from colliding
 * again.
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
            await sleep(random() * Math.min(WAIT_MS_MAX, FIRST_WAIT_MS * 2 ** attempts));
          }
        }
      },
      async close() {},
    };
  },
};

const FIRST_WAIT_MS = 4;
const WAIT_MS_MAX = 200;
