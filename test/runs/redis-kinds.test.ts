/** Whole reports on a real Redis Cluster and on a primary that a real Sentinel names, and URLs of the wrong kind. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createRedisMonitor } from "../../coordinator/clients/redis.ts";
import { checkAccess, probeAcl } from "../../coordinator/clients/redis-acl.ts";
import { REDIS_USERS } from "../../worker/contract.ts";
import { passwordVariable } from "../../worker/servers/redis.ts";
import { startRedisCluster, type TestCluster } from "../support/redis-cluster.ts";
import { SENTINEL_PASSWORD, startSentinel, type TestSentinel } from "../support/redis-sentinel.ts";

const MAIN = join(import.meta.dirname, "../../coordinator/main.ts");
const passwords = Object.fromEntries(REDIS_USERS.map((user) => [passwordVariable(user), user]));
const variablesOf = (url: string) => ({ REDIS_URL: url, REDIS_SENTINEL_PASSWORD: SENTINEL_PASSWORD, ...passwords });

let cluster: TestCluster;
let sentinel: TestSentinel;
let out: string;
before(async () => {
  [cluster, sentinel] = await Promise.all([startRedisCluster(), startSentinel()]);
  out = await mkdtemp(join(tmpdir(), "holdfast-kinds-"));
});
after(async () => {
  await cluster?.stop();
  await sentinel?.stop();
  await rm(out, { recursive: true, force: true });
});

/** Makes a report with private servers for everything else. */
async function report(url: string, strategies: string) {
  const options = ["--strategies", strategies, "--rows", "3", "--duration", "2s", "--out", out, "--json"];
  const environment = { ...process.env, ...variablesOf(url), HOLDFAST_OUT: undefined };
  const child = spawn(process.execPath, [MAIN, ...options], { env: environment, stdio: ["ignore", "pipe", "inherit"] });
  const [text, [status]] = await Promise.all([child.stdout.toArray(), once(child, "exit")]);
  return { status, report: JSON.parse(Buffer.concat(text).toString()) };
}

/** What the coordinator asks before the first run. */
async function check(url: string) {
  const variables = variablesOf(url);
  const monitor = createRedisMonitor(variables);
  try {
    const version = await monitor.check();
    await checkAccess(variables);
    const infos = await monitor.readInfos();
    const probes = await probeAcl(variables);
    return { version, infos, probes };
  } finally {
    monitor.close();
  }
}

describe("the coordinator", () => {
  test("reads every primary of a cluster, and the probes follow the key to its node", async () => {
    const { version, infos, probes } = await check(cluster.url);
    assert.match(version, /, a cluster of 3 primaries$/);
    assert.equal(infos.length, 3);
    assert.deepEqual(
      probes.filter(({ outcome }) => outcome !== "refused"),
      [],
    );
    // A command that is allowed is found, although the first node does not have the key.
    for (const { admin } of cluster.nodes) await admin.acl("SETUSER", "seed", "+get", "~*");
    const { probes: wrong } = await check(cluster.url);
    const allowed = wrong
      .filter(({ outcome }) => outcome === "allowed")
      .map(({ user, attempt }) => `${user} ${attempt}`);
    assert.ok(allowed.includes("seed GET holdfast:probe"), `${allowed}`);
    for (const { admin } of cluster.nodes) await admin.acl("SETUSER", "seed", "-get", "resetkeys", "~holdfast:seed:*");
  });

  test("refuses a user who may not look for the nodes of the cluster", async () => {
    for (const { admin } of cluster.nodes) await admin.acl("SETUSER", "peer", "-cluster|slots");
    await assert.rejects(check(cluster.url), /user peer, CLUSTER: NOPERM .*; compare the user's rules with/);
    for (const { admin } of cluster.nodes) await admin.acl("SETUSER", "peer", "+cluster|slots");
  });

  test("reads the primary that Sentinel names", async () => {
    const { version, infos, probes } = await check(sentinel.url);
    assert.match(version, /, the primary that Sentinel names$/);
    assert.match(infos.join(), new RegExp(`tcp_port:${sentinel.primary.port}\\b`));
    assert.ok(probes.every(({ outcome }) => outcome === "refused"));
  });

  for (const [what, url, message] of [
    [
      "one node of a cluster",
      () => `redis://127.0.0.1:${cluster.nodes[1]!.port}`,
      /: it is one node of a Redis Cluster, .*; write redis\+cluster:\/\/127.0.0.1:\d+ in REDIS_URL$/,
    ],
    [
      "a primary that no Sentinel knows",
      () => sentinel.url.replace("main", "other"),
      /No such master with that name; correct the Sentinels in REDIS_URL, the name of the primary/,
    ],
    [
      "a server that is no Sentinel",
      () => `redis+sentinel://127.0.0.1:${sentinel.primary.port}/main`,
      /All sentinels are unreachable .*; correct the Sentinels in REDIS_URL/,
    ],
    [
      "a server that is not in cluster mode",
      () => `redis+cluster://lock:lock@127.0.0.1:${sentinel.primary.port}`,
      /cluster support disabled; write redis:\/\/ in REDIS_URL/,
    ],
    [
      "a cluster without nodes",
      () => "redis+cluster://127.0.0.1:1",
      /user monitor: (None of startup nodes is available|.*ECONNREFUSED.*); start it or correct REDIS_URL$/,
    ],
  ] as const)
    test(`refuses ${what}`, () => assert.rejects(check(url()), message));
});

test("a Redis Cluster: all strategies that need one Redis hold", async () => {
  const strategies = "none,redis,seed-mutex,nested,redis-semaphore,redlock-npm";
  const { status, report: made } = await report(cluster.url, strategies);
  assert.equal(status, 0, made.verdict.line);
  assert.match(made.environment.redis, /a cluster of 3 primaries/);
  assert.match(made.aclNote, /^tried at 127.0.0.1:\d+ and, .*; the other nodes of the cluster were not asked$/);
  assert.ok(made.acl.length > 0 && made.acl.every(({ outcome }: { outcome: string }) => outcome === "refused"));
});

test("Sentinel: the strategies hold on the primary", async () => {
  const { status, report: made } = await report(sentinel.url, "none,redis,seed-mutex");
  assert.equal(status, 0, made.verdict.line);
  assert.match(made.environment.redis, /the primary that Sentinel names/);
});
