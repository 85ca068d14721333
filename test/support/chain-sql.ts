import type { Connection, RowDataPacket } from "mysql2/promise";

/**
 * A second implementation of the chain check, in the database itself with `LAG()`: the stale writes of a run, and all
 * writes that break the chain in any way. It does not include the final state of the row.
 */
export async function chainBySql(
  connection: Pick<Connection, "query">,
  run: string,
  initial: { readonly version: number; readonly lastOp: number } = { version: 1, lastOp: 0 },
): Promise<{ writes: number; stale: number; breaks: number }> {
  const [rows] = await connection.query<RowDataPacket[]>(CHAIN, [initial.version, initial.lastOp, run]);
  const { writes, stale, breaks } = rows[0]!;
  return { writes: Number(writes), stale: Number(stale), breaks: Number(breaks) };
}

const CHAIN = `
  SELECT COUNT(*) AS writes,
         COALESCE(SUM(read_version <> new_version - 1), 0) AS stale,
         COALESCE(SUM(read_version <> new_version - 1 OR new_version <> version_before + 1 OR read_op <> op_before), 0) AS breaks
  FROM (SELECT read_version, new_version, read_op,
               COALESCE(LAG(new_version) OVER one, ?) AS version_before,
               COALESCE(LAG(op) OVER one, ?) AS op_before
        FROM ledger WHERE run = ?
        WINDOW one AS (PARTITION BY employee_id ORDER BY new_version, seq)) AS chained`;
