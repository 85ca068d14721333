/** Workers on different servers of a real Galera cluster. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createDatabase, type Database } from "../../coordinator/clients/mysql.ts";
import { staleWrites } from "../../coordinator/judge/checks/chain.ts";
import { Report } from "../../coordinator/judge/report-data.ts";
import { startServers } from "../../coordinator/platform/local/servers/index.ts";
import { operationId, type StrategyName } from "../../worker/contract.ts";
import { OperationError } from "../../worker/outcome.ts";
import { createRows, type Rows } from "../../worker/rows.ts";
import type { Sending } from "../../worker/sender.ts";
import { startAddress } from "../support/address.ts";
import { bareEnvironment } from "../support/environment.ts";
import { type GaleraCluster, skipGalera, startGalera } from "../support/galera.ts";

const SERVERS = 2;
const WRITERS = 4;
const WRITING_MS = 2_000;

describe("Galera", { skip: skipGalera() }, () => {
  let cluster: GaleraCluster;
  let database: Database;
  before(async () => {
    cluster = await startGalera(SERVERS);
    database = createDatabase({ MYSQL_URL: cluster.urls[0]! });
  });
  after(async () => {
    await database?.close();
    await cluster?.[Symbol.asyncDispose]();
  });

  const WRITES: Record<string, (rows: Rows, id: number) => Promise<void>> = {
    "transactions with a row lock": (rows, id) =>
      rows.transaction(async (transaction) => {
        const employee = await transaction.read(1, "FOR UPDATE");
        await transaction.write({ id }, employee, employee.salary + 1);
      }),
    "single writes with a version": async (rows, id) => {
      const employee = await rows.read(1);
      await rows.write({ id }, employee, employee.salary + 1, { version: employee.version });
    },
  };

  for (const [name, write] of Object.entries(WRITES))
    test(`${name}: every acknowledged COMMIT is in the ledger`, async (context) => {
      const found = await writeFromBothServers(`${name}, each by itself`, write);
      // The way of sending that other servers get loses some in most runs, but not in all: there is nothing to assert.
      const batched = await writeFromBothServers(`${name}, in batches`, write, "batched");
      context.diagnostic(`each by itself: ${JSON.stringify(found)}, in batches: ${JSON.stringify(batched)}`);
      assert.ok(found.acknowledged > 30, `${found.acknowledged} acknowledged`);
      assert.ok(found.rejected > 0, "writers on two servers collide");
      assert.deepEqual({ missing: found.missing, more: found.more }, { missing: 0, more: 0 });
    });

  test("writers that take turns on two servers see what the other one wrote", async (context) => {
    const found = await writeInTurn("turns", "");
    // Without the setting some reads are stale in most runs, but not in all: there is nothing to assert.
    const unset = await writeInTurn("turns, stale", "SET SESSION wsrep_sync_wait = 0");
    context.diagnostic(`wsrep_sync_wait 1: ${JSON.stringify(found)}, 0: ${JSON.stringify(unset)}`);
    assert.ok(found.written > 30, `${found.written} written`);
    assert.equal(found.stale, 0);
  });

  test("a report with workers on both servers ends as theory expects", async () => {
    const [MYSQL_URL] = cluster.urls;
    const { report, status, errors } = await makeReport(["none", "row-lock", "version", "get-lock", "redis"], {
      MYSQL_URL: MYSQL_URL!,
      MYSQL_URLS: cluster.urls.join(", "),
    });
    assert.equal(status, 0, `${report?.verdict.line} ${errors}`);
    const data = Object.fromEntries(report!.runs.map((run) => [run.strategy, run.data.value]));
    assert.deepEqual(data, {
      none: "violated",
      "row-lock": "holds",
      version: "holds",
      // Each server has its own lock of this name, and nothing else keeps the reads apart.
      "get-lock": "violated",
      redis: "holds",
    });
    // The row lock of the other server does not make anybody wait, so the cluster rejects the second one to commit.
    const rowLock = report!.runs.find(({ strategy }) => strategy === "row-lock")!;
    assert.ok(rowLock.errors.some((error) => error.class === "deadlock" && error.outcome === "rejected"));
    const hosts = cluster.urls.map((url) => new URL(url).host);
    assert.equal(report!.environment["servers written"], `${hosts.join(" and ")}, by worker in turn`);
    for (const { plan, exclusion, expects } of report!.runs)
      assert.deepEqual([plan.mysqlServers, expects.exclusion], [SERVERS, "unclaimed"], exclusion.value);
  });

  test("workers that one address leads to different servers are noticed", async () => {
    await using balancer = await startAddress(cluster.urls.map((url) => Number(new URL(url).port)));
    const url = new URL(cluster.urls[0]!);
    url.port = String(balancer.port);
    const { report, status, errors } = await makeReport(["none", "row-lock"], { MYSQL_URL: url.href });
    assert.equal(status, 0, `${report?.verdict.line} ${errors}`);
    for (const { plan, expects } of report!.runs)
      assert.deepEqual([plan.mysqlServers, expects.exclusion], [SERVERS, "unclaimed"]);
  });

  test("a server that is not of the cluster is refused", async () => {
    await using other = await startServers({ coordinatorUrl: "http://127.0.0.1:1", only: ["mysql"] });
    const [MYSQL_URL] = cluster.urls;
    const MYSQL_URLS = `${MYSQL_URL},${other.mysql!.url}`;
    const mixed = createDatabase({ MYSQL_URL: MYSQL_URL!, MYSQL_URLS });
    const message = `MySQL at ${new URL(other.mysql!.url).host}: it belongs to no Galera cluster (wsrep_on is not ON); name servers of one Galera cluster in MYSQL_URLS, or only one server in MYSQL_URL`;
    await assert.rejects(mixed.check(), { name: "ServerError", message, final: true });
    await mixed.close();
  });

  /** One writer on each server, never both at the same time, as if a lock outside the database kept them apart. */
  async function writeInTurn(run: string, setting: string) {
    await database.reset(run, 1);
    const both = cluster.urls.map((url) => open(run, url));
    if (setting !== "") for (const rows of both) await rows.connection((connection) => connection.query(setting, []));
    let rejected = 0;
    const end = performance.now() + WRITING_MS / 2;
    for (let sequence = 1; performance.now() < end; sequence += 1) {
      const rows = both[sequence % SERVERS]!;
      try {
        const employee = await rows.read(1);
        await rows.write({ id: sequence }, employee, employee.salary + 1);
      } catch (error) {
        if (!(error instanceof OperationError)) throw error;
        rejected += 1;
      }
    }
    for (const rows of both) await rows.close();
    const { ledger } = await database.snapshot(run);
    return { written: ledger.length, rejected, stale: staleWrites(ledger) };
  }

  /** Several writers change one row for a while, half of them on each server. */
  async function writeFromBothServers(run: string, write: (typeof WRITES)[string], sending?: Sending) {
    await database.reset(run, 1);
    const acknowledged = new Set<number>();
    let rejected = 0;
    const end = performance.now() + WRITING_MS;
    const writeAll = async (writer: number) => {
      const rows = open(run, cluster.urls[writer % SERVERS]!, sending);
      for (let sequence = 1; performance.now() < end; sequence += 1) {
        const id = operationId(writer, sequence);
        try {
          await write(rows, id);
          acknowledged.add(id);
        } catch (error) {
          if (!(error instanceof OperationError) || error.outcome !== "rejected") throw error;
          rejected += 1;
        }
      }
      await rows.close();
    };
    await Promise.all(Array.from({ length: WRITERS }, (_, writer) => writeAll(writer)));
    const { ledger } = await database.snapshot(run);
    const present = new Set(ledger.op.subarray(0, ledger.length));
    return {
      acknowledged: acknowledged.size,
      rejected,
      missing: [...acknowledged].filter((id) => !present.has(id)).length,
      more: [...present].filter((id) => !acknowledged.has(id)).length,
    };
  }
});

// --- Internal helpers -----------------------------------------------------------------------------------------------

const open = (run: string, url: string, sending?: Sending): Rows =>
  createRows({
    server: { MYSQL_URL: url },
    spec: { run, concurrency: 1, statementTimeoutMs: 10_000, ledger: true },
    ...(sending === undefined ? {} : { sending }),
  });

/** Runs the command as a user would, with these servers. */
async function makeReport(strategies: readonly StrategyName[], servers: Readonly<Record<string, string>>) {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-galera-"));
  try {
    const args = ["--json", "--out", folder, "--duration", "2s", "--strategies", strategies.join(",")];
    const env = { ...bareEnvironment(folder), ...servers };
    const command = spawn(process.execPath, [MAIN, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
    const text = { out: "", err: "" };
    command.stdout.on("data", (chunk) => (text.out += chunk));
    command.stderr.on("data", (chunk) => (text.err += chunk));
    const [status] = await once(command, "close");
    return { status, errors: text.err, report: text.out === "" ? undefined : Report.parse(JSON.parse(text.out)) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const MAIN = join(import.meta.dirname, "../../coordinator/main.ts");
