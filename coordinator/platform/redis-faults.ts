/** Faults of Redis that every platform makes in the same way. Only how a server goes away and comes back is its own. */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { WORKER_REDIS_USERS } from "../../worker/contract.ts";
import type { PlatformFaultName } from "../plan/run-plan.ts";
import { settleAll } from "../wait.ts";
import { type MakeServerFault, type Making, onEachRedis, untilTakenOnAll } from "./fault-maker.ts";

/** One of the independent servers, as a platform takes it away from its clients. */
export interface RemovableRedis {
  /** Its clients are cut off and refused from now on, as by a server that was killed. */
  down(): Promise<void>;
  /** It serves them again, without data. Does nothing if it is not down. */
  up(): Promise<void>;
}

/** The port of a server, as CONFIG SET takes it. */
export const portOf = (url: string) => new URL(url).port || DEFAULT_PORT;
const DEFAULT_PORT = "6379";

/** `serversOf` returns all independent servers, in the order of their URLs. */
export const redisFaults = (serversOf: (making: Making) => readonly RemovableRedis[]) =>
  ({
    "acl-revoked": revokeRights,
    "password-rotated": rotatePassword,
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
        await allDown(absent);
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
    await allDown(servers);
    await sleep(fault.forMs, undefined, { signal: over }).catch(() => {});
  } finally {
    await allUp(servers);
  }
}

const allDown = (servers: readonly RemovableRedis[]) => settleAll(servers.map((server) => server.down()));

/** One that fails keeps no other one down. */
const allUp = (servers: readonly RemovableRedis[]) => settleAll(servers.map((server) => server.up()));

/**
 * Changes the users of the workers for the time of the fault, and gives them back what they had. It also changes the user
 * of the container's probe: if nobody ends the fault, because the coordinator was killed, Kubernetes restarts the container,
 * which reads its users from their file.
 */
const changingUsers =
  (change: (redis: Redis, user: string) => Promise<unknown>): MakeServerFault =>
  ({ servers, fault, over }) =>
    onEachRedis(servers, async (redis) => {
      const users = ((await redis.call("ACL", "LIST")) as string[])
        .map((line) => line.split(" ").slice(1))
        .filter(([user]) => REFUSED_USERS.includes(user!));
      try {
        for (const [user] of users) await change(redis, user!);
        await sleep(fault.forMs, undefined, { signal: over }).catch(() => {});
      } finally {
        for (const [user, ...rules] of users) await redis.call("ACL", "SETUSER", user!, "resetpass", ...rules);
      }
    });
const REFUSED_USERS: readonly string[] = [...WORKER_REDIS_USERS, "health"];

/** A worker stays logged in. */
const revokeRights = changingUsers((redis, user) => redis.call("ACL", "SETUSER", user, "-@all"));

/** Nobody knows the new password. */
const rotatePassword = changingUsers(async (redis, user) => {
  await redis.call("ACL", "SETUSER", user, "resetpass", `#${randomBytes(32).toString("hex")}`);
  await redis.client("KILL", "USER", user);
});
