import { setTimeout as sleep } from "node:timers/promises";
import type { PairRules } from "../contract.ts";
import { isDeadlock } from "../outcome.ts";
import type { Employee, Transaction } from "../rows.ts";
import type { Operation, Strategy } from "../strategy.ts";

/**
 * Two employees share a raise in one transaction. If two operations lock the same rows in opposite order, the database
 * ends one of them with a deadlock and rolls back its transaction. Then the whole transaction may be retried, never the
 * failed statement alone, after a random wait that keeps the two from colliding again.
 */
export const rowPair: Strategy = {
  async open({ rows, spec, random, retried }) {
    const rules = spec.pair ?? { order: "opposite", onDeadlock: "retry" };

    async function attempt(operation: Operation) {
      const [firstId, secondId] = pairOf(operation, spec.rows, rules);
      await rows.transaction(async (transaction) => {
        const first = await transaction.read(firstId, "FOR UPDATE");
        const second = await readSecond(transaction, secondId);
        operation.entered();
        const raise = (await operation.compute(first)) - first.salary;
        const share = Math.floor(raise / 2);
        await transaction.write(operation, first, first.salary + raise - share);
        await transaction.write(operation, second, second.salary + share);
      });
    }

    /** With `carry-on`, the mistake: after a deadlock there is no transaction, so the repeated read locks nothing. */
    async function readSecond(transaction: Transaction, id: number): Promise<Employee> {
      try {
        return await transaction.read(id, "FOR UPDATE");
      } catch (error) {
        if (rules.onDeadlock !== "carry-on" || !isDeadlock(error)) throw error;
        retried(error);
        return transaction.read(id, "FOR UPDATE");
      }
    }

    return {
      async mutate(operation) {
        for (let attempts = 1; ; attempts += 1) {
          try {
            return await attempt(operation);
          } catch (error) {
            if (rules.onDeadlock !== "retry" || !isDeadlock(error) || attempts === ATTEMPTS_MAX) throw error;
            retried(error);
            await sleep(random() * WAIT_MS_MAX * attempts);
          }
        }
      },
      async close() {},
    };
  },
};

const ATTEMPTS_MAX = 20;
const WAIT_MS_MAX = 10;

/** The employee of the operation and the next one, in lock order. */
function pairOf({ employeeId }: Operation, rows: number, { order }: PairRules): [number, number] {
  const other = (employeeId % rows) + 1;
  return order === "same" && other < employeeId ? [other, employeeId] : [employeeId, other];
}
