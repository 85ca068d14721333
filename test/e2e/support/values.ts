/** Values for short runs, in tests where the length of the run does not matter. */
import { REDIS_USERS } from "../../../worker/contract.ts";
import type { Values } from "./site.ts";

/** Grafana has its own test; without it each other test starts one pod less. */
export const QUICK = { duration: "3s", grafana: { enabled: false } } as const satisfies Values;

/** Only a coordinator, with addresses at which no server runs. */
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
