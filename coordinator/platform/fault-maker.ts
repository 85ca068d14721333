/** Makes the faults of servers with the servers' own commands: the same ones on one machine and in a cluster. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import mysql, { type RowDataPacket } from "mysql2/promise";
import { type LockService, operationId } from "../../worker/contract.ts";
import { type MysqlVariables, mysqlOptions } from "../../worker/servers/mysql.ts";
import { onRedisError, openRedis, type RedisLogin } from "../../worker/servers/redis.ts";
import { ONE_SHOT_OPTIONS } from "../clients/redis.ts";
import { FOREIGN_WRITER } from "../judge/evidence.ts";
import {
  PLATFORM_FAULT_NAMES,
  type PlatformFaultName,
  SERVER_FAULT_NAMES,
  type ServerFault,
  type ServerFaultName,
} from "../plan/run-plan.ts";
import type { FaultedRun, MakeFault } from "./platform.ts";

/** The servers of which faults are made. One that is left out is not the report's own, and is left alone. */
export interface FaultedServers {
  /** All independent servers, and the user who makes the faults. */
  readonly redis?: { readonly urls: readonly string[]; readonly login: RedisLogin } | undefined;
  /** With the workers' own user. */
  readonly mysql?: MysqlVariables | undefined;
}

/** Makes one fault once, as {@link MakeFault}. */
export type MakeServerFault = (making: Making) => Promise<void>;

export interface Making extends FaultedRun {
  readonly servers: FaultedServers;
  readonly fault: ServerFault;
}

/** The server that a fault is made of, or why the platform cannot make the fault. */
export type FaultedServer = keyof FaultedServers | LockService | { readonly impossible: string };

/**
 * Why each fault cannot be made, by the server that it is a fault of; those that can be made are left out. `ofPlatform`
 * says it of the faults that a platform makes in its own way.
 */
export function missingFaults(
  reasons: Readonly<Record<keyof FaultedServers, string | undefined> & Partial<Record<LockService, string>>>,
  ofPlatform: Readonly<Record<PlatformFaultName, FaultedServer>>,
): Partial<Record<ServerFaultName, string>> {
  const reasonOf = (name: ServerFaultName) => {
    const server = isOfPlatform(name) ? ofPlatform[name] : FAULTS[name].needs;
    return typeof server === "object" ? server.impossible : reasons[server];
  };
  return Object.fromEntries(
    SERVER_FAULT_NAMES.flatMap((name) => {
      const reason = reasonOf(name);
      return reason === undefined ? [] : [[name, reason]];
    }),
  );
}

/** `ofPlatform` makes the faults that the platform makes in its own way. */
export const createFaultMaker =
  (servers: FaultedServers, ofPlatform: Readonly<Partial<Record<PlatformFaultName, MakeServerFault>>>): MakeFault =>
  async (fault, during) => {
    const { name } = fault;
    const make = isOfPlatform(name) ? ofPlatform[name] : FAULTS[name].make;
    if (make === undefined) throw new Error("this fault is not made here");
    await make({ servers, fault, ...during });
  };

// --- Internal helpers -----------------------------------------------------------------------------------------------

const isOfPlatform = (name: ServerFaultName): name is PlatformFaultName =>
  (PLATFORM_FAULT_NAMES as readonly ServerFaultName[]).includes(name);

interface FaultOfServer {
  readonly needs: keyof FaultedServers;
  readonly make: MakeServerFault;
}

