/** Faults of Redis that every platform makes in the same way. Only how a server goes away and comes back is its own. */
import { setTimeout as sleep } from "node:timers/promises";
import { WORKER_REDIS_USERS } from "../../worker/contract.ts";
import type { PlatformFaultName } from "../plan/run-plan.ts";
import { type MakeServerFault, type Making, onEachRedis, untilTakenOnAll } from "./fault-maker.ts";

/** One of the independent servers, as a platform takes it away from its clients. */
export interface RemovableRedis {
  /** Its clients are cut off and refused from now on, as by a server that was killed. */
  down(): Promise<void>;
  /** It serves them again, without data. Does nothing if it is not down. */
  up(): Promise<void>;
}

/** `serversOf` returns all independent servers, in the order of their URLs. */
export const redisFaults = (serversOf: (making: Making) => readonly RemovableRedis[]) =>
  ({
    "acl-revoked": revokeRights,
    "redlock-minority"(making) {
      const servers = serversOf(making);
      return keepDown(servers.slice(majorityOf(servers)), making);
    },
    "redlock-majority"(making) {
      const servers = serversOf(making);
      return keepDown(servers.slice(-majorityOf(servers)), making);
    },
    async "redlock-amnesia"(making) {
      const servers = serversOf(making);
      const absent = servers.slice(majorityOf(servers));
      const present = servers.slice(0, majorityOf(servers));
      try {
        await Promise.all(absent.map((server) => server.down()));
        await untilTakenOnAll(making, making.servers.redis!.urls.slice(0, present.length));
        await present[0]!.down();
      } finally {
        await allUp(servers);
      }
    },
  }) as const satisfies Partial<Record<PlatformFaultName, MakeServerFault>>;

// --- Internal helpers -----------------------------------------------------------------------------------------------

const majorityOf = (servers: readonly unknown[]) => Math.floor(servers.length / 2) + 1;

/** They stay down for the time of the fault, or until the run is over. */
async function keepDown(servers: readonly RemovableRedis[], { fault, over }: Making): Promise<void> {
  try {
    await Promise.all(servers.map((server) => server.down()));
    await sleep(fault.forMs, undefined, { signal: over }).catch(() => {});
  } finally {
    await allUp(servers);
  }
}

/** One that fails keeps no other one down. */
async function allUp(servers: readonly RemovableRedis[]): Promise<void> {
  const ends = await Promise.allSettled(servers.map((server) => server.up()));
  for (const end of ends) if (end.status === "rejected") throw end.reason;
}

/**
 * A worker is refused while this lasts, and is not logged out. So is the probe of a container: if nobody gives the rights
 * back, because the coordinator was killed, Kubernetes restarts the container, which reads its users from their file.
 */
async function revokeRights({ servers, fault, over }: Making): Promise<void> {
  await onEachRedis(servers, async (redis) => {
    const rules = ((await redis.call("ACL", "LIST")) as string[])
      .map((line) => line.split(" ").slice(1))
      .filter(([user]) => REFUSED_USERS.includes(user!));
    try {
      for (const [user] of rules) await redis.call("ACL", "SETUSER", user!, "-@all");
      await sleep(fault.forMs, undefined, { signal: over }).catch(() => {});
    } finally {
      for (const rule of rules) await redis.call("ACL", "SETUSER", ...rule);
    }
  });
}
const REFUSED_USERS: readonly string[] = [...WORKER_REDIS_USERS, "health"];
