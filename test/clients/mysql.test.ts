/** What is said about a real MariaDB that cannot be used as it is, and whether that is waited for. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import mysql, { type Connection, type RowDataPacket } from "mysql2/promise";
import { createDatabase } from "../../coordinator/clients/mysql.ts";
import { SCHEMA } from "../../coordinator/clients/mysql-check.ts";
import { ServerError } from "../../coordinator/errors.ts";
import { type Servers, startServers } from "../../coordinator/platform/local/servers/index.ts";
import { explainMysql } from "../../worker/server-errors.ts";

const SCHEMA_FILE = join(import.meta.dirname, "../../helm/files/schema.sql");

let servers: Servers;
let admin: Connection;
let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "holdfast-mysql-"));
  const accounts = join(folder, "accounts.sql");
  await writeFile(
    accounts,
    "CREATE USER admin@127.0.0.1 IDENTIFIED BY 'admin';\nGRANT ALL PRIVILEGES ON *.* TO admin@127.0.0.1 WITH GRANT OPTION;\n",
  );
  servers = await startServers({
    coordinatorUrl: "http://127.0.0.1:9",
    only: ["mysql"],
    mysqlOptions: [`--init-file=${accounts}`, "--log-bin=binlog", "--server-id=1"],
  });
  admin = await mysql.createConnection({ uri: urlOf("admin", "admin"), multipleStatements: true });
});
after(async () => {
  await admin?.end();
  await servers?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

const urlOf = (user: string, password: string, database = "holdfast") => {
  const url = new URL(servers.mysql!.url);
  Object.assign(url, { username: user, password, pathname: `/${database}` });
  return url.href;
};

/** What the coordinator says before the first run. */
async function check(url = servers.mysql!.url): Promise<Record<string, string>> {
  const database = createDatabase({ MYSQL_URL: url });
  try {
    return await database.check();
  } finally {
    await database.close();
  }
}

async function assertFails(url: string, message: RegExp, final: boolean) {
  await assert.rejects(check(url), (error) => {
    assert.ok(error instanceof ServerError, String(error));
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /\n|secret/);
    assert.equal(error.final, final, "final");
    return true;
  });
}

/** Creates an account that only the test uses. */
async function createAccount(
  name: string,
  identified: string,
  grants: readonly string[] = ["ALL PRIVILEGES ON holdfast.*"],
) {
  await admin.query(`CREATE OR REPLACE USER ${name}@127.0.0.1 ${identified}`);
  for (const grant of grants) await admin.query(`GRANT ${grant} TO ${name}@127.0.0.1`);
  return urlOf(name, "secret");
}
const PASSWORD = "IDENTIFIED BY 'secret'";

test("the columns that the check expects are those of schema.sql", async () => {
  await check();
  const [columns] = await admin.query<RowDataPacket[]>(
    "SELECT table_name AS t, column_name AS c FROM information_schema.columns WHERE table_schema = 'holdfast'",
  );
  const expected = Object.entries(SCHEMA).flatMap(([table, names]) =>
    Object.keys(names).map((name) => `${table}.${name}`),
  );
  assert.deepEqual(columns.map(({ t, c }) => `${t}.${c}`).sort(), expected.sort());
  const [[left]] = await admin.query<RowDataPacket[]>("SELECT COUNT(*) AS n FROM employee");
  assert.equal(left!.n, 0, "the check leaves no rows");
});

