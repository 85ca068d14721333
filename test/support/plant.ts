/**
 * Replaces a strategy by one with a bug, in the worker that imports this module first:
 * `node --import ./test/support/plant.ts?bug=no-for-update worker/main.ts`. Each bug must be reported by the run.
 */
import { randomUUID } from "node:crypto";
import { registerHooks } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { SEED_KEY_PREFIX } from "../../worker/contract.ts";
import { lockedSession } from "../../worker/lock-session.ts";
import { createConstantValueLock } from "../../worker/locks/constant-value-lock.ts";
import { completeLock, type Lock } from "../../worker/locks/lock.ts";
import { createRedisLock } from "../../worker/locks/redis-lock.ts";
import { createRedlock } from "../../worker/locks/redlock.ts";
import type { Employee } from "../../worker/rows.ts";
import { strategies } from "../../worker/strategies/index.ts";
import type { Resources, Session, Strategy } from "../../worker/strategy.ts";
import { consulBugs } from "./plant-consul.ts";
import { etcdBugs } from "./plant-etcd.ts";

/** Every n-th operation takes longer than the lock's TTL. */
const OVERSLEEP_EVERY = 20;

const UNLOCK = {
  delete: "return redis.call('del', KEYS[1])",
  "delete-if-exists": "if redis.call('get', KEYS[1]) then return redis.call('del', KEYS[1]) end return 0",
  "compare-and-delete": "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0",
};

