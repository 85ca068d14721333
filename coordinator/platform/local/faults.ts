/** Makes the faults of private servers. A server that the user names is left alone. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import mysql, { type RowDataPacket } from "mysql2/promise";
import { operationId } from "../../../worker/contract.ts";
import { mysqlOptions } from "../../../worker/servers/mysql.ts";
import { openRedis } from "../../../worker/servers/redis.ts";
import { ONE_SHOT_OPTIONS } from "../../clients/redis.ts";
import { FOREIGN_WRITER } from "../../judge/evidence.ts";
import { SERVER_FAULT_NAMES, type ServerFault, type ServerFaultName } from "../../plan/run-plan.ts";
import type { FaultedRun, MakeFault } from "../platform.ts";
import type { Servers } from "./servers/index.ts";

/** Why each fault cannot be made with these servers; those that can are left out. */
export function missingFaults({ mysql, redis }: Servers): Partial<Record<ServerFaultName, string>> {
  const reasonOf = (name: ServerFaultName) => {
    if (FAULTS[name].needs === "mysql")
      return mysql === undefined ? "faults of MySQL are not made on a server that you name (MYSQL_URL)" : undefined;
    return redis === undefined ? "faults of Redis are not made on a server that you name (REDIS_URL)" : undefined;
  };
  return Object.fromEntries(
    SERVER_FAULT_NAMES.flatMap((name) => {
      const reason = reasonOf(name);
      return reason === undefined ? [] : [[name, reason]];
    }),
  );
}

/** The servers must have a `faultUser`. */
export const createFaultMaker =
  (servers: Servers): MakeFault =>
  (fault, during) =>
    FAULTS[fault.name].make({ servers, fault, ...during });

// --- Internal helpers -----------------------------------------------------------------------------------------------

interface Making extends FaultedRun {
  readonly servers: Servers;
  readonly fault: ServerFault;
}

interface FaultOfServer {
  readonly needs: "redis" | "mysql";
  make(making: Making): Promise<void>;
}

const FAULTS: Readonly<Record<ServerFaultName, FaultOfServer>> = {
  "lock-deleted": { needs: "redis", make: deleteLock },
  "redis-data-loss": {
    needs: "redis",
    async make(making) {
      await untilTaken(making);
      await onEachRedis(making.servers, (redis) => redis.flushall());
    },
  },
  "redis-stall": {
    needs: "redis",
    async make(making) {
      const { servers, fault } = making;
      await untilTaken(making);
      await onEachRedis(servers, (redis) => redis.client("PAUSE", fault.forMs, "ALL"));
      await sleep(fault.forMs);
      await onEachRedis(servers, (redis) => redis.ping());
    },
  },
  "foreign-writer": { needs: "mysql", make: writeRow },
  "mysql-kill-connections": { needs: "mysql", make: killConnections },
};

/** All servers at once. */
async function onEachRedis(servers: Servers, command: (redis: Redis) => Promise<unknown>): Promise<void> {
  await Promise.all((servers.redis?.urls ?? []).map((url) => onRedis(servers, url, command)));
}

async function onRedis<T>({ redis }: Servers, url: string, command: (redis: Redis) => Promise<T>): Promise<T> {
  const connection = openRedis({ REDIS_URL: url }, redis?.faultLogin ?? {}, ONE_SHOT_OPTIONS);
  connection.on("error", () => {});
  try {
    return await command(connection);
  } finally {
    connection.disconnect();
  }
}

/** How long somebody may take to take the lock. */
const TAKEN_WITHIN_MS = 5_000;

/**
 * Waits until somebody has just taken a lock of the run on this server: then the time until its release is as long as it
 * can be. It is taken when its TTL begins anew.
 */
async function untilTaken({ servers, run, over }: Making, url = servers.redis!.url): Promise<void> {
  const deadline = performance.now() + TAKEN_WITHIN_MS;
  await onRedis(servers, url, async (redis) => {
    for (let before: number | undefined; ; ) {
      const [key] = await heldKeys(redis, run);
      const leftMs = key === undefined ? -1 : await redis.pttl(key);
      if (before !== undefined && leftMs > before) return;
      before = leftMs;
      over.throwIfAborted();
      if (performance.now() > deadline) throw new Error(`nobody took a lock for ${TAKEN_WITHIN_MS} ms`);
      await sleep(2);
    }
  });
}

/** The keys that say who holds a lock of the run, without those of its waiters and of its tokens. */
const heldKeys = async (redis: Redis, run: string) =>
  (await redis.keys(`holdfast:*${run}*`)).filter((key) => !/:(queue|fence)$/.test(key));

async function deleteLock(making: Making): Promise<void> {
  await untilTaken(making);
  await onEachRedis(making.servers, async (redis) => {
    const keys = await heldKeys(redis, making.run);
    if (keys.length > 0) await redis.del(keys);
  });
}

async function onMysql({ mysql: server }: Servers, work: (connection: mysql.Connection) => Promise<void>) {
  const connection = await mysql.createConnection(mysqlOptions({ MYSQL_URL: server!.url }));
  try {
    await work(connection);
  } finally {
    connection.destroy();
  }
}

/**
 * Writes a row as somebody who knows nothing of locks. So that the judge knows of the write, it has a row in the ledger; the
 * foreign writer holds nothing between a read and a write, so both have the same time.
 */
function writeRow({ servers, run, time }: Making): Promise<void> {
  return onMysql(servers, async (connection) => {
    await connection.query("SET time_zone = '+00:00'");
    await connection.beginTransaction();
    const [[row]] = await connection.query<RowDataPacket[]>(
      "SELECT id, version, salary, last_op FROM employee WHERE run = ? ORDER BY id LIMIT 1 FOR UPDATE",
      [run],
    );
    const { id, version, salary, last_op: lastOp } = row!;
    const op = operationId(FOREIGN_WRITER, time);
    await connection.query(
      "UPDATE employee SET version = version + 1, salary = salary + ?, last_op = ? WHERE run = ? AND id = ?",
      [FOREIGN_RAISE, op, run, id],
    );
    await connection.query(INSERT_FOREIGN, [run, id, op, lastOp, version, version + 1, salary, salary + FOREIGN_RAISE]);
    await connection.commit();
  });
}
const FOREIGN_RAISE = 5;
const INSERT_FOREIGN = `
  INSERT INTO ledger (run, employee_id, op, read_op, read_version, new_version, read_salary, new_salary, raise, fence, read_at, written_at)
  SELECT ?, ?, ?, ?, ?, ?, ?, ?, ${FOREIGN_RAISE}, 0, now.at, now.at FROM (SELECT SYSDATE(6) AS at) AS now`;

/** An account may see and end its own connections, so this needs no further right. */
function killConnections({ servers }: Making): Promise<void> {
  return onMysql(servers, async (connection) => {
    const [own] = await connection.query<RowDataPacket[]>("SELECT CONNECTION_ID() AS id");
    const [all] = await connection.query<RowDataPacket[]>("SHOW PROCESSLIST");
    // One that has ended in the meantime cannot be killed.
    for (const { Id } of all) if (Id !== own[0]!.id) await connection.query("KILL ?", [Id]).catch(() => {});
  });
}
