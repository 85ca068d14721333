import type { LockService } from "../../worker/contract.ts";
import type { PrometheusVariables } from "../../worker/servers/prometheus.ts";
import type { ServerVariables } from "../../worker/servers/variables.ts";
import type { ServerFaultName } from "../plan/run-plan.ts";

/** Where the servers of a report are, and with which passwords its users log in. */
export interface ServerAddresses {
  /** The variables that name the servers, the user's or private ones. Each client takes what it needs. */
  readonly variables: ServerVariables &
    PrometheusVariables &
    Record<"MYSQL_URL" | "REDIS_URL" | "PROMETHEUS_URL", string>;
  /** All independent servers. A lock on a majority uses all of them. */
  readonly redisUrls: readonly string[];
  /** Why a lock service that a strategy needs is not there. */
  readonly missingServices: Readonly<Partial<Record<LockService, string>>>;
  /** Why a fault of the servers cannot be made. */
  readonly missingFaults: Readonly<Partial<Record<ServerFaultName, string>>>;
  /** Whether the workers are pods that can reach an API server. */
  readonly cluster: boolean;
  /** Facts about the servers that the report shows under its environment, such as their versions. */
  readonly notes: Readonly<Record<string, string>>;
}
