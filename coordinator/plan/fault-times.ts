/** When the faults of the servers happen in a run, and how long its holds take. */
import type { Times } from "./fault-facts.ts";
import type { ServerFault, ServerFaultName } from "./run-plan.ts";

/**
 * A hold that takes a while, so that the fault comes while the lock is held, and is over before the lock is extended: a
 * holder whose extension fails does not write. After the pause another worker asks in the middle of somebody's hold.
 */
export const busy = ({ lockTtlMs }: Times) => ({
  holdMs: Math.round(lockTtlMs / 10),
  pauseMs: Math.round(lockTtlMs * 0.16),
});

/** So often that a fault which lasts a moment meets a holder. */
const TIMES_MIN = 3;

/** Repeatedly in the middle half of the run, which takes longer if need be. The period is no multiple of the hold, so that it comes early and late in it. */
export function often(name: ServerFaultName, times: Times, everyTtls = 0.43) {
  const everyMs = Math.round(times.lockTtlMs * everyTtls);
  const durationMs = Math.max(times.durationMs, everyMs * TIMES_MIN * 2);
  const fault = { name, afterMs: durationMs / 4, everyMs, forMs: 0 };
  const happens = Math.floor(durationMs / 2 / everyMs);
  return { ...busy(times), durationMs, serverFaults: [{ ...fault, times: happens } satisfies ServerFault] };
}

/** A hold is over before the lock is extended: a holder whose extension fails does not write. */
export const HOLDS_PER_TTL = 10 / 3;

export function once(name: ServerFaultName, times: Times, forMs: number) {
  const fault = { name, afterMs: times.durationMs / 4, everyMs: times.durationMs, times: 1, forMs };
  return { ...busy(times), serverFaults: [fault satisfies ServerFault] };
}
