/** The servers of the release, of which faults are made only if the chart allows it. */
import { redisUrls } from "../../../worker/servers/redis.ts";
import { secretOf } from "../../../worker/servers/secrets.ts";
import type { ServerAddresses } from "../../clients/addresses.ts";
import { FAULT_USER } from "../../clients/redis-users.ts";
import { ConfigError } from "../../errors.ts";
import { type FaultedServers, missingFaults } from "../fault-maker.ts";
import type { KubernetesSettings } from "./settings.ts";

type FaultSettings = Pick<
  KubernetesSettings,
  "HOLDFAST_SERVER_FAULTS" | "REDIS_PASSWORD_FAULTS" | "REDIS_PASSWORD_FAULTS_FILE" | "REDIS_PASSWORD_FAULTS_COMMAND"
>;

/** Throws ConfigError without the password of the user who makes faults of Redis. */
export function faultedServers(settings: FaultSettings, variables: ServerAddresses["variables"]): FaultedServers {
  const { HOLDFAST_SERVER_FAULTS: allowed = [] } = settings;
  return {
    mysql: allowed.includes("mysql") ? variables : undefined,
    redis: allowed.includes("redis") ? { urls: redisUrls(variables), login: faultLogin(settings) } : undefined,
  };
}

/** Why each fault of a server cannot be made; those that can are left out. */
export function missingClusterFaults({ HOLDFAST_SERVER_FAULTS: allowed }: FaultSettings) {
  const reasonOf = (server: "mysql" | "redis", title: string) => {
    if (allowed === undefined) return NOT_ENABLED;
    return allowed.includes(server) ? undefined : `faults of ${title} are made only with ${server}.enabled=true`;
  };
  return missingFaults({ mysql: reasonOf("mysql", "MySQL"), redis: reasonOf("redis", "Redis") });
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const NOT_ENABLED = "faults of the servers are made only with faults.enabled=true (values of the chart)";

function faultLogin(settings: FaultSettings) {
  const password = secretOf(settings, "REDIS_PASSWORD_FAULTS");
  if (password === undefined)
    throw new ConfigError(
      "HOLDFAST_SERVER_FAULTS names redis, but REDIS_PASSWORD_FAULTS is not set; the chart sets both (faults.enabled)",
    );
  return { user: FAULT_USER, password };
}