for (const [what, grants, message] of [
  [
    "only SELECT",
    ["SELECT ON holdfast.*"],
    /user 'some'@'127.0.0.1' lacks INSERT on employee, writer, pending and ledger; UPDATE on employee; DELETE on employee, writer, pending and ledger; run GRANT INSERT, UPDATE, DELETE ON `holdfast`\.\* TO 'some'@'127.0.0.1'$/,
  ],
  [
    "no rights on one table",
    ["ALL ON holdfast.employee", "ALL ON holdfast.writer", "ALL ON holdfast.ledger"],
    /lacks INSERT on pending; SELECT on pending; DELETE on pending; run GRANT INSERT, SELECT, DELETE ON/,
  ],
  [
    "no right to change one column",
    ["SELECT, INSERT, DELETE ON holdfast.*", "UPDATE (version, salary, fence) ON holdfast.employee"],
    /lacks UPDATE on employee; run GRANT UPDATE ON/,
  ],
] as const)
  test(`a user with ${what}`, async () => {
    await assertFails(await createAccount("some", PASSWORD, grants), message, true);
  });

test("the rights that the fix names are enough", async () => {
  await check(await createAccount("enough", PASSWORD, ["INSERT, SELECT, UPDATE, DELETE ON holdfast.*"]));
});

for (const [what, change, message] of [
  [
    "columns of an older schema",
    "ALTER TABLE employee DROP fence, DROP last_op",
    /column employee.fence is missing; column employee.last_op is missing; run DROP TABLE employee, then load/,
  ],
  [
    "a time without microseconds",
    "ALTER TABLE ledger MODIFY read_at DATETIME NOT NULL",
    /column ledger.read_at is datetime, not datetime\(6\); run DROP TABLE ledger, then load/,
  ],
  [
    "a missing table",
    "DROP TABLE pending",
    /Table 'holdfast.pending' doesn't exist; load helm\/files\/schema.sql into this database/,
  ],
  [
    "a view",
    "RENAME TABLE employee TO staff; CREATE VIEW employee AS SELECT * FROM staff",
    /employee is a view, not a table; remove it and load/,
  ],
  [
    "partitions",
    "ALTER TABLE writer DROP PRIMARY KEY, ADD PRIMARY KEY (id, run); ALTER TABLE writer PARTITION BY KEY (id) PARTITIONS 2",
    /table writer is partitioned; .* REMOVE PARTITIONING/,
  ],
  [
    "a ledger that hides what is applied twice",
    "ALTER TABLE ledger ADD UNIQUE KEY once (run, op, employee_id)",
    /unique key once.* ALTER TABLE ledger DROP KEY `once`/,
  ],
] as const)
  test(`tables that do not suit: ${what}`, async () => {
    await admin.query(change);
    await assertFails(servers.mysql!.url, message, true);
    await admin.query("DROP VIEW IF EXISTS employee; DROP TABLE IF EXISTS employee, staff, writer, pending, ledger");
    await admin.query(await readFile(SCHEMA_FILE, "utf8"));
    await check();
  });

for (const [what, account, message] of [
  ["that is locked", `${PASSWORD} ACCOUNT LOCK`, /account is locked; unlock it: ALTER USER/],
  ["that logs in by unix_socket", "IDENTIFIED VIA unix_socket", /Access denied .*; use an account with a password/],
  ["that requires TLS", `${PASSWORD} REQUIRE SSL`, /Access denied .*requires TLS \(MYSQL_TLS=required\)/],
] as const)
  test(`an account ${what}`, async () => {
    await assertFails(await createAccount("other", account), message, true);
  });

for (const [what, setting, value, original, message, final] of [
  ["is read-only", "read_only", "1", "0", /--read-only option .*; use the address of the primary in MYSQL_URL/, true],
  [
    "begins read-only transactions",
    "tx_read_only",
    "1",
    "0",
    /READ ONLY transaction; use the address .*tx_read_only/,
    true,
  ],
  ["requires TLS", "require_secure_transport", "1", "0", /Access denied .*requires TLS \(MYSQL_TLS=required\)/, true],
  ["takes no more connections", "max_connections", "10", "100", /Too many connections; raise max_connections/, false],
] as const)
  test(`a server that ${what}`, async () => {
    const url = await createAccount("plain", PASSWORD);
    await admin.query(`SET GLOBAL ${setting} = ${value}`);
    const held = Array.from({ length: setting === "max_connections" ? 9 : 0 }, () =>
      mysql.createConnection({ uri: url }),
    );
    for (const opening of held) await opening;
    await assertFails(url, message, final);
    await admin.query(`SET GLOBAL ${setting} = ${original}`);
    for (const opening of held) (await opening).destroy();
    await check(url);
  });

