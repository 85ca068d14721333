/** Whether all servers that the workers write to can be used, and belong together. */
import type { Pool, RowDataPacket } from "mysql2/promise";
import { type MysqlVariables, mysqlAddress, mysqlServers, openMysqlPool } from "../../worker/servers/mysql.ts";
import { ServerError } from "../errors.ts";
import { list } from "../text/format.ts";
import { checkMysql } from "./mysql-check.ts";
import { toMysqlError } from "./mysql-errors.ts";

/**
 * Checks each server of MYSQL_URL and MYSQL_URLS. Returns the settings that matter to a lock; where servers differ, the
 * setting of each. Throws ServerError, also where several servers are not those of one Galera cluster.
 */
export async function checkMysqlServers(variables: MysqlVariables): Promise<Record<string, string>> {
  const servers: CheckedServer[] = [];
  for (const server of mysqlServers(variables)) servers.push(await checkServer(server));
  const [first] = servers;
  if (servers.length > 1) for (const server of servers) checkBelongs(server, first!);
  return { ...mergeSettings(servers), ...describeCluster(servers) };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

interface CheckedServer {
  readonly address: string;
  readonly settings: Record<string, string>;
  /** Undefined where the server belongs to no Galera cluster. */
  readonly galera: { readonly cluster: string; readonly state: string } | undefined;
}

async function checkServer(server: MysqlVariables): Promise<CheckedServer> {
  const address = mysqlAddress(server);
  const pool = openMysqlPool(server, { connectionLimit: 1, connectTimeout: 3_000 });
  try {
    const settings = await checkMysql(pool, `MySQL at ${address}`);
    const galera = await readGalera(pool).catch((error) => {
      throw toMysqlError(`MySQL at ${address}`, error);
    });
    return { address, settings, galera };
  } finally {
    await pool.end().catch(() => {});
  }
}

async function readGalera(pool: Pool): Promise<CheckedServer["galera"]> {
  const read = async (what: "VARIABLES" | "STATUS", name: string): Promise<string> => {
    const [[row]] = await pool.query<RowDataPacket[]>({ sql: `SHOW ${what} LIKE '${name}'`, timeout: 10_000 });
    return row?.Value ?? "";
  };
  if ((await read("VARIABLES", "wsrep_on")) !== "ON") return undefined;
  return {
    cluster: await read("STATUS", "wsrep_cluster_state_uuid"),
    state: await read("STATUS", "wsrep_local_state_comment"),
  };
}

function checkBelongs({ address, galera }: CheckedServer, first: CheckedServer): void {
  const where = `MySQL at ${address}`;
  const fix = "name servers of one Galera cluster in MYSQL_URLS, or only one server in MYSQL_URL";
  if (galera === undefined)
    throw new ServerError(where, "it belongs to no Galera cluster (wsrep_on is not ON)", fix, { final: true });
  if (galera.cluster !== first.galera?.cluster)
    throw new ServerError(where, `it belongs to another cluster than ${first.address}`, fix, { final: true });
  if (galera.state !== "Synced")
    throw new ServerError(
      where,
      `it is not synced with its cluster (${galera.state})`,
      "wait until it is, or leave it out",
    );
}

function mergeSettings(servers: readonly CheckedServer[]): Record<string, string> {
  const names = new Set(servers.flatMap(({ settings }) => Object.keys(settings)));
  return Object.fromEntries(
    [...names].map((name) => {
      const values = new Map(servers.map(({ address, settings }) => [address, settings[name] ?? "unknown"]));
      const [value, ...others] = new Set(values.values());
      const each = [...values].map(([address, own]) => `${own} at ${address}`);
      return [name, others.length === 0 ? value! : list(each)];
    }),
  );
}

function describeCluster(servers: readonly CheckedServer[]): Record<string, string> {
  if (servers[0]?.galera === undefined) return {};
  const galera = { galera: "statements sent one by one, wsrep_sync_wait 1" };
  if (servers.length === 1) return galera;
  return { ...galera, "servers written": `${list(servers.map(({ address }) => address))}, by worker in turn` };
}
