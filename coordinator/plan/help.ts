/** What --help says below the options. */
import { REDIS_USERS, STRATEGIES } from "../../worker/contract.ts";
import { SCENARIOS } from "./scenarios/index.ts";

/** `commands`: those other than run. */
export const helpText = (commands: readonly (readonly [name: string, description: string])[]) => `
Commands (run is the default; holdfast <command> --help shows the options of the others):
${commands.map(([name, description]) => `  ${name.padEnd(16)}${description}`).join("\n")}

Servers (for each one that is not set, Holdfast starts a private MySQL or MariaDB, Redis or Prometheus):
  MYSQL_URL, MYSQL_PASSWORD       mysql://user@host:3306/database, with helm/files/schema.sql loaded
  MYSQL_URLS                      mysql://...,mysql://...: servers of one Galera cluster; each worker uses one
  REDIS_URL, REDIS_PASSWORD       redis://host:6379 (rediss:// for TLS), redis+sentinel://host:26379,host2:26379/name or
                                  redis+cluster://host:6379,host2:6379; with the users of helm/files/users.acl:
  ${REDIS_USERS.map((user) => `REDIS_PASSWORD_${user.toUpperCase()}`).join(", ")}
  REDIS_URLS                      redis://host:6379,redis://...: independent servers, for redlock and redlock-npm
  PROMETHEUS_URL                  http://host:9090; its http_sd must read http://<HOLDFAST_LISTEN>/targets
  PROMETHEUS_USERNAME, PROMETHEUS_PASSWORD, or PROMETHEUS_BEARER_TOKEN; PROMETHEUS_HEADERS
  ZOOKEEPER_URL, CONSUL_URL, ETCD_URL
                                  lock services for the strategies of these names
  HOLDFAST_LISTEN                 host:port on which the coordinator listens, default a free port on 127.0.0.1;
                                  [::]:port for all addresses, IPv6 and IPv4
  For TLS: MYSQL_TLS=required, MYSQL_TLS_CA, MYSQL_TLS_CERT, MYSQL_TLS_KEY; also with REDIS_ and PROMETHEUS_.
  A secret may also come from a file (MYSQL_PASSWORD_FILE) or a command (MYSQL_PASSWORD_COMMAND). docs/your-servers.md
  describes all of this.

Strategies:
${Object.entries(STRATEGIES)
  .map(([name, { summary }]) => `  ${name.padEnd(16)}${summary}`)
  .join("\n")}

Scenarios:
${Object.entries(SCENARIOS)
  .map(([name, { summary }]) => `  ${name.padEnd(16)}${summary}`)
  .join("\n")}

Exit status: 0 all as theory expects, 1 a strategy that should hold was violated, 2 configuration invalid,
3 unknown (a control not violated, workers rarely contended, metrics incomplete, a worker lost, the run interrupted),
4 a server unreachable or unusable, 5 slower than --max-drop allows (with --baseline, if it would be 0 otherwise).
`;