const FAULTS: Readonly<Record<Exclude<ServerFaultName, PlatformFaultName>, FaultOfServer>> = {
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
export async function onEachRedis(servers: FaultedServers, command: (redis: Redis) => Promise<unknown>): Promise<void> {
  await Promise.all(servers.redis!.urls.map((url) => onRedis(servers, url, command)));
}

/** Throws the refusal of the server, or why it cannot be reached. */
export async function onRedis<T>(
  servers: FaultedServers,
  url: string,
  command: (redis: Redis) => Promise<T>,
): Promise<T> {
  const { connection, causeOf } = openFor(servers, url);
  try {
    return await command(connection);
  } catch (error) {
    throw causeOf(error);
  } finally {
    connection.disconnect();
  }
}

/** A connection that the caller disconnects. Throws as {@link onRedis}. */
export async function connectRedis(servers: FaultedServers, url: string): Promise<Redis> {
  const { connection, causeOf } = openFor(servers, url);
  try {
    await connection.connect();
    return connection;
  } catch (error) {
    connection.disconnect();
    throw causeOf(error);
  }
}

/** The driver rejects with "connection is closed"; the cause came before, as an event. */
function openFor({ redis }: FaultedServers, url: string) {
  const connection = openRedis({ REDIS_URL: url }, redis!.login, ONE_SHOT_OPTIONS);
  let refusal: Error | undefined;
  onRedisError(connection, (error) => {
    refusal = error;
  });
  return { connection, causeOf: (error: unknown) => refusal ?? error };
}

/** How long somebody may take to take the lock. */
const TAKEN_WITHIN_MS = 5_000;

/**
 * Waits until somebody has just taken a lock of the run on this server: then the time until its release is as long as it
 * can be. It is taken when its TTL begins anew.
 */
export async function untilTaken({ servers, run, over }: Making, url = servers.redis!.urls[0]!): Promise<void> {
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

/**
 * Waits until somebody has just taken a lock of the run on all of these servers. Its holder has the same value on each; one
 * that asked in vain has its value on some of them only.
 */
export async function untilTakenOnAll({ servers, run, over }: Making, urls: readonly string[]): Promise<void> {
  const holderOn = (url: string) =>
    onRedis(servers, url, async (redis) => {
      const [key] = await heldKeys(redis, run);
      return key === undefined ? null : redis.get(key);
    });
  const holder = async () => {
    const [first = null, ...others] = await Promise.all(urls.map(holderOn));
    return others.every((other) => other === first) ? first : null;
  };
  const deadline = performance.now() + TAKEN_WITHIN_MS;
  const before = await holder();
  for (let now = before; now === null || now === before; now = await holder()) {
    over.throwIfAborted();
    if (performance.now() > deadline) throw new Error(`nobody took a lock for ${TAKEN_WITHIN_MS} ms`);
    await sleep(2);
  }
}

/** The keys that say who holds a lock of the run, without those of its waiters and of its tokens. */
export const heldKeys = async (redis: Redis, run: string) =>
  (await redis.keys(`holdfast:*${run}*`)).filter((key) => !/:(queue|fence)$/.test(key));

async function deleteLock(making: Making): Promise<void> {
  await untilTaken(making);
  await onEachRedis(making.servers, async (redis) => {
    const keys = await heldKeys(redis, making.run);
    if (keys.length > 0) await redis.del(keys);
  });
}

async function onMysql({ mysql: server }: FaultedServers, work: (connection: mysql.Connection) => Promise<void>) {
  const connection = await mysql.createConnection(mysqlOptions(server!));
  try {
    await work(connection);
  } finally {
    connection.destroy();
  }
}

/**
 * Writes a row as somebody who knows nothing of locks. So that the judge knows of the write, it has a row in the ledger; the
 * foreign writer holds nothing between a read and a write, so both have the same time. A transaction that the database
 * ends for a deadlock is made again.
 */
function writeRow({ servers, run, time }: Making): Promise<void> {
  return onMysql(servers, async (connection) => {
    await connection.query("SET time_zone = '+00:00'");
    for (let attempts = 1; ; attempts += 1) {
      try {
        return await writeOnce(connection, run, operationId(FOREIGN_WRITER, time));
      } catch (error) {
        if (!isDeadlock(error) || attempts === ATTEMPTS_MAX) throw error;
      }
    }
  });
}
const ATTEMPTS_MAX = 20;
const isDeadlock = (error: unknown) => (error as { readonly code?: unknown }).code === "ER_LOCK_DEADLOCK";

async function writeOnce(connection: mysql.Connection, run: string, op: number): Promise<void> {
  await connection.beginTransaction();
  const [[row]] = await connection.query<RowDataPacket[]>(
    "SELECT id, version, salary, last_op FROM employee WHERE run = ? ORDER BY id LIMIT 1 FOR UPDATE",
    [run],
  );
  const { id, version, salary, last_op: lastOp } = row!;
  await connection.query(
    "UPDATE employee SET version = version + 1, salary = salary + ?, last_op = ? WHERE run = ? AND id = ?",
    [FOREIGN_RAISE, op, run, id],
  );
  await connection.query(INSERT_FOREIGN, [run, id, op, lastOp, version, version + 1, salary, salary + FOREIGN_RAISE]);
  await connection.commit();
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
