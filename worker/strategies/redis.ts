import { guardedRow } from "../guard.ts";
import { createRedisLock } from "../locks/redis-lock.ts";
import type { Strategy } from "../strategy.ts";

/**
 * A lock in one Redis, handed from holder to waiter in order, extended while it is held.
 * It is a lease: a holder that stands still for longer than the TTL loses it, and only a guard in the write stops it then.
 */
export const redis: Strategy = {
  async open({ rows, spec, redis, random, releaseFailed }) {
    const lock = await createRedisLock(await redis("lock"), {
      ttlMs: spec.lockTtlMs,
      extend: spec.extend,
      random,
      onReleaseFailed: releaseFailed,
    });
    const row = guardedRow(rows, spec.guard);
    return {
      mutate: (operation) =>
        lock.using(operation.lockKey, { signal: operation.signal, timeoutMs: spec.lockTimeoutMs }, async (held) => {
          operation.entered();
          const employee = await row.read(operation.employeeId, held.fence);
          const salary = await operation.compute(employee);
          held.signal.throwIfAborted();
          await row.write(operation, employee, salary, held.fence);
        }),
      close: () => lock.close(),
    };
  },
};
