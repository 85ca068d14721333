/** A Galera cluster on loopback, for tests of writers on different servers. */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import mysql, { type RowDataPacket } from "mysql2/promise";
import { startKeeper } from "../../coordinator/platform/local/servers/keeper.ts";
import { freePort } from "../../coordinator/platform/local/servers/ports.ts";
import { initializeMysql, runMysql } from "../../coordinator/platform/local/servers/start-mysql.ts";
import { waitUntil } from "../../coordinator/wait.ts";

/** Where the package galera-4 of Debian and Ubuntu has it. */
const PROVIDER = "/usr/lib/galera/libgalera_smm.so";

/** The reason to skip the tests that need a cluster; false where there can be one, and in CI, which must not skip them. */
export const skipGalera = (): string | false =>
  process.env.CI !== undefined || existsSync(PROVIDER)
    ? false
    : `${PROVIDER} is missing: "make test" installs it from Debian and Ubuntu (package galera-4)`;

export interface GaleraCluster extends AsyncDisposable {
  /** One for each server. */
  readonly urls: readonly string[];
}

/**
 * Starts this many servers of one cluster. They begin with copies of the same data and the same position in the history
 * of the cluster, so that no server needs a state transfer from another one, and none of its programs.
 */
export async function startGalera(servers: number): Promise<GaleraCluster> {
  const keeper = await startKeeper(tmpdir());
  try {
    const data = await initializeMysql(keeper);
    const history = randomUUID();
    const addresses: string[] = [];
    const urls: string[] = [];
    for (let index = 0; index < servers; index += 1) {
      const folder = `${data.folder}-${index}`;
      await cp(data.folder, folder, { recursive: true });
      await writeFile(
        join(folder, "grastate.dat"),
        `# GALERA saved state\nversion: 2.1\nuuid: ${history}\nseqno: ${index}\nsafe_to_bootstrap: ${index === 0 ? 1 : 0}\n`,
      );
      const address = `127.0.0.1:${await freePort()}`;
      const node = await runMysql(keeper, { ...data, folder }, [
        "--wsrep_on=ON",
        `--wsrep_provider=${PROVIDER}`,
        `--wsrep_provider_options=gmcast.listen_addr=tcp://${address};ist.recv_addr=127.0.0.1:${await freePort()};gcache.size=16M`,
        `--wsrep_cluster_address=gcomm://${addresses.join(",")}`,
        `--wsrep_node_address=${address}`,
        `--wsrep_node_name=node-${index}`,
        `--wsrep_start_position=${history}:${index}`,
        "--wsrep_sst_method=skip",
        "--binlog_format=ROW",
        "--innodb_autoinc_lock_mode=2",
      ]);
      await waitUntilSynced(node.url);
      addresses.push(address);
      urls.push(node.url);
    }
    return { urls, [Symbol.asyncDispose]: () => keeper[Symbol.asyncDispose]() };
  } catch (error) {
    await keeper[Symbol.asyncDispose]();
    throw error;
  }
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

async function waitUntilSynced(url: string) {
  const connection = await mysql.createConnection(url);
  const look = async () => {
    const [[state]] = await connection.query<RowDataPacket[]>("SHOW STATUS LIKE 'wsrep_local_state_comment'");
    return state?.Value === "Synced" ? undefined : `the server is ${state?.Value}`;
  };
  await waitUntil(look, { deadlineMs: 30_000, signal: new AbortController().signal, everyMs: 50 });
  connection.destroy();
}
