import type { StrategyName } from "../contract.ts";
import type { Strategy } from "../strategy.ts";
import { memory } from "./memory.ts";
import { none } from "./none.ts";
import { redis } from "./redis.ts";
import { rowLock } from "./row-lock.ts";
import { version } from "./version.ts";

/** Every strategy by its name in the contract; the compiler refuses a missing one and an extra one. */
export const strategies: Record<StrategyName, Strategy> = {
  none,
  memory,
  redis,
  "row-lock": rowLock,
  version,
};
