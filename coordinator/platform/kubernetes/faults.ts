/** The servers of the release, of which faults are made only if the chart allows it. */
import { setTimeout as sleep } from "node:timers/promises";
import mysql from "mysql2/promise";
import { type MysqlVariables, mysqlOptions } from "../../../worker/servers/mysql.ts";
import { redisUrls } from "../../../worker/servers/redis.ts";
import { type Secret, secretOf } from "../../../worker/servers/secrets.ts";
import type { ServerAddresses } from "../../clients/addresses.ts";
import { FAULT_USER } from "../../clients/redis-users.ts";
import { ConfigError } from "../../errors.ts";
import type { PlatformFaultName } from "../../plan/run-plan.ts";
import {
  createFaultMaker,
  type FaultedServer,
  type FaultedServers,
  type MakeServerFault,
  type Making,
  missingFaults,
  onEachRedis,
  untilTaken,
} from "../fault-maker.ts";
import { type MakeFault, SERVER_BACK_WITHIN_MS } from "../platform.ts";
import { redisFaults } from "../redis-faults.ts";
import { failOverAndBack, removable } from "./redis-port-faults.ts";
import type { KubernetesSettings } from "./settings.ts";

type FaultSettings = Pick<
  KubernetesSettings,
  "HOLDFAST_SERVER_FAULTS" | "HOLDFAST_REDIS_REPLICA_URLS" | PasswordVariable<"MYSQL"> | PasswordVariable<"REDIS">
>;
type PasswordVariable<Server extends string> = `${Server}_PASSWORD_FAULTS${"" | "_FILE" | "_COMMAND"}`;

/** Throws ConfigError without the password of a user who makes faults. */
export function createClusterFaultMaker(settings: FaultSettings, variables: ServerAddresses["variables"]): MakeFault {
  const servers = faultedServers(settings, variables);
  const mysqlLogin = servers.mysql && loginOf(settings, "MYSQL");
  return createFaultMaker(servers, {
    ...REDIS_FAULTS,
    "redis-failover": (making) => failOverAndBack(making, settings.HOLDFAST_REDIS_REPLICA_URLS ?? []),
    ...(mysqlLogin && { "mysql-restart": () => restartMysql(variables, mysqlLogin) }),
  });
}

/** Throws ConfigError as {@link createClusterFaultMaker} does. */
export function faultedServers(settings: FaultSettings, variables: ServerAddresses["variables"]): FaultedServers {
  const { HOLDFAST_SERVER_FAULTS: allowed = [] } = settings;
  return {
    mysql: allowed.includes("mysql") ? variables : undefined,
    redis: allowed.includes("redis") ? { urls: redisUrls(variables), login: loginOf(settings, "REDIS") } : undefined,
  };
}

