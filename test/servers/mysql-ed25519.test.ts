/** The login of MariaDB's ed25519 accounts: against Node's own signatures, and against a real server that has the plugin. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createPrivateKey, createPublicKey, randomBytes, sign, verify } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createDatabase } from "../../coordinator/clients/mysql.ts";
import { startServers } from "../../coordinator/platform/local/servers/index.ts";
import { publicKeyOf, signEd25519 } from "../../worker/servers/mysql-ed25519.ts";

/** What precedes the raw key in the DER form of RFC 8410. */
const PRIVATE_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");
const PUBLIC_PREFIX = Buffer.from("302a300506032b6570032100", "hex");

test("for a password of 32 bytes the signature is that of Node, which takes them as the seed", async () => {
  for (let round = 0; round < 10; round += 1) {
    const [seed, message] = [randomBytes(32), randomBytes(32)];
    const key = createPrivateKey({ key: Buffer.concat([PRIVATE_PREFIX, seed]), format: "der", type: "pkcs8" });
    assert.deepEqual(await signEd25519(seed, message), sign(null, message, key));
  }
});

test("Node accepts the signature of a password of any length, and of no other message", async () => {
  for (const password of ["", "secret", "pässword %#/?", "x".repeat(200)].map((text) => Buffer.from(text))) {
    const message = randomBytes(32);
    const signature = await signEd25519(password, message);
    const spki = Buffer.concat([PUBLIC_PREFIX, await publicKeyOf(password)]);
    const key = createPublicKey({ key: spki, format: "der", type: "spki" });
    assert.ok(verify(null, message, key, signature), `${password.length} bytes`);
    assert.ok(!verify(null, randomBytes(32), key, signature));
  }
});

test("a real MariaDB lets an ed25519 account in with the right password only", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-ed25519-"));
  t.after(() => rm(folder, { recursive: true }));
  const plugins = pluginFolder(folder);
  if (plugins === undefined) return t.skip("auth_ed25519.so is not installed, and its package cannot be fetched");
  const accounts = join(folder, "accounts.sql");
  await writeFile(
    accounts,
    "CREATE USER modern@127.0.0.1 IDENTIFIED VIA ed25519 USING PASSWORD('zebra %#/');\nGRANT ALL PRIVILEGES ON holdfast.* TO modern@127.0.0.1;\n",
  );
  for (const path of [folder, accounts]) await chmod(path, 0o755);
  await using servers = await startServers({
    coordinatorUrl: "http://127.0.0.1:9",
    only: ["mysql"],
    mysqlOptions: [`--plugin-dir=${plugins}`, "--plugin-load-add=auth_ed25519", `--init-file=${accounts}`],
  });
  const MYSQL_URL = `mysql://modern@127.0.0.1:${new URL(servers.mysql!.url).port}/holdfast`;
  const check = async (password: string) => {
    const database = createDatabase({ MYSQL_URL, MYSQL_PASSWORD: password });
    return database.check().finally(() => database.close());
  };
  assert.match((await check("zebra %#/")).mysql!, /MariaDB/);
  await assert.rejects(check("other"), /Access denied/);
});

// --- Internal helpers -----------------------------------------------------------------------------------------------

const PLUGIN = "auth_ed25519.so";

/**
 * The folder of the server's plugins. Debian has the plugin in the package mariadb-server; that package would set up a server
 * of its own, so only this file is taken from it.
 */
function pluginFolder(scratch: string): string | undefined {
  const folders = [process.env.MARIADB_PLUGIN_DIR ?? "", "/usr/lib/mysql/plugin", "/usr/lib/mariadb/plugin"];
  const installed = folders.find((path) => existsSync(join(path, PLUGIN)));
  if (installed !== undefined) return installed;
  const path = "./usr/lib/mysql/plugin";
  const shell = `apt-get download "mariadb-server=$(dpkg-query --show --showformat '\${Version}' mariadb-server-core)"
    dpkg-deb --fsys-tarfile mariadb-server_*.deb | tar -x ${path}/${PLUGIN}`;
  const { status } = spawnSync("/bin/sh", ["-ec", shell], { cwd: scratch, stdio: "ignore", timeout: 60_000 });
  return status === 0 ? join(scratch, path) : undefined;
}
