/**
 * Replaces a strategy by one with a bug, in the worker that imports this module first:
 * `node --import ./test/support/plant.ts?bug=no-for-update worker/main.ts`. Each bug must be reported by the run.
 */
import { randomUUID } from "node:crypto";
import { registerHooks } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { strategies } from "../../worker/strategies/index.ts";
import type { Strategy } from "../../worker/strategy.ts";

/** Every n-th operation takes longer than the lock's TTL. */
const OVERSLEEP_EVERY = 20;

const UNLOCK = {
  delete: "return redis.call('del', KEYS[1])",
  "delete-if-exists": "if redis.call('get', KEYS[1]) then return redis.call('del', KEYS[1]) end return 0",
  "compare-and-delete": "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0",
};

/** A Redis lock as it is often written; the bug is in `value` or `unlock`. */
function naiveLock(value: () => string, unlock: keyof typeof UNLOCK): Strategy {
  return {
    async open({ rows, spec, redis, random }) {
      const connection = await redis("lock");
      let operations = 0;
      return {
        async mutate(operation) {
          const key = `holdfast:lock:{${spec.run}/${operation.employeeId}}:naive`;
          const mine = value();
          while ((await connection.set(key, mine, "PX", spec.lockTtlMs, "NX")) === null) await sleep(1 + random() * 3);
          operation.entered();
          const employee = await rows.read(operation.employeeId);
          operations += 1;
          if (operations % OVERSLEEP_EVERY === 0) await sleep(spec.lockTtlMs * 1.5);
          const salary = await operation.compute(employee);
          await rows.write(operation, employee, salary);
          await connection.eval(UNLOCK[unlock], 1, key, mine);
        },
        async close() {},
      };
    },
  };
}

export const bugs: Record<string, () => void> = {
  "constant-value": () => {
    strategies.redis = naiveLock(() => "locked", "delete-if-exists");
  },
  "unlock-without-compare": () => {
    strategies.redis = naiveLock(() => randomUUID(), "delete");
  },
  /** Correct except that the TTL is too short and the holder never checks whether it still holds the lock. */
  "ttl-below-hold": () => {
    strategies.redis = naiveLock(() => randomUUID(), "compare-and-delete");
  },
  "no-for-update": () => {
    strategies["row-lock"] = {
      async open({ rows }) {
        return {
          mutate: (operation) =>
            rows.transaction(async (transaction) => {
              const employee = await transaction.read(operation.employeeId);
              operation.entered();
              await transaction.write(operation, employee, await operation.compute(employee));
            }),
          async close() {},
        };
      },
    };
  },
  "outside-the-transaction": () => {
    strategies["row-lock"] = {
      async open({ rows }) {
        return {
          async mutate(operation) {
            const employee = await rows.transaction((transaction) =>
              transaction.read(operation.employeeId, "FOR UPDATE"),
            );
            operation.entered();
            await rows.write(operation, employee, await operation.compute(employee));
          },
          async close() {},
        };
      },
    };
  },
  "no-version-check": () => {
    strategies.version = {
      async open({ rows }) {
        return {
          async mutate(operation) {
            const employee = await rows.read(operation.employeeId);
            await rows.write(operation, employee, await operation.compute(employee));
          },
          async close() {},
        };
      },
    };
  },
  /** The transfers without the outer lock: the row locks alone are not enough. */
  "no-process-lock": () => {
    strategies.nested = {
      async open({ rows, spec }) {
        return {
          async mutate(operation) {
            const employeeId = 2 + (operation.employeeId % (spec.rows - 1));
            const reserve = await rows.read(1);
            const amount = (await operation.compute(reserve)) - reserve.salary;
            await rows.transaction(async (transaction) => {
              await transaction.write(operation, reserve, reserve.salary - amount);
              const employee = await transaction.read(employeeId, "FOR UPDATE");
              await transaction.write(operation, employee, employee.salary + amount);
            });
            operation.grantedNothing();
          },
          async close() {},
        };
      },
    };
  },
  /** Each worker has its own lock folder, which no other worker sees. */
  "folders-of-their-own": () => {
    process.env.HOLDFAST_LOCK_FOLDER += `-${process.env.HOLDFAST_INDEX}`;
  },
  /** Simulates an installation without optional packages. */
  "no-optional-packages": () => {
    registerHooks({
      resolve(specifier, context, next) {
        const missing = specifier === "redlock" || specifier === "redis-semaphore";
        return next(missing ? `missing-${specifier}` : specifier, context);
      },
    });
  },
  /** Reports one more commit than it made. */
  "over-claim": () => {
    const honest = strategies["row-lock"];
    strategies["row-lock"] = {
      async open(resources) {
        const session = await honest.open(resources);
        let operations = 0;
        return {
          async mutate(operation) {
            operations += 1;
            if (operations !== 5) await session.mutate(operation);
          },
          close: () => session.close(),
        };
      },
    };
  },
};

const bug = new URL(import.meta.url).searchParams.get("bug");
if (bug !== null) bugs[bug]?.();
