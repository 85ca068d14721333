/**
 * The environment variables that say how the servers are reached: the same names and rules in the coordinator, in a
 * worker on one machine and in a worker's pod. docs/your-servers.md explains them.
 */
import * as z from "zod";
import { REDIS_USERS } from "../contract.ts";
import { checkLockService, isAdminVariable, LOCK_SERVICE_VARIABLES, namedServices } from "./lock-services.ts";
import { MYSQL_VARIABLES, mysqlAddress, mysqlOptions, mysqlServers } from "./mysql.ts";
import { PROMETHEUS_VARIABLES, prometheusAccess } from "./prometheus.ts";
import { passwordVariable, REDIS_VARIABLES, redisKind, redisLogin, redisOptions, redisUrls } from "./redis.ts";
import { tlsRequest } from "./tls.ts";

export const ServerVariables = z.object({ ...MYSQL_VARIABLES, ...REDIS_VARIABLES, ...LOCK_SERVICE_VARIABLES });
export type ServerVariables = z.infer<typeof ServerVariables>;
const PrometheusVariables = z.object(PROMETHEUS_VARIABLES);
type AllVariables = ServerVariables & z.infer<typeof PrometheusVariables>;

/** For `superRefine`: adds an issue for each rule that the variables break together. */
export function checkServerVariables(variables: AllVariables, context: z.RefinementCtx): void {
  const { MYSQL_URL, MYSQL_URLS, REDIS_URL, REDIS_URLS, PROMETHEUS_URL } = variables;
  const said = new Set<string>();
  const check = (attempt: () => unknown, variable = "") => {
    try {
      attempt();
    } catch (error) {
      const message = (error as Error).message.replace(/^(MYSQL|REDIS)_URL(?=:)/, variable || "$&");
      if (!said.has(message)) context.addIssue({ code: "custom", message });
      said.add(message);
    }
  };
  if (MYSQL_URL !== undefined) check(() => mysqlOptions({ ...variables, MYSQL_URL }));
  if (MYSQL_URLS !== undefined) check(() => checkMysqlServers(variables), "MYSQL_URLS");
  if (PROMETHEUS_URL !== undefined) check(() => prometheusAccess({ ...variables, PROMETHEUS_URL }));
  if (REDIS_URL !== undefined) {
    check(() => redisOptions({ ...variables, REDIS_URL }));
    if (REDIS_URLS !== undefined)
      for (const url of redisUrls({ ...variables, REDIS_URL }))
        check(() => {
          redisOptions({ ...variables, REDIS_URL: url });
          if (redisKind({ REDIS_URL: url }) !== "server")
            throw new Error("REDIS_URL: name single servers; write redis://host:6379,redis://host2:6379");
        }, "REDIS_URLS");
    for (const user of REDIS_USERS) check(() => redisLogin({ ...variables, REDIS_URL }, user));
  } else if (REDIS_URLS !== undefined)
    check(() => {
      throw new Error(
        'REDIS_URLS also needs REDIS_URL, the server for all strategies except "redlock" and "redlock-npm"',
      );
    });
  for (const service of namedServices(variables)) check(() => checkLockService(service, variables));
  const { ZOOKEEPER_URL, CONSUL_URL, ETCD_URL } = variables;
  for (const [prefix, url] of Object.entries({
    MYSQL: MYSQL_URL,
    REDIS: REDIS_URL,
    PROMETHEUS: PROMETHEUS_URL,
    ZOOKEEPER: ZOOKEEPER_URL,
    CONSUL: CONSUL_URL,
    ETCD: ETCD_URL,
  }))
    check(() => {
      const request = url === undefined ? tlsRequest(variables, prefix) : undefined;
      if (request !== undefined) throw new Error(`${request} also needs ${prefix}_URL: a private server has no TLS`);
    });
}

/** Without the variables that are set to nothing: a chart or a Makefile passes an empty variable for one that is not set. */
export const withoutEmpty = (variables: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== ""));

/** The variables that a worker needs: all but the logins of the user `monitor` and of administrators. */
export const forWorkers = (variables: ServerVariables): Partial<Record<string, string>> =>
  Object.fromEntries(
    Object.keys(ServerVariables.shape)
      .filter((name) => !name.startsWith(passwordVariable("monitor")) && !isAdminVariable(name))
      .map((name) => [name, variables[name as keyof ServerVariables]]),
  );

/** Every variable of this file, for the tests of the page and of `--help`. */
export const VARIABLE_NAMES = Object.keys({ ...ServerVariables.shape, ...PrometheusVariables.shape });

// --- Internal helpers -----------------------------------------------------------------------------------------------

function checkMysqlServers({ MYSQL_URL, ...others }: ServerVariables) {
  if (MYSQL_URL === undefined)
    throw new Error("MYSQL_URLS also needs MYSQL_URL, the first of them: the coordinator reads the results from it");
  const servers = mysqlServers({ ...others, MYSQL_URL });
  for (const server of servers) mysqlOptions(server);
  if (servers[0] === undefined || mysqlAddress(servers[0]) !== mysqlAddress({ MYSQL_URL }))
    throw new Error("MYSQL_URLS: it must begin with the server of MYSQL_URL");
}
