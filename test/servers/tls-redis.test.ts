/** A real Redis with TLS, and with passwords that change. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { inspect } from "node:util";
import { createRedisMonitor } from "../../coordinator/clients/redis.ts";
import { checkAccess, probeAcl } from "../../coordinator/clients/redis-acl.ts";
import { ServerError } from "../../coordinator/errors.ts";
import { freePort } from "../../coordinator/platform/local/servers/ports.ts";
import { redisConnections } from "../../worker/connections.ts";
import { REDIS_USERS } from "../../worker/contract.ts";
import type { WorkerEnvironment } from "../../worker/environment.ts";
import { createRedisLock } from "../../worker/locks/redis-lock.ts";
import { createNetwork } from "../../worker/servers/network.ts";
import { openRedis, passwordVariable, type RedisVariables, redisLogin } from "../../worker/servers/redis.ts";
import { type Certificates, makeCertificates } from "../support/certificates.ts";
import { eventually } from "../support/leftovers.ts";
import { clusterNode, killRedis, spawnRedis, startRedis, type TestRedis } from "../support/redis.ts";

/** Where the machine has IPv6. */
const IPV6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === "::1"))
  ? ["::1"]
  : [];
const passwords = Object.fromEntries(REDIS_USERS.map((user) => [passwordVariable(user), user]));

let certificates: Certificates;
let redis: TestRedis;
let tlsPort: number;
/** With the client certificate that the server demands. */
let full: RedisVariables;
const tlsFiles = ({ ca, cert, key }: Certificates) => [
  ...["--tls-ca-cert-file", ca],
  ...["--tls-cert-file", cert],
  ...["--tls-key-file", key],
];
before(async () => {
  certificates = await makeCertificates();
  const { ca, clientCert, clientKey } = certificates;
  tlsPort = await freePort();
  redis = await startRedis(["--bind", "127.0.0.1", ...IPV6, "--tls-port", `${tlsPort}`, ...tlsFiles(certificates)]);
  full = {
    REDIS_URL: `rediss://127.0.0.1:${tlsPort}`,
    ...passwords,
    REDIS_TLS_CA: ca,
    REDIS_TLS_CERT: clientCert,
    REDIS_TLS_KEY: clientKey,
  };
});
after(async () => {
  await redis?.stop();
  await certificates?.[Symbol.asyncDispose]();
});

async function versionOf(variables: RedisVariables): Promise<string> {
  const monitor = createRedisMonitor(variables);
  return monitor.check().finally(() => monitor.close());
}

/** All that coordinator and workers do with Redis. */
async function useAll(url: string, description = /^(Redis|Valkey) \d/) {
  const variables = { ...full, REDIS_URL: url };
  assert.match(await versionOf(variables), description);
  await checkAccess(variables);
  const probes = await probeAcl(variables);
  assert.deepEqual([...new Set(probes.map(({ outcome }) => outcome))], ["refused"]);
  for (const network of [undefined, createNetwork(Math.random)]) {
    const worker = redisConnections(variables as WorkerEnvironment, network);
    const lock = await createRedisLock(await worker.connect("lock"), { ttlMs: 2_000 });
    const held = await lock.acquire("tls");
    await held.release();
    await lock.close();
    worker.close();
  }
}

test("monitor, probes and a worker's lock work over TLS with a client certificate, by address and by name", async () => {
  for (const host of ["127.0.0.1", "localhost", ...IPV6.map((address) => `[${address}]`)])
    await useAll(`rediss://${host}:${tlsPort}`);
});

test("a cluster, and the primary that a Sentinel names, over TLS only", async () => {
  const [nodePort, busPort, sentinelPort] = [await freePort(), await freePort(), await freePort()];
  const clustered = [...clusterNode(busPort), "--tls-cluster", "yes"];
  // A node that has met no other does not know its address.
  clustered.push("--cluster-announce-ip", "127.0.0.1");
  const node = await startRedis([...clustered, "--tls-port", `${nodePort}`, ...tlsFiles(certificates)]);
  // Sentinel writes what it learns into its own configuration file.
  const file = join(certificates.folder, "sentinel.conf");
  await writeFile(file, `sentinel monitor main 127.0.0.1 ${tlsPort} 1\n`);
  const ports = ["--port", "0", "--tls-port", `${sentinelPort}`, "--dir", certificates.folder];
  const sentinel = await spawnRedis([file, "--sentinel", ...ports, ...tlsFiles(certificates)], "+monitor master");
  try {
    await node.admin.call("cluster", "ADDSLOTSRANGE", 0, 16_383);
    await eventually(
      5_000,
      () => node.admin.cluster("INFO"),
      (info) => info.includes("cluster_state:ok"),
    );
    await useAll(`rediss+cluster://127.0.0.1:${nodePort}`, /a cluster of 1 primary$/);
    await useAll(`rediss+sentinel://127.0.0.1:${sentinelPort}/main`, /the primary that Sentinel names$/);
  } finally {
    await killRedis(sentinel);
    await node.stop();
  }
});

