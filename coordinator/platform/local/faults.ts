/** The private servers, of which faults are made. A server that the user names is left alone. */

import { createFaultMaker, missingFaults } from "../fault-maker.ts";
import type { MakeFault } from "../platform.ts";
import { RESTARTED, restartFaults } from "./restart-faults.ts";
import type { Servers } from "./servers/index.ts";

/** The servers must have a `faultUser`. */
export function createLocalFaultMaker(servers: Servers): MakeFault {
  const { mysql, redis } = servers;
  const faulted = {
    mysql: mysql && { MYSQL_URL: mysql.url },
    redis: redis && { urls: redis.urls, login: redis.faultLogin ?? {} },
  };
  return createFaultMaker(faulted, restartFaults(servers));
}

/** Why each fault cannot be made with these servers; those that can are left out. */
export const missingLocalFaults = ({ mysql, redis }: Servers) =>
  missingFaults(
    {
      mysql: mysql === undefined ? "faults of MySQL are not made on a server that you name (MYSQL_URL)" : undefined,
      redis: redis === undefined ? "faults of Redis are not made on a server that you name (REDIS_URL)" : undefined,
    },
    RESTARTED,
  );
