import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Redis } from "ioredis";
import mysql from "mysql2/promise";
import { createDatabase } from "../../../coordinator/clients/mysql.ts";
import { createPrometheus } from "../../../coordinator/clients/prometheus.ts";
import { ServerError } from "../../../coordinator/errors.ts";
import { missingLocalFaults } from "../../../coordinator/platform/local/faults.ts";
import { findClockLibraries } from "../../../coordinator/platform/local/servers/fake-clock.ts";
import { type Servers, startServers } from "../../../coordinator/platform/local/servers/index.ts";
import type { StartedRedis } from "../../../coordinator/platform/local/servers/start-redis.ts";
import { eventually, processesOf } from "../../support/leftovers.ts";

let parent: string;
let servers: Servers;
const http = await serve((request, response) => {
  const targets = [{ targets: [http.address], labels: {} }];
  if (request.url === "/targets") response.setHeader("content-type", "application/json").end(JSON.stringify(targets));
  else response.setHeader("content-type", "text/plain; version=0.0.4").end("answer 42\n");
});

before(async () => {
  // With a space, which no server may split at.
  parent = await mkdtemp(join(tmpdir(), "holdfast test "));
  servers = await startServers({
    coordinatorUrl: `http://${http.address}`,
    folder: parent,
    redisServers: 3,
    fakeClocks: true,
  });
});
after(async () => {
  await servers?.[Symbol.asyncDispose]();
  http.close();
  await rm(parent, { recursive: true });
});

test("the database has the tables and commits durably", async () => {
  const database = createDatabase({ MYSQL_URL: servers.mysql!.url });
  const settings = await database.check();
  await database.reset("run", 3);
  assert.equal((await database.employees("run")).length, 3);
  assert.equal(settings.innodb_flush_log_at_trx_commit, "1");
  assert.equal(settings.log_bin, "OFF");
  await database.pool.end();
});

test("a table without transactions is refused by name", async () => {
  const database = createDatabase({ MYSQL_URL: servers.mysql!.url });
  await database.pool.query("ALTER TABLE pending ENGINE = MyISAM");
  await assert.rejects(database.check(), (error: ServerError) => {
    assert.match(error.message, /table pending uses the engine MyISAM, .*ALTER TABLE pending ENGINE = InnoDB$/);
    return error instanceof ServerError && error.final;
  });
  await database.pool.query("ALTER TABLE pending ENGINE = InnoDB");
  await database.check();
  await database.pool.end();
});

test("a database whose clock stands still within a statement is refused", async () => {
  await using still = await startServers({
    coordinatorUrl: "http://127.0.0.1:9",
    only: ["mysql"],
    mysqlOptions: ["--sysdate-is-now"],
  });
  const database = createDatabase({ MYSQL_URL: still.mysql!.url });
  await assert.rejects(database.check(), (error: ServerError) => {
    assert.match(error.message, /SYSDATE\(\) does not advance .*sysdate-is-now$/);
    return error instanceof ServerError && error.final;
  });
  await database.pool.end();
});

test("only the run's own account can log in to the database", async () => {
  const url = new URL(servers.mysql!.url);
  for (const [user, password] of [
    ["root", ""],
    ["", ""],
    [url.username, ""],
    ["mariadb.sys", ""],
  ] as const)
    await assert.rejects(
      mysql.createConnection({ host: url.hostname, port: Number(url.port), user, password }),
      /Access denied|locked/,
      `${user} without a password`,
    );
});

test("Prometheus scrapes the targets that the coordinator names", async () => {
  const prometheus = createPrometheus({ PROMETHEUS_URL: servers.prometheus!.url });
  const samples = await eventually(
    15_000,
    () => prometheus.query("answer"),
    (found) => found.length > 0,
  );
  assert.deepEqual(
    samples.map(({ value }) => value),
    [42],
  );
});

test("independent Redis servers, and no clear password in any file", async () => {
  const { urls, passwords } = servers.redis!;
  assert.equal(new Set(urls).size, 3);
  const secrets = [...Object.values(passwords), new URL(servers.mysql!.url).password];
  for (const file of await readdir(servers.folder!, { recursive: true, withFileTypes: true })) {
    if (!file.isFile()) continue;
    const content = await readFile(join(file.parentPath, file.name), "latin1");
    for (const secret of secrets) assert.ok(!content.includes(secret), `${file.name} holds a password`);
  }
});

test("the clock of one Redis jumps where libfaketime is installed; elsewhere the reason says what to install", async () => {
  const { started, passwords } = servers.redis!;
  const [server, other] = started
    .slice(0, 2)
    .map(({ url }) => new Redis(url, { username: "monitor", password: passwords.monitor }));
  const secondsOf = async (redis: Redis) =>
    Number((await redis.info("server")).match(/server_time_usec:(\d+)/)![1]) / 1e6;
  const installed = (await findClockLibraries()) !== undefined || process.env.CI !== undefined;
  if (installed) {
    await started[0]!.advanceClock!(3_600_000);
    const ahead = (await secondsOf(server!)) - (await secondsOf(other!));
    assert.ok(ahead > 3_590 && ahead < 3_610, `${ahead} s`);
  }
  for (const redis of [server, other]) redis!.disconnect();

  const reasonWith = (each: Partial<StartedRedis>) =>
    missingLocalFaults({ ...servers, redis: { ...servers.redis!, started: [{ ...started[0]!, ...each }] } })[
      "clock-jump"
    ];
  assert.equal(reasonWith({ advanceClock: async () => {} }), undefined);
  assert.match(reasonWith({ advanceClock: undefined })!, /needs libfaketime, .* apt-get install libfaketime/);
});

test("an end leaves no process and no folder", async () => {
  assert.equal((await processesOf(parent)).length, 6, "keeper, MySQL, Prometheus and three Redis");
  await servers[Symbol.asyncDispose]();
  assert.deepEqual(await processesOf(parent), []);
  assert.deepEqual(await readdir(parent), []);
});

async function serve(listener: RequestListener) {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => server.close() };
}
