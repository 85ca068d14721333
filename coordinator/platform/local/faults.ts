/** The private servers, of which faults are made. A server that the user names is left alone. */
import { type FaultedServers, missingFaults } from "../fault-maker.ts";
import type { Servers } from "./servers/index.ts";

/** The servers must have a `faultUser`. */
export const faultedServers = ({ mysql, redis }: Servers): FaultedServers => ({
  mysql: mysql && { MYSQL_URL: mysql.url },
  redis: redis && { urls: redis.urls, login: redis.faultLogin ?? {} },
});

/** Why each fault cannot be made with these servers; those that can are left out. */
export const missingLocalFaults = ({ mysql, redis }: Servers) =>
  missingFaults({
    mysql: mysql === undefined ? "faults of MySQL are not made on a server that you name (MYSQL_URL)" : undefined,
    redis: redis === undefined ? "faults of Redis are not made on a server that you name (REDIS_URL)" : undefined,
  });
