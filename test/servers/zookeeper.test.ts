/** A real ZooKeeper as coordinator and workers reach it: with TLS and without, with an account and without. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { createZooKeeperClient } from "../../coordinator/clients/zookeeper.ts";
import { ServerError } from "../../coordinator/errors.ts";
import { freePort } from "../../coordinator/platform/local/servers/ports.ts";
import { LockUnreachable } from "../../worker/locks/lock.ts";
import { createZooKeeperLock } from "../../worker/locks/zookeeper-lock.ts";
import { type ZooKeeperVariables, zooKeeperAccess } from "../../worker/servers/zookeeper.ts";
import { zooKeeperClient } from "../../worker/servers/zookeeper-session.ts";
import { type Certificates, makeCertificates } from "../support/certificates.ts";
import { eventually } from "../support/leftovers.ts";
import { startZooKeeper, type TestZooKeeper, zooKeeperMissing } from "../support/zookeeper.ts";

describe("the URL of ZooKeeper", () => {
  const accessOf = (ZOOKEEPER_URL: string, more: Partial<ZooKeeperVariables> = {}) =>
    zooKeeperAccess({ ZOOKEEPER_URL, ...more });

  test("names servers, a user and a node", () => {
    const { servers, root, login } = accessOf("zookeeper://u@a,b:2182,[::1]:2183/team/locks", {
      ZOOKEEPER_PASSWORD: "p",
    });
    assert.deepEqual(servers, [
      { host: "a", port: 2181 },
      { host: "b", port: 2182 },
      { host: "::1", port: 2183 },
    ]);
    assert.equal(root, "/team/locks");
    assert.equal(login?.user, "u");
    assert.equal(accessOf("zookeeper://a").root, "/holdfast");
  });

  for (const [url, more, message] of [
    ["http://a", {}, /^ZOOKEEPER_URL: not a valid URL; write zookeeper:/],
    ["zookeeper://a/with space", {}, /^ZOOKEEPER_URL: the path of a node/],
    ["zookeeper://a?ssl=true", {}, /for TLS set ZOOKEEPER_TLS=required/],
    ["zookeeper://u@a", {}, /a user without a password; set ZOOKEEPER_PASSWORD/],
    ["zookeeper://a", { ZOOKEEPER_PASSWORD: "p" }, /^ZOOKEEPER_PASSWORD: ZOOKEEPER_URL names no user/],
    ["zookeeper://a", { ZOOKEEPER_TLS_CA: "/missing" }, /^ZOOKEEPER_TLS_CA: cannot read/],
  ] as const)
    test(`${url} with ${JSON.stringify(more)} is refused`, () => assert.throws(() => accessOf(url, more), { message }));
});

describe("a ZooKeeper", { skip: await zooKeeperMissing() }, () => {
  let certificates: Certificates;
  let zookeeper: TestZooKeeper;
  let secure: ZooKeeperVariables;

  before(async () => {
    certificates = await makeCertificates();
    const { ca, cert, key, clientCert, clientKey, folder } = certificates;
    const pem = join(folder, "zookeeper.pem");
    await promisify(execFile)("openssl", ["pkcs8", "-topk8", "-nocrypt", "-in", key, "-out", join(folder, "p8.key")]);
    const { stdout } = await promisify(execFile)("cat", [join(folder, "p8.key"), cert]);
    await writeFile(pem, stdout);
    const port = await freePort();
    zookeeper = await startZooKeeper({
      settings: [
        `secureClientPort=${port}`,
        "secureClientPortAddress=127.0.0.1",
        "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory",
        `ssl.keyStore.location=${pem}`,
        "ssl.keyStore.type=PEM",
        `ssl.trustStore.location=${ca}`,
        "ssl.trustStore.type=PEM",
        "ssl.clientAuth=need",
      ],
    });
    secure = {
      ...zookeeper.variables,
      ZOOKEEPER_URL: `zookeeper://holdfast@127.0.0.1:${port}`,
      ZOOKEEPER_TLS_CA: ca,
      ZOOKEEPER_TLS_CERT: clientCert,
      ZOOKEEPER_TLS_KEY: clientKey,
    };
  });
  after(async () => {
    await zookeeper?.stop();
    await certificates?.[Symbol.asyncDispose]();
  });

  const assertFails = (variables: ZooKeeperVariables, message: RegExp, final: boolean) =>
    assert.rejects(createZooKeeperClient(variables).check(), (error) => {
      assert.ok(error instanceof ServerError, String(error));
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /\n/);
      assert.equal(error.final, final);
      return true;
    });

  test("tells its version and its shortest TTL, and refuses what the workers must not do", async () => {
    for (const variables of [zookeeper.variables, secure]) {
      const client = createZooKeeperClient(variables);
      assert.match(await client.check(), /^ZooKeeper 3\.\d+/);
      await client.prepare();
      assert.equal(await client.shortestTtlMs(), 400);
      const probes = await client.probes();
      assert.ok(probes.length > 10);
      assert.deepEqual(
        probes.filter(({ outcome }) => outcome !== "refused"),
        [],
      );
    }
  });

  test("lets the administrator do what the workers must not, so that the probes can tell the two apart", async () => {
    const admin = { ...zookeeper.variables, ZOOKEEPER_PASSWORD: "admin" };
    const { ZOOKEEPER_URL } = zookeeper.variables;
    const asSuper = { ...admin, ZOOKEEPER_URL: ZOOKEEPER_URL.replace("holdfast@", "super@") };
    const probes = await createZooKeeperClient(asSuper).probes();
    const allowed = probes.filter(({ outcome }) => outcome === "allowed").map(({ attempt }) => attempt);
    assert.ok(allowed.includes("create /holdfast/other"), `${allowed}`);
    assert.ok(allowed.includes("setACL /holdfast/locks"), `${allowed}`);
    assert.ok(allowed.includes("delete /holdfast/locks"), `${allowed}`);
  });

  test("serves a lock over TLS with a client certificate", async () => {
    const lock = await createZooKeeperLock(zooKeeperClient(secure), { ttlMs: 2_000 });
    await (await lock.acquire("tls")).release();
    await lock.close();
  });

  test("is not used with a certificate that is not trusted, or without the client's", async () => {
    const otherCa = { ...secure, ZOOKEEPER_TLS_CA: certificates.otherCa };
    await assertFails(otherCa, /certificate.*; name the certificate of its CA in ZOOKEEPER_TLS_CA/, true);
    await assert.rejects(
      createZooKeeperLock(zooKeeperClient(otherCa), { ttlMs: 2_000 }),
      (error) => error instanceof LockUnreachable && /in ZOOKEEPER_TLS_CA/.test(error.message),
    );
    const { ZOOKEEPER_TLS_CERT: _cert, ZOOKEEPER_TLS_KEY: _key, ...withoutCertificate } = secure;
    await assertFails(withoutCertificate, /give a client certificate that the server accepts/, true);
  });

  test("keeps its session when a server does not answer the first frame of a connection", async () => {
    const { port, hostname } = new URL(zookeeper.variables.ZOOKEEPER_URL);
    const clients: Socket[] = [];
    const proxy = createServer((client) => {
      client.on("error", () => {});
      // The second connection is accepted and left without an answer.
      if (clients.push(client) === 2) return;
      const upstream = connect(Number(port), hostname).on("error", () => client.destroy());
      client.pipe(upstream).pipe(client);
    }).listen(0, "127.0.0.1");
    await once(proxy, "listening");
    const through = `zookeeper://holdfast@127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const session = zooKeeperClient({ ...zookeeper.variables, ZOOKEEPER_URL: through }).open({ timeoutMs: 6_000 });
    try {
      await session.connected();
      const { id } = session;
      clients[0]!.destroy();
      await eventually(
        3_000,
        async () => session.isConnected,
        (connected) => !connected,
      );
      await session.connected();
      assert.equal(session.id, id);
      assert.equal(clients.length, 3);
    } finally {
      await session.close();
      for (const client of clients) client.destroy();
      proxy.close();
    }
  });

  test("says what to do where one side speaks TLS and the other does not", async () => {
    const { ZOOKEEPER_URL } = zookeeper.variables;
    await assertFails({ ...secure, ZOOKEEPER_URL }, /start it or correct|leave out the ZOOKEEPER_TLS/, false);
    await assertFails({ ...zookeeper.variables, ZOOKEEPER_URL: secure.ZOOKEEPER_URL }, /ZOOKEEPER_TLS=required/, false);
  });

  test("gets its nodes from the user of the workers where nobody else creates them", async () => {
    const { ZOOKEEPER_ADMIN_PASSWORD: _admin, ...own } = zookeeper.variables;
    for (const path of ["of-its-own", "team-a/holdfast"]) {
      const variables = { ...own, ZOOKEEPER_URL: `${own.ZOOKEEPER_URL}/${path}` };
      const client = createZooKeeperClient(variables);
      await client.prepare();
      await client.prepare();
      assert.deepEqual(
        (await client.probes()).filter(({ outcome }) => outcome !== "refused"),
        [],
      );
      const lock = await createZooKeeperLock(zooKeeperClient(variables), { ttlMs: 2_000 });
      await (await lock.acquire("own")).release();
      await lock.close();
    }
    const foreign = { ...own, ZOOKEEPER_URL: `${own.ZOOKEEPER_URL}/holdfast/below` };
    await assert.rejects(createZooKeeperClient(foreign).prepare(), /NoAuth; correct the user/);
  });
});
