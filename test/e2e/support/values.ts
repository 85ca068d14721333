/** Values for runs that are short, where the length of the run shows nothing. */
import { REDIS_USERS } from "../../../worker/contract.ts";
import type { Values } from "./site.ts";

/** Grafana has a test of its own; elsewhere it is one pod less. */
export const QUICK = { duration: "3s", grafana: { enabled: false } } as const satisfies Values;

/** Nothing but a coordinator, and no server where it looks for them. */
export const NO_SERVERS = {
  ...QUICK,
  mysql: { enabled: false, external: { host: "mysql.nowhere" }, auth: { password: "of-no-server" } },
  redis: {
    enabled: false,
    external: { nodes: ["redis.nowhere:6379"] },
    auth: { passwords: Object.fromEntries(REDIS_USERS.map((user) => [user, "of-no-server"])) },
  },
  prometheus: { enabled: false, external: { url: "http://prometheus.nowhere:9090" } },
  networkPolicy: { allowFrom: { metrics: [{ podSelector: {} }] } },
} as const satisfies Values;
