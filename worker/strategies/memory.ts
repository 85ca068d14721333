import { lockedSession } from "../lock-session.ts";
import { createMemoryLock } from "../locks/memory-lock.ts";
import type { Strategy } from "../strategy.ts";

/** A mutex inside the process: it excludes the loops of one worker, but not other workers. */
export const memory: Strategy = {
  async open(resources) {
    return lockedSession(createMemoryLock(), resources);
  },
};