/** Why each fault of a server cannot be made; those that can are left out. */
export function missingClusterFaults(settings: FaultSettings) {
  const { HOLDFAST_SERVER_FAULTS: allowed, HOLDFAST_REDIS_REPLICA_URLS: replicas } = settings;
  const reasonOf = (server: "mysql" | "redis", title: string) => {
    if (allowed === undefined) return NOT_ENABLED;
    return allowed.includes(server) ? undefined : `faults of ${title} are made only with ${server}.enabled=true`;
  };
  const ofPlatform =
    allowed?.includes("redis") && replicas === undefined ? { ...FAULTED, "redis-failover": NO_REPLICA } : FAULTED;
  return missingFaults({ mysql: reasonOf("mysql", "MySQL"), redis: reasonOf("redis", "Redis") }, ofPlatform);
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const onOneMachine = (why: string): FaultedServer => ({
  impossible: `this fault is made on one machine only: ${why}`,
});
const NO_REPLICA: FaultedServer = {
  impossible: "this fault is made only with redis.replica.enabled=true (values of the chart)",
};
const NO_SERVICE = onOneMachine("in a release nobody but Kubernetes may end a lock service");

const FAULTED: Readonly<Record<PlatformFaultName, FaultedServer>> = {
  "redis-restart": "redis",
  "redis-restart-saved": "redis",
  "acl-revoked": "redis",
  "password-rotated": "redis",
  "mysql-restart": "mysql",
  "mysql-crash": onOneMachine("in a release nobody but Kubernetes may kill MySQL"),
  "redlock-minority": "redis",
  "redlock-majority": "redis",
  "redlock-amnesia": "redis",
  "redis-failover": "redis",
  "clock-jump": onOneMachine("the containers of a release have the clock of their node"),
  "zookeeper-restart": NO_SERVICE,
  "consul-restart": NO_SERVICE,
  "etcd-restart": NO_SERVICE,
};

const REDIS_FAULTS: Readonly<Partial<Record<PlatformFaultName, MakeServerFault>>> = {
  "redis-restart": (making) => restart(making, "NOSAVE"),
  "redis-restart-saved": (making) => restart(making, "SAVE"),
  ...redisFaults(({ servers }) => servers.redis!.urls.map((url) => removable(servers, url))),
};

/**
 * All at once. The container of a Redis that may be ended starts it again (helm/templates/redis/_container.tpl). It loads
 * what an earlier fault saved: locks of that time, which let others wait for their TTL at most.
 */
async function restart(making: Making, save: "SAVE" | "NOSAVE"): Promise<void> {
  await untilTaken(making);
  try {
    await onEachRedis(making.servers, async (redis) => {
      await redis.connect();
      // Redis answers a shutdown by closing the connection.
      await redis.call("SHUTDOWN", save).catch((error) => {
        if (error.message !== CLOSED) throw error;
      });
    });
  } finally {
    await untilBack(making.servers);
  }
}
const CLOSED = "Connection is closed.";

/** The container of a MySQL that may be ended starts it again (helm/templates/mysql/statefulset.yaml). */
async function restartMysql(variables: MysqlVariables, { user, password }: FaultLogin): Promise<void> {
  const { host = "", port = 0 } = mysqlOptions(variables);
  const login = { host, port, user, password: await password.read() };
  const connect = () => mysql.createConnection(login);
  const connection = await connect();
  const ended = new Promise((resolve) => connection.on("error", resolve).on("end", resolve));
  const deadline = performance.now() + SERVER_BACK_WITHIN_MS;
  try {
    await connection.query("SHUTDOWN");
    // It refuses new connections before it ends this one.
    const late = sleep(SERVER_BACK_WITHIN_MS, LATE, { ref: false });
    if ((await Promise.race([ended, late])) === LATE) throw new Error("MySQL did not shut down");
  } finally {
    connection.destroy();
  }
  await untilAnswered(async () => (await connect()).destroy(), deadline);
}

const LATE = Symbol("late");

/** Resolves when all servers answer. */
const untilBack = (servers: FaultedServers) => untilAnswered(() => onEachRedis(servers, (redis) => redis.ping()));

/** By `performance.now()`. Throws the last error after the deadline. */
async function untilAnswered(
  ask: () => Promise<unknown>,
  deadline = performance.now() + SERVER_BACK_WITHIN_MS,
): Promise<void> {
  for (;;) {
    try {
      await ask();
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await sleep(20);
    }
  }
}

const NOT_ENABLED = "faults of the servers are made only with faults.enabled=true (values of the chart)";

interface FaultLogin {
  readonly user: string;
  readonly password: Secret;
}

function loginOf(settings: FaultSettings, server: "MYSQL" | "REDIS"): FaultLogin {
  const variable = `${server}_PASSWORD_FAULTS` as const;
  const password = secretOf(settings, variable);
  if (password === undefined)
    throw new ConfigError(
      `HOLDFAST_SERVER_FAULTS names ${server.toLowerCase()}, but ${variable} is not set; the chart sets both (faults.enabled)`,
    );
  return { user: FAULT_USER, password };
}