test("a server whose binary log cannot have the writes at this isolation level", async () => {
  await admin.query("SET GLOBAL binlog_format = STATEMENT; SET GLOBAL tx_isolation = 'READ-COMMITTED'");
  await assertFails(
    servers.mysql!.url,
    /BINLOG_FORMAT = STATEMENT .*; set binlog_format=ROW or MIXED, or the iso/,
    true,
  );
  await admin.query("SET GLOBAL binlog_format = MIXED; SET GLOBAL tx_isolation = 'REPEATABLE-READ'");
  await check();
});

test("an expired password, and a database that is not there", async () => {
  const expired = await createAccount("late", `${PASSWORD} PASSWORD EXPIRE`);
  await assertFails(expired, /must SET PASSWORD .*; give the account a new password: ALTER USER/, true);
  await admin.query("SET GLOBAL disconnect_on_expired_password = 1");
  await assertFails(expired, /password has expired.*; give the account a new password: ALTER USER/, true);
  const user = new URL(servers.mysql!.url);
  await assertFails(urlOf(user.username, user.password, "other"), /to database 'other'; correct the database in/, true);
  await assertFails(urlOf("admin", "admin", "other"), /Unknown database 'other'; create the database and load/, true);
});

test("rows are inserted in batches that fit into a small packet, and whatever autocommit is", async () => {
  await admin.query("SET GLOBAL max_allowed_packet = 16384; SET GLOBAL autocommit = 0");
  const database = createDatabase({ MYSQL_URL: servers.mysql!.url });
  await database.check();
  await database.reset("small-packets", 1_000);
  await database.close();
  const [[row]] = await admin.query<RowDataPacket[]>("SELECT COUNT(*) AS n FROM employee WHERE run = 'small-packets'");
  assert.equal(row!.n, 1_000);
  await admin.query("SET GLOBAL max_allowed_packet = 16777216; SET GLOBAL autocommit = 1");
});

test("errors that no server here can be made to give", () => {
  for (const [error, final, fix] of [
    [{ errno: 3159, message: "Connections using insecure transport are prohibited" }, true, /MYSQL_TLS=required/],
    [{ errno: 3118, message: "Access denied for user. Account is locked." }, true, /ACCOUNT UNLOCK/],
    [{ errno: 1130, message: "Host '10.1.1.1' is not allowed to connect" }, true, /for the host that connects/],
    [{ errno: 1290, message: "running with the --super-read-only option" }, true, /primary/],
    [{ errno: 1047, message: "WSREP has not yet prepared node for application use" }, false, /Galera/],
    [
      { message: "Server requests authentication using unknown plugin dialog. See TODO: add" },
      true,
      /caching_sha2_password/,
    ],
    [{ code: "HANDSHAKE_NO_SSL_SUPPORT", message: "Server does not support secure connection" }, true, /certificate/],
    [{ code: "HANDSHAKE_SSL_ERROR", message: "certificate has expired" }, true, /renew/],
    [{ code: "HANDSHAKE_SSL_ERROR", message: "certificate is not yet valid" }, false, /clock/],
    [{ code: "ERR_TLS_CERT_ALTNAME_INVALID", message: "Hostname/IP does not match" }, true, /use a name in the URL/],
  ] as const) {
    const remedy = explainMysql(Object.assign(new Error(error.message), error));
    assert.equal(remedy?.final, final, error.message);
    assert.match(remedy.fix, fix);
  }
  const refused = Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:1"), { code: "ECONNREFUSED", errno: -111 });
  assert.equal(explainMysql(refused), undefined);
});
