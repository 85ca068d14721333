/** A MariaDB primary with an asynchronous replica, behind one address that a failover moves from one to the other. */
import { cp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import mysql, { type RowDataPacket } from "mysql2/promise";
import { startKeeper } from "../../coordinator/platform/local/servers/keeper.ts";
import { initializeMysql, runMysql } from "../../coordinator/platform/local/servers/start-mysql.ts";
import { startAddress } from "./address.ts";

export interface ReplicatedMysql extends AsyncDisposable {
  /** Leads to the primary, and after a failover to the replica. */
  readonly url: string;
  /** Cuts the replica off, kills the primary while it acknowledges further commits, and promotes the replica. */
  failOver(cutOffMs: number): Promise<void>;
}

export async function startReplicatedMysql(): Promise<ReplicatedMysql> {
  const keeper = await startKeeper(tmpdir());
  try {
    const data = await initializeMysql(keeper);
    const replicaFolder = `${data.folder}-replica`;
    await cp(data.folder, replicaFolder, { recursive: true });
    // The only account that can log in also replicates and promotes.
    const rights = join(keeper.folder, "rights.sql");
    await writeFile(rights, "SET sql_log_bin = 0;\nGRANT ALL PRIVILEGES ON *.* TO 'holdfast'@'127.0.0.1';\n");
    const options = (id: number) => [`--server-id=${id}`, `--log-bin=server-${id}`, `--init-file=${rights}`];
    const primary = await runMysql(keeper, data, options(1));
    const replica = await runMysql(keeper, { ...data, folder: replicaFolder }, options(2));
    const { port } = new URL(primary.url);
    const command = await mysql.createConnection(replica.url);
    await command.query(
      "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = ?, MASTER_USER = 'holdfast', MASTER_PASSWORD = ?, MASTER_USE_GTID = slave_pos",
      [Number(port), data.password],
    );
    await command.query("START SLAVE");

    const address = await startAddress([Number(port)]);
    const url = new URL(primary.url);
    url.port = String(address.port);
    return {
      url: url.href,
      async failOver(cutOffMs) {
        await command.query("STOP SLAVE IO_THREAD");
        await sleep(cutOffMs);
        process.kill(primary.process.pid!, "SIGKILL");
        const [[status]] = await command.query<RowDataPacket[]>("SHOW SLAVE STATUS");
        await command.query("SELECT MASTER_GTID_WAIT(?, 10)", [status!.Gtid_IO_Pos]);
        await command.query("STOP SLAVE");
        address.moveTo([Number(new URL(replica.url).port)]);
      },
      async [Symbol.asyncDispose]() {
        command.destroy();
        await address[Symbol.asyncDispose]();
        await keeper[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await keeper[Symbol.asyncDispose]();
    throw error;
  }
}
