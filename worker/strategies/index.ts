import type { StrategyName } from "../contract.ts";
import type { Strategy } from "../strategy.ts";
import { atomic } from "./atomic.ts";
import { consul } from "./consul.ts";
import { etcd } from "./etcd.ts";
import { file } from "./file.ts";
import { getLock } from "./get-lock.ts";
import { lease } from "./lease.ts";
import { memory } from "./memory.ts";
import { nested } from "./nested.ts";
import { none } from "./none.ts";
import { own } from "./own.ts";
import { redis } from "./redis.ts";
import { redisSemaphore } from "./redis-semaphore.ts";
import { redlock } from "./redlock.ts";
import { redlockNpm } from "./redlock-npm.ts";
import { rowLock } from "./row-lock.ts";
import { rowPair } from "./row-pair.ts";
import { seedMutex } from "./seed-mutex.ts";
import { sharedRowLock } from "./shared-row-lock.ts";
import { skipLocked } from "./skip-locked.ts";
import { version } from "./version.ts";
import { zookeeper } from "./zookeeper.ts";

/** Every strategy by its name in the contract. A missing or an extra one is a compile error. */
export const strategies: Record<StrategyName, Strategy> = {
  none,
  memory,
  redis,
  "row-lock": rowLock,
  version,
  "row-pair": rowPair,
  "seed-mutex": seedMutex,
  redlock,
  "get-lock": getLock,
  "shared-row-lock": sharedRowLock,
  file,
  lease,
  zookeeper,
  etcd,
  consul,
  nested,
  atomic,
  "skip-locked": skipLocked,
  "redis-semaphore": redisSemaphore,
  "redlock-npm": redlockNpm,
  own,
};
