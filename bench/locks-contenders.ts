/** The locks that bench/locks.ts compares. `acquire` of each resolves to its `release`. */
import type { Redis } from "ioredis";
import { Mutex } from "redis-semaphore";
import Redlock from "redlock";
import { consulApi } from "../worker/locks/consul-api.ts";
import { createConsulLock } from "../worker/locks/consul-lock.ts";
import { etcdApi } from "../worker/locks/etcd-api.ts";
import { createEtcdLock } from "../worker/locks/etcd-lock.ts";
import { createRedisLock } from "../worker/locks/redis-lock.ts";
import { createZooKeeperLock } from "../worker/locks/zookeeper-lock.ts";
import { consulAccess, openConsul } from "../worker/servers/consul.ts";
import { etcdAccess, openEtcd } from "../worker/servers/etcd.ts";
import { type ZooKeeperClient, zooKeeperClient } from "../worker/servers/zookeeper-session.ts";

export type Release = () => Promise<unknown>;
export interface Contender {
  readonly acquire: () => Promise<Release>;
  readonly close?: () => Promise<unknown>;
  /** Requests that were sent so far, where they do not go over the connection to Redis. */
  readonly requests?: () => number;
}

export const KEY = "holdfast:lock:bench";
const TTL_MS = 10_000;
const WAIT_MS = 60_000;

const semaphore = (retryInterval: number) => async (connection: Redis) => ({
  async acquire() {
    const mutex = new Mutex(connection, KEY, { lockTimeout: TTL_MS, acquireTimeout: WAIT_MS, retryInterval });
    await mutex.acquire();
    return () => mutex.release();
  },
});

/**
 * Retries without limit, so that no acquisition fails. The delay is the default, or `retryDelay` with half of it as
 * jitter.
 */
const redlock = (retryDelay?: number) => async (connection: Redis) => {
  const delays = retryDelay === undefined ? {} : { retryDelay, retryJitter: retryDelay / 2 };
  const client = new Redlock([connection], { retryCount: -1, ...delays });
  return {
    async acquire() {
      const lock = await client.lock(KEY, TTL_MS);
      return () => lock.unlock();
    },
  };
};

const DELETE_OWN = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`;

export const CONTENDERS = {
  holdfast: async (connection) => {
    const lock = await createRedisLock(connection, { ttlMs: TTL_MS, timeoutMs: WAIT_MS });
    return {
      async acquire() {
        const held = await lock.acquire("bench");
        return () => held.release();
      },
      close: () => lock.close(),
    };
  },
  /** Like the lock's `using`: the next request does not wait for the answer to the release. */
  "holdfast, using": async (connection) => {
    const lock = await createRedisLock(connection, { ttlMs: TTL_MS, timeoutMs: WAIT_MS });
    return {
      async acquire() {
        const held = await lock.acquire("bench");
        return async () => void held.release();
      },
      close: () => lock.close(),
    };
  },
  /** On the server that the environment of the worker names. */
  zookeeper: async () => {
    const { ZOOKEEPER_URL = "", ZOOKEEPER_PASSWORD } = process.env;
    const client = zooKeeperClient({ ZOOKEEPER_URL, ZOOKEEPER_PASSWORD });
    let requests = 0;
    const counted = new Set<string | symbol>(["create", "delete", "exists", "children", "watch"]);
    const open: ZooKeeperClient["open"] = (options) =>
      new Proxy(client.open(options), {
        get(session, name) {
          if (counted.has(name)) requests += 1;
          return Reflect.get(session, name);
        },
      });
    const lock = await createZooKeeperLock({ ...client, open }, { ttlMs: TTL_MS, timeoutMs: WAIT_MS });
    return {
      async acquire() {
        const held = await lock.acquire("bench");
        return () => held.release();
      },
      close: () => lock.close(),
      requests: () => requests,
    };
  },
  /** On the server that the environment of the worker names. */
  consul: async () => {
    const { CONSUL_URL = "", CONSUL_TOKEN } = process.env;
    const access = consulAccess({ CONSUL_URL, CONSUL_TOKEN });
    const connection = openConsul(access, access.token);
    let requests = 0;
    const send: typeof connection.send = (request) => {
      requests += 1;
      return connection.send(request);
    };
    const lock = await createConsulLock(consulApi({ ...connection, send }), { ttlMs: TTL_MS, timeoutMs: WAIT_MS });
    return {
      async acquire() {
        const held = await lock.acquire("bench");
        return () => held.release();
      },
      async close() {
        await lock.close();
        connection.close();
      },
      requests: () => requests,
    };
  },
  /** On the server that the environment of the worker names. */
  etcd: async () => {
    const { ETCD_URL = "", ETCD_PASSWORD } = process.env;
    const access = etcdAccess({ ETCD_URL, ETCD_PASSWORD });
    const connection = openEtcd(access, access.login);
    let requests = 0;
    const send: typeof connection.send = (...values) => {
      requests += 1;
      return connection.send(...values);
    };
    const lock = await createEtcdLock(etcdApi({ ...connection, send }), { ttlMs: TTL_MS, timeoutMs: WAIT_MS });
    return {
      async acquire() {
        const held = await lock.acquire("bench");
        return () => held.release();
      },
      async close() {
        await lock.close();
        connection.close();
      },
      requests: () => requests,
    };
  },
  "redis-semaphore, 5 ms": semaphore(5),
  "redis-semaphore, 10 ms (default)": semaphore(10),
  "redis-semaphore, 20 ms": semaphore(20),
  "redlock 4, 10 ms": redlock(10),
  "redlock 4, 200 ms (default)": redlock(),
  /**
   * A token in a list. This shows the limit of the server; it is no usable lock, because a holder that dies takes the
   * token with it.
   */
  "limit: BLPOP": async (connection) => ({
    async acquire() {
      await connection.blpop(KEY, 0);
      return () => connection.lpush(KEY, "token");
    },
  }),
  "limit: BLPOP, release not awaited": async (connection) => ({
    async acquire() {
      await connection.blpop(KEY, 0);
      return async () => void connection.lpush(KEY, "token");
    },
  }),
  "limit: polling, 1 to 3 ms": async (connection) => {
    connection.defineCommand("deleteOwn", { numberOfKeys: 1, lua: DELETE_OWN });
    const { deleteOwn } = connection as unknown as { deleteOwn(key: string, value: string): Promise<number> };
    const own = `${process.pid}`;
    return {
      async acquire() {
        while ((await connection.set(KEY, own, "PX", TTL_MS, "NX")) === null) {
          await new Promise((resolve) => setTimeout(resolve, 1 + 2 * Math.random()));
        }
        return () => deleteOwn.call(connection, KEY, own);
      },
    };
  },
} satisfies Record<string, (connection: Redis) => Promise<Contender>>;

export type ContenderName = keyof typeof CONTENDERS;

/** Is the contender an npm package, as opposed to our own lock and the limits? */
export const isLibrary = (name: string) => name.startsWith("red");