/** A Redis lock as it is often written; the bug is in `value` or `unlock`. */
function naiveLock(value: () => string, unlock: keyof typeof UNLOCK, onError: "throw" | "go-on" = "throw"): Strategy {
  const tolerate = async <T>(answer: Promise<T>): Promise<T | undefined> =>
    onError === "throw" ? answer : answer.catch(() => undefined);
  return {
    async open({ rows, spec, redis, random }) {
      const connection = await redis("lock");
      let operations = 0;
      return {
        async mutate(operation) {
          const key = `holdfast:lock:{${spec.run}/${operation.employeeId}}:naive`;
          const mine = value();
          while ((await tolerate(connection.set(key, mine, "PX", spec.lockTtlMs, "NX"))) === null)
            await sleep(1 + random() * 3);
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

/** The product's own Redis lock with changed scripts: `change` gets each of them. */
function changedScripts(change: (script: string) => string) {
  const honest = strategies.redis;
  strategies.redis = {
    open: (resources) =>
      honest.open({
        ...resources,
        async redis(user) {
          const connection = await resources.redis(user);
          const define = connection.defineCommand.bind(connection);
          connection.defineCommand = (name, definition) => define(name, { ...definition, lua: change(definition.lua) });
          return connection;
        },
      }),
  };
}

/** The product's own Redis lock, used by another session. */
function redisLockWith(open: (lock: Lock, resources: Resources) => Session) {
  strategies.redis = {
    async open(resources) {
      const { spec, redis, random, releaseFailed } = resources;
      const options = { ttlMs: spec.lockTtlMs, extend: spec.extend, random, onReleaseFailed: releaseFailed };
      return open(await createRedisLock(await redis("lock"), options), resources);
    },
  };
}

export const bugs: Record<string, () => void> = {
  ...etcdBugs,
  ...consulBugs,
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
  /** An error is taken for an answer: whoever cannot ask for the lock goes on without it. */
  "fails-open": () => {
    strategies.redis = naiveLock(() => randomUUID(), "compare-and-delete", "go-on");
  },
  /** A release without an answer is sent again later, without looking whose lock it is. */
  "releases-again": () => {
    strategies["seed-mutex"] = {
      async open(resources) {
        const connection = await resources.redis("seed");
        const lock = createConstantValueLock(connection, { ttlMs: resources.spec.lockTtlMs, pollMs: 2 });
        const releaseAgain = async (key: string) => {
          for (let attempt = 0; attempt < 20; attempt += 1) {
            await sleep(25);
            await connection.del(SEED_KEY_PREFIX + key).catch(() => {});
          }
        };
        return lockedSession(
          {
            ...lock,
            async using(key, options, body) {
              const held = await lock.acquire(key, options);
              try {
                return await body(held);
              } finally {
                await held.release().catch(() => releaseAgain(key));
              }
            },
          },
          resources,
        );
      },
    };
  },
  /** An operation whose COMMIT was not answered is made again, as if it had been rejected. */
  "commits-again": () => {
    const honest = strategies["row-lock"];
    strategies["row-lock"] = {
      async open(resources) {
        const session = await honest.open(resources);
        const mutate: Session["mutate"] = (operation) =>
          session.mutate(operation).catch(() => session.mutate(operation));
        return { ...session, mutate };
      },
    };
  },
  /** After a lost connection, the write is made on another one, with what was read before. */
  "writes-elsewhere": () => {
    strategies["row-lock"] = {
      async open({ rows }) {
        return {
          async mutate(operation) {
            let read: { employee: Employee; salary: number } | undefined;
            try {
              await rows.transaction(async (transaction) => {
                const employee = await transaction.read(operation.employeeId, "FOR UPDATE");
                operation.entered();
                read = { employee, salary: await operation.compute(employee) };
                await transaction.write(operation, employee, read.salary);
              });
            } catch (error) {
              if (read === undefined) throw error;
              await rows.write(operation, read.employee, read.salary);
            }
          },
          async close() {},
        };
      },
    };
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
  /** Reads under a shared lock, as `shared-row-lock` does, where an exclusive one is claimed: only deadlocks reject. */
  "shared-read": () => {
    strategies["row-lock"] = {
      async open({ rows }) {
        return {
          mutate: (operation) =>
            rows.transaction(async (transaction) => {
              const employee = await transaction.read(operation.employeeId, "LOCK IN SHARE MODE");
              operation.entered();
              await transaction.write(operation, employee, await operation.compute(employee));
            }),
          async close() {},
        };
      },
    };
  },
  /** A lock that everybody gets at once. */
  "no-lock": () => {
    const held = { fence: 0, signal: new AbortController().signal, extend: async () => {}, release: async () => {} };
    const lock = completeLock({}, { acquire: async (key) => ({ ...held, key }), close: async () => {} });
    strategies.file = { open: async (resources) => lockedSession(lock, resources) };
  },
  /** The late holder releases the lock of the next one. */
  "release-without-compare": () =>
    changedScripts((script) => {
      const honest = "if redis.call('GET', owner) ~= id then return 0 end\n  if not hand_over()";
      if (!script.includes(honest)) throw new Error("the script of the release has changed");
      return script.replace(honest, "if not hand_over()");
    }),
  /** An extension that answers that it was carried out, and was not. */
  "extends-nothing": () =>
    changedScripts((script) => script.replace("redis.call('PEXPIRE', owner, lease(id))\nreturn 1", "return 1")),
  /** The hold never learns that its lease has ended, so the look before the write sees nothing. */
  "never-notices": () =>
    redisLockWith((lock, resources) => {
      const signal = new AbortController().signal;
      const using: Lock["using"] = (key, options, body) =>
        lock.using(key, options, (held) => body({ ...held, signal }));
      return lockedSession({ ...lock, using }, resources);
    }),
  /** Nobody asks before the write whether the lock is still held. */
  "no-look": () =>
    redisLockWith((lock, { rows, spec }) => ({
      mutate: (operation) =>
        lock.using(operation.lockKey, { timeoutMs: spec.lockTimeoutMs }, async () => {
          operation.entered();
          const employee = await rows.read(operation.employeeId);
          await rows.write(operation, employee, await operation.compute(employee));
        }),
      close: () => lock.close(),
    })),
  /** One of the independent servers is enough, so two holders may have one each. */
  "quorum-of-one": () => {
    strategies.redlock = {
      async open(resources) {
        const connections = resources.redisServers("lock");
        const one = connections[Number(process.env.HOLDFAST_INDEX) % connections.length]!;
        return lockedSession(await createRedlock([one], { ttlMs: resources.spec.lockTtlMs }), resources);
      },
    };
  },
  /** Removes a raise from the queue only after the transaction that applied it: others apply it as well. */
  "removed-too-late": () => {
    strategies["skip-locked"] = {
      async open({ rows, spec }) {
        return {
          mutate: (operation) =>
            rows.connection(async (connection) => {
              const mine = [spec.run, operation.id];
              await connection.query("INSERT INTO pending (run, op, employee_id, raise) VALUES (?, ?, ?, ?)", [
                ...mine,
                operation.employeeId,
                operation.raise,
              ]);
              await connection.transaction(async (transaction) => {
                const taken = await transaction.query<{ op: number; raise: number }[]>(
                  "SELECT op, raise FROM pending WHERE run = ? ORDER BY op LIMIT 50",
                  [spec.run],
                );
                for (const { op, raise } of taken) await transaction.add({ id: op }, operation.employeeId, raise);
              });
              await connection.query("DELETE FROM pending WHERE run = ? AND op = ?", mine);
            }),
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
  /** Simulates a busy node: the first worker is stopped from the start command until 600 ms after the start. */
  "starts-late": () => {
    const { parse } = JSON;
    const stopped = new Int32Array(new SharedArrayBuffer(4));
    JSON.parse = (text, reviver) => {
      const value = parse(text, reviver);
      if (value?.command === "start" && process.env.HOLDFAST_INDEX === "0") {
        JSON.parse = parse;
        Atomics.wait(stopped, 0, 0, value.inMs + 600);
      }
      return value;
    };
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
