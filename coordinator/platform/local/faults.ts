/** The private servers, of which faults are made. A server that the user names is left alone. */
import { LOCK_SERVICE_TITLES, LOCK_SERVICES } from "../../../worker/contract.ts";
import { createFaultMaker, type FaultedServers, missingFaults } from "../fault-maker.ts";
import type { MakeFault } from "../platform.ts";
import { RESTARTED, restartFaults } from "./restart-faults.ts";
import type { Servers } from "./servers/index.ts";

/** The servers must have a `faultUser`. */
export function createLocalFaultMaker(servers: Servers): MakeFault {
  return createFaultMaker(faultedServers(servers), restartFaults(servers));
}

export const faultedServers = ({ mysql, redis }: Servers): FaultedServers => ({
  mysql: mysql && { MYSQL_URL: mysql.url },
  redis: redis && { urls: redis.urls, login: redis.faultLogin ?? {} },
});

/** Why each fault cannot be made with these servers; those that can are left out. */
export function missingLocalFaults({ mysql, redis, lockServices }: Servers) {
  const reasonOf = (server: unknown, title: string, variable: string) =>
    server === undefined ? `faults of ${title} are not made on a server that you name (${variable})` : undefined;
  const ofServices = LOCK_SERVICES.flatMap((service) => {
    const reason = reasonOf(lockServices[service], LOCK_SERVICE_TITLES[service], `${service.toUpperCase()}_URL`);
    return reason === undefined ? [] : [[service, reason]];
  });
  const missing = missingFaults(
    {
      mysql: reasonOf(mysql, "MySQL", "MYSQL_URL"),
      redis: reasonOf(redis, "Redis", "REDIS_URL"),
      ...Object.fromEntries(ofServices),
    },
    RESTARTED,
  );
  const fixedClock = redis?.started.some(({ advanceClock }) => advanceClock === undefined);
  return { ...missing, ...(fixedClock ? { "clock-jump": NO_FAKE_CLOCK } : {}) };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const NO_FAKE_CLOCK =
  "this fault needs libfaketime, which is not installed (Debian, Ubuntu: sudo apt-get install libfaketime)";
