/** A failover to an asynchronous replica loses commits that the primary had acknowledged: the report must find them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { RowDataPacket } from "mysql2/promise";
import { startReplicatedMysql } from "../support/replication.ts";
import { createRig } from "../support/rig.ts";

test("row-lock over a failover that loses acknowledged commits is violated, and the report counts them", async (context) => {
  await using replicated = await startReplicatedMysql();
  await using rig = await createRig({ mysqlUrl: replicated.url });
  const countLedger = async () => {
    const connection = await rig.sql();
    const [[row]] = await connection.query<RowDataPacket[]>("SELECT COUNT(*) AS count FROM ledger");
    connection.destroy();
    return Number(row!.count);
  };
  let failover: Promise<void> | undefined;
  let kept = 0;
  const report = await rig.run(
    "row-lock",
    // Longer than a busy machine needs to notice that the workers run.
    { durationMs: 6_000 },
    {
      whileRunning() {
        failover ??= (async () => {
          await replicated.failOver(300);
          kept = await countLedger();
        })();
        return failover;
      },
    },
  );
  await failover;
  const set = report.checks.find(({ check }) => check === "set")!;
  const { committed, unknown } = report.reported;
  context.diagnostic(
    `${committed} acknowledged, ${report.ledgerRows} in the ledger, ${kept} of them at the failover: ${set.detail}`,
  );

  assert.equal(report.data.value, "violated", JSON.stringify(report.data));
  assert.equal(report.agreement, "mismatch");
  assert.match(set.detail, /acknowledged but not in the ledger/);
  // The ledger may also have operations whose COMMIT was not answered.
  const missing = committed - report.ledgerRows;
  assert.ok(set.count >= missing && set.count <= missing + unknown, `${set.count} found of ${missing}`);
  assert.ok(set.count > 0 && set.witnesses.length > 0);
  assert.match(set.witnesses[0]!.text, /was acknowledged, but it is not in the ledger$/);
  // The workers go on with the row as the replica has it: nobody builds on what is lost.
  assert.ok(kept > 0 && report.ledgerRows > kept, `${report.ledgerRows} in the ledger, ${kept} at the failover`);
  assert.equal(report.lostUpdates, 0);
});
