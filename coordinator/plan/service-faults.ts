/** Faults that restart a server whose purpose is coordination: how a run makes them, and why locks hold under them. */
import { LOCK_SERVICE_TITLES, type LockService } from "../../worker/contract.ts";
import type { FaultFacts, Times } from "./fault-facts.ts";
import { HOLDS_PER_TTL } from "./fault-times.ts";
import type { ServerFault, ServerFaultName } from "./run-plan.ts";
import { lockOf } from "./worker-faults.ts";

export const SERVICE_FAULTS = {
  "zookeeper-restart": restartOf("zookeeper"),
  "consul-restart": restartOf("consul"),
  "etcd-restart": restartOf("etcd"),
} as const satisfies Partial<Record<ServerFaultName, FaultFacts>>;

// --- Internal helpers -----------------------------------------------------------------------------------------------

function restartOf(service: LockService): FaultFacts {
  return {
    summary: `${LOCK_SERVICE_TITLES[service]} shuts down and starts again with its data (SIGTERM)`,
    plan: (times) => restarted(`${service}-restart`, times),
    concerns: (strategy) => lockOf(strategy).keptIn === service,
    breaks: () => undefined,
    holds: "the server comes back with its sessions and locks, and a holder knows by its own clock when its lease ends",
  };
}

/** Locks are held over the restart of a server in Java. There are many rows, because there must be operations enough to judge. */
const RESTARTED = { lockTtlMs: 5_000, durationMs: 8_000, rows: 12, concurrency: 8 } as const;

/** Once, early: the server takes seconds to start on a busy machine. */
function restarted(name: ServerFaultName, given: Times) {
  const { rows, concurrency } = RESTARTED;
  const lockTtlMs = Math.max(given.lockTtlMs, RESTARTED.lockTtlMs);
  const durationMs = Math.max(given.durationMs, RESTARTED.durationMs);
  const fault: ServerFault = { name, afterMs: durationMs / 4, everyMs: durationMs, times: 1, forMs: 0 };
  const holdMs = lockTtlMs / HOLDS_PER_TTL;
  return { durationMs, lockTtlMs, rows, concurrency, holdMs, pauseMs: holdMs / 20, serverFaults: [fault] };
}
