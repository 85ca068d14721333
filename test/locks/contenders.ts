import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { ConstantValueLockOptions } from "../../worker/locks/constant-value-lock.ts";
import type { ConsulLockOptions } from "../../worker/locks/consul-lock.ts";
import type { EtcdLockOptions } from "../../worker/locks/etcd-lock.ts";
import type { FileLockOptions } from "../../worker/locks/file-lock.ts";
import type { RedisLockOptions } from "../../worker/locks/redis-lock.ts";
import type { RedlockOptions } from "../../worker/locks/redlock.ts";
import type { ZooKeeperLockOptions } from "../../worker/locks/zookeeper-lock.ts";
import type { EtcdVariables } from "../../worker/servers/etcd.ts";
import type { ZooKeeperVariables } from "../../worker/servers/zookeeper.ts";

export type LockDescription =
  | { kind: "redis"; url: string; options: RedisLockOptions }
  | { kind: "redlock"; urls: string[]; options: RedlockOptions }
  | { kind: "constant"; url: string; options: ConstantValueLockOptions }
  | { kind: "consul"; url: string; token: string; options: ConsulLockOptions }
  | { kind: "file"; options: FileLockOptions }
  | { kind: "zookeeper"; variables: ZooKeeperVariables; options: ZooKeeperLockOptions }
  | { kind: "etcd"; variables: EtcdVariables; options: EtcdLockOptions };

/**
 * One period in which a lock was held, in milliseconds of CLOCK_MONOTONIC; `lost` if the holder knew that it no longer
 * held it.
 */
export interface HoldRecord {
  askedAt: number;
  from: number;
  to: number;
  fence: number;
  lost: boolean;
}

/** A child process that takes locks. If a call fails in the child, it rejects with "ErrorName: message". */
export function startContender() {
  const child = fork(join(import.meta.dirname, "contender.ts"), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const pending = new Map<number, PromiseWithResolvers<unknown>>();
  let sent = 0;
  child.on("message", ({ id, result, error }: { id: number; result?: unknown; error?: string }) => {
    const call = pending.get(id)!;
    pending.delete(id);
    if (error === undefined) call.resolve(result);
    else call.reject(new Error(error));
  });

  child.on("exit", () => {
    for (const call of pending.values()) call.reject(new Error("the contender is dead"));
  });

  function call<T = void>(name: string, ...values: unknown[]): Promise<T> {
    const answer = Promise.withResolvers<unknown>();
    sent += 1;
    pending.set(sent, answer);
    child.send({ id: sent, call: name, values });
    return answer.promise as Promise<T>;
  }

  return {
    open: (description: LockDescription) => call("open", description),
    loop: (key: string, forMs: number, holdMs: number, least = 0) =>
      call<HoldRecord[]>("loop", key, forMs, holdMs, least),
    acquire: (key: string, options = {}) => call<{ at: number; fence: number }>("acquire", key, options),
    state: () => call<{ holds: boolean; reason?: string }>("state"),
    extend: () => call("extend"),
    release: () => call("release"),
    pid: child.pid!,
    signal: (signal: NodeJS.Signals) => process.kill(child.pid!, signal),
    alive: () => child.exitCode === null && child.signalCode === null,
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
    },
  };
}

export type Contender = ReturnType<typeof startContender>;

/** Milliseconds of CLOCK_MONOTONIC. */
export const monotonicMs = () => Number(process.hrtime.bigint()) / 1e6;

/** The pairs of holds that overlap in time. */
export function overlaps(records: readonly HoldRecord[]) {
  const sorted = records.toSorted((a, b) => a.from - b.from);
  return sorted.slice(1).filter((record, i) => record.from < sorted[i]!.to);
}

/** Jain's index of fairness: 1 if all have the same, 1/n if one has all. */
export function jain(counts: readonly number[]) {
  const sum = counts.reduce((total, n) => total + n, 0);
  return sum ** 2 / (counts.length * counts.reduce((total, n) => total + n ** 2, 0));
}