test("REDIS_TLS or a certificate asks for TLS, whatever the scheme says", async () => {
  assert.match(
    await versionOf({ ...full, REDIS_URL: `redis://127.0.0.1:${tlsPort}`, REDIS_TLS: "required" }),
    /^Redis/,
  );
  assert.match(await versionOf({ ...full, REDIS_URL: `redis://127.0.0.1:${tlsPort}` }), /^Redis/);
});

test("the name of the server can be given where the URL has another one", async () => {
  assert.match(await versionOf({ ...full, REDIS_TLS_SERVER_NAME: "db.test" }), /^Redis/);
  await assert.rejects(versionOf({ ...full, REDIS_TLS_SERVER_NAME: "other.test" }), /does not match certificate/);
});

describe("a login or a certificate that does not suit is final, and the error says what to do", () => {
  const fails = (change: () => Partial<RedisVariables>, message: RegExp) => async () => {
    await assert.rejects(versionOf({ ...full, ...change() }), (error) => {
      assert.ok(error instanceof ServerError, String(error));
      assert.match(error.message, message);
      assert.ok(error.final, error.message);
      return true;
    });
  };
  const CA = /certificate.*; name the certificate of its CA in REDIS_TLS_CA/;
  test(
    "no CA",
    fails(() => ({ REDIS_TLS_CA: undefined }), CA),
  );
  test(
    "another CA",
    fails(() => ({ REDIS_TLS_CA: certificates.otherCa }), CA),
  );
  test(
    "no client certificate",
    fails(
      () => ({ REDIS_TLS_CERT: undefined, REDIS_TLS_KEY: undefined }),
      /; give a client certificate .* REDIS_TLS_CERT/,
    ),
  );
  test("plain text to a port with TLS", async () => {
    const plain = { REDIS_URL: `redis://127.0.0.1:${tlsPort}`, ...passwords };
    await assert.rejects(versionOf(plain), /; the server speaks TLS on this port: write rediss:\/\//);
  });
});

describe("a password from a file or a command", () => {
  const plain = () => ({ REDIS_URL: `redis://127.0.0.1:${redis.port}` });

  test("is read again for each new connection", async () => {
    const file = join(certificates.folder, "password");
    await writeFile(file, "lock\n");
    const variables = { ...plain(), REDIS_PASSWORD_LOCK_FILE: file };
    const connection = openRedis(variables, redisLogin(variables, "lock"), {
      retryStrategy: () => 20,
      enableReadyCheck: false,
    });
    connection.on("error", () => {});
    assert.equal(await connection.ping(), "PONG");
    await redis.admin.acl("SETUSER", "lock", "resetpass", ">rotated");
    await writeFile(file, "rotated\n");
    await redis.admin.client("KILL", "USER", "lock");
    assert.equal(await connection.ping(), "PONG");
    connection.disconnect();
    await redis.admin.acl("SETUSER", "lock", "resetpass", ">lock");
  });

  test("a command that fails ends the connection with the reason, without what it wrote", async () => {
    const variables = { ...plain(), REDIS_PASSWORD_MONITOR_COMMAND: "echo hidden; exit 3" };
    await assert.rejects(versionOf(variables), (error) => {
      assert.match(
        String(error),
        /REDIS_PASSWORD_MONITOR_COMMAND: the command failed with 3; correct the file, or run/,
      );
      assert.doesNotMatch(String(error), /hidden/);
      return error instanceof ServerError && error.final;
    });
    const worker = redisConnections({
      ...plain(),
      REDIS_PASSWORD_LOCK_COMMAND: "exit 4",
    } as unknown as WorkerEnvironment);
    await assert.rejects(worker.connect("lock"), /REDIS_PASSWORD_LOCK_COMMAND: the command failed with 4/);
    worker.close();
  });

  test("the error of a refused login does not carry the password", async () => {
    for (const protocol of [2, 3] as const) {
      const connection = openRedis(
        plain(),
        { user: "lock", password: "mistaken" },
        { protocol, retryStrategy: () => null },
      );
      const [refused] = await Promise.all([once(connection, "error"), connection.connect().catch(() => {})]);
      assert.match(inspect(refused), /WRONGPASS/);
      assert.doesNotMatch(inspect(refused), /mistaken/);
      connection.disconnect();
    }
  });

  test("one password of the user default, from the URL and from REDIS_PASSWORD", async () => {
    await redis.admin.acl("SETUSER", "default", "on", ">s/e%c#ret", "~*", "&*", "+@all");
    try {
      assert.match(await versionOf({ ...plain(), REDIS_PASSWORD: "s/e%c#ret" }), /^Redis/);
      assert.match(await versionOf({ ...plain(), REDIS_PASSWORD_COMMAND: "printf 's/e%%c#ret'" }), /^Redis/);
      assert.match(await versionOf({ REDIS_URL: `redis://:s%2Fe%25c%23ret@127.0.0.1:${redis.port}` }), /^Redis/);
      await assert.rejects(versionOf({ ...plain(), REDIS_PASSWORD: "other" }), /user default: WRONGPASS/);
    } finally {
      await redis.admin.acl("SETUSER", "default", "off", "resetpass");
    }
  });
});
