import { lockedSession } from "../lock-session.ts";
import { createMemoryLock } from "../locks/memory-lock.ts";
import type { Strategy } from "../strategy.ts";

/** A mutex inside the process: enough for the loops of one worker, and nothing at all between workers. */
export const memory: Strategy = {
  async open(resources) {
    return lockedSession(createMemoryLock(), resources);
  },
};
