/** A process that takes locks on its parent's command; contenders.ts is the parent's side. */
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { createConstantValueLock } from "../../worker/locks/constant-value-lock.ts";
import { consulApi } from "../../worker/locks/consul-api.ts";
import { createConsulLock } from "../../worker/locks/consul-lock.ts";
import { etcdApi } from "../../worker/locks/etcd-api.ts";
import { createEtcdLock } from "../../worker/locks/etcd-lock.ts";
import { createFileLock } from "../../worker/locks/file-lock.ts";
import type { AcquireOptions, Held, Lock } from "../../worker/locks/lock.ts";
import { createRedisLock, lockConnectionOptions } from "../../worker/locks/redis-lock.ts";
import { createRedlock } from "../../worker/locks/redlock.ts";
import { createZooKeeperLock } from "../../worker/locks/zookeeper-lock.ts";
import { consulAccess, openConsul } from "../../worker/servers/consul.ts";
import { etcdAccess, openEtcd } from "../../worker/servers/etcd.ts";
import { zooKeeperClient } from "../../worker/servers/zookeeper-session.ts";
import type { HoldRecord, LockDescription } from "./contenders.ts";

/** CLOCK_MONOTONIC, the same for all processes of a machine, milliseconds. */
const now = () => Number(process.hrtime.bigint()) / 1e6;

function connect(url: string) {
  const connection = new Redis(url, lockConnectionOptions);
  connection.on("error", () => {});
  return connection;
}

async function open(description: LockDescription): Promise<Lock> {
  switch (description.kind) {
    case "redis":
      return createRedisLock(connect(description.url), description.options);
    case "redlock":
      return createRedlock(description.urls.map(connect), description.options);
    case "constant":
      return createConstantValueLock(connect(description.url), description.options);
    case "etcd": {
      const access = etcdAccess(description.variables);
      return createEtcdLock(etcdApi(openEtcd(access, access.login)), description.options);
    }
    case "consul": {
      const access = consulAccess({ CONSUL_URL: description.url, CONSUL_TOKEN: description.token });
      return createConsulLock(consulApi(openConsul(access, access.token)), description.options);
    }
    case "file":
      return createFileLock(description.options);
    case "zookeeper":
      return createZooKeeperLock(zooKeeperClient(description.variables), description.options);
  }
}

let lock: Lock | undefined;
let held: Held | undefined;

const calls = {
  async open(description: LockDescription) {
    await lock?.close();
    held = undefined;
    lock = await open(description);
  },
  /** Holds the lock repeatedly, for this time and at least this often, and reports the times. */
  async loop(key: string, forMs: number, holdMs: number, least: number): Promise<HoldRecord[]> {
    const records: HoldRecord[] = [];
    const end = now() + forMs;
    while (now() < end || records.length < least) {
      const askedAt = now();
      const held = await lock!.acquire(key);
      const from = now();
      if (holdMs > 0) await sleep(holdMs);
      const lost = held.signal.aborted;
      records.push({ askedAt, from, to: now(), fence: held.fence, lost });
      await held.release();
    }
    return records;
  },
  async acquire(key: string, options: AcquireOptions) {
    held = await lock!.acquire(key, options);
    return { at: now(), fence: held.fence };
  },
  async state() {
    return { holds: held !== undefined && !held.signal.aborted, reason: messageOf(held?.signal.reason) };
  },
  async extend() {
    await held!.extend();
  },
  async release() {
    await held!.release();
    held = undefined;
  },
};

const messageOf = (error: unknown) => (error instanceof Error ? `${error.name}: ${error.message}` : undefined);

process.on("message", async ({ id, call, values }: { id: number; call: keyof typeof calls; values: unknown[] }) => {
  try {
    const result = await (calls[call] as (...values: unknown[]) => Promise<unknown>)(...values);
    process.send?.({ id, result });
  } catch (error) {
    process.send?.({ id, error: messageOf(error) ?? String(error) });
  }
});
process.on("disconnect", () => process.exit());
