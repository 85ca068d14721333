/** What the coordinator finds out about an etcd, and what etcd refuses the user of the workers. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createEtcdClient } from "../../coordinator/clients/etcd.ts";
import { connect } from "../../coordinator/clients/etcd-client.ts";
import { ConfigError, ServerError } from "../../coordinator/errors.ts";
import { planRuns } from "../../coordinator/plan/scenarios/index.ts";
import { readRunOptions } from "../../coordinator/plan/settings.ts";
import { checkLockServices } from "../../coordinator/runner/lock-services.ts";
import { type EtcdVariables, etcdAccess } from "../../worker/servers/etcd.ts";
import { etcdMissing, startEtcd, type TestEtcd } from "../support/etcd.ts";

describe("etcd as the coordinator sees it", { skip: await etcdMissing() }, () => {
  let etcd: TestEtcd;
  before(async () => {
    etcd = await startEtcd();
  });
  after(() => etcd.stop());

  async function use<T>(variables: EtcdVariables, call: (client: ReturnType<typeof createEtcdClient>) => Promise<T>) {
    const client = createEtcdClient(variables);
    try {
      return await call(client);
    } finally {
      client.close();
    }
  }
  const ofWorkers = () => ({ ...etcd.variables, ETCD_ADMIN_PASSWORD: undefined });

  test("its version and the shortest lease that it grants", async () => {
    assert.match(await use(etcd.variables, (client) => client.check()), /^etcd \d+\.\d+\.\d+$/);
    assert.equal(await use(ofWorkers(), (client) => client.shortestTtlMs()), 1_000);
  });

  test("a run with a shorter TTL is refused with the figure, and only a run that uses etcd", async () => {
    const check = (strategies: readonly string[]) => {
      const plans = planRuns(readRunOptions({ strategies, lockTtl: "900ms" }).settings);
      return checkLockServices(plans, etcd.variables, {}, (call) => call());
    };
    await assert.rejects(check(["none", "etcd"]), (error) => {
      assert.ok(error instanceof ConfigError, String(error));
      assert.match(error.message, /^--lock-ttl 900ms: etcd grants 1000 ms or more; choose a longer TTL, or leave out/);
      return true;
    });
    assert.deepEqual(await check(["none", "redis"]), { versions: {}, acl: [] });
  });

  test("the user is created once, is enough without the administrator, and gets a changed password", async () => {
    await use(etcd.variables, (client) => client.prepare());
    await use(ofWorkers(), (client) => client.prepare());
    const changed = { ...etcd.variables, ETCD_PASSWORD: "another" };
    await use(changed, (client) => client.prepare());
    await use({ ...changed, ETCD_ADMIN_PASSWORD: undefined }, (client) => client.prepare());
    await use(etcd.variables, (client) => client.prepare());
    assert.deepEqual(await etcd.places(), [], "and nothing is left");
  });

  test("everything else is refused, with the answer of etcd", async () => {
    const probes = await use(etcd.variables, (client) => client.probes());
    assert.ok(probes.length >= 20);
    for (const { user, attempt, outcome, answer } of probes) {
      assert.equal(outcome, "refused", `${user}: ${attempt}: ${answer}`);
      assert.match(answer, /permission denied|user name is empty|invalid user ID or password/);
    }
    assert.ok(probes.some(({ attempt }) => attempt === "revoke the lease of another client"));
  });

  test("a user that may do everything is found out, and nothing of the attempts remains", async () => {
    await etcd.admin.ask("auth/user/grant", { user: "holdfast", role: "root" });
    try {
      const probes = await use(etcd.variables, (client) => client.probes());
      const allowed = probes.filter(({ outcome }) => outcome === "allowed");
      assert.deepEqual(
        probes.filter(({ outcome, user }) => user === "holdfast" && outcome !== "allowed"),
        [],
      );
      assert.ok(allowed.length >= 15);
      const { kvs = [] } = (await etcd.admin.ask("kv/range", { key: "AA==", range_end: "AA==" })) as {
        kvs?: unknown[];
      };
      assert.deepEqual(kvs, []);
    } finally {
      await etcd.admin.ask("auth/user/revoke", { name: "holdfast", role: "root" });
    }
  });

  for (const [what, change, message] of [
    [
      "password",
      { ETCD_PASSWORD: "x", ETCD_ADMIN_PASSWORD: undefined },
      /correct the user in ETCD_URL and its password/,
    ],
    ["administrator", { ETCD_ADMIN_PASSWORD: "x" }, /user root: .*; correct ETCD_ADMIN_PASSWORD/],
  ] as const)
    test(`a wrong ${what} is final`, async () => {
      await assert.rejects(
        use({ ...etcd.variables, ...change }, (client) => client.check()),
        (error) => error instanceof ServerError && error.final && message.test(error.message),
      );
    });

  test("a role for other keys is found before the run", async () => {
    await etcd.admin.ask("auth/user/add", { name: "stranger", password: "stranger" });
    const ETCD_URL = etcd.variables.ETCD_URL.replace("holdfast", "stranger");
    await assert.rejects(
      use({ ETCD_URL, ETCD_PASSWORD: "stranger" }, (client) => client.prepare()),
      (error) =>
        error instanceof ServerError && error.final && /permission denied; give the user the role/.test(error.message),
    );
  });

  test("authentication is turned on at a new server, and not at one that is in use", async () => {
    const fresh = await startEtcd();
    try {
      await fresh.admin.ask("auth/disable", {});
      const users = fresh.variables;
      const anybody = connect({ ...etcdAccess(users), login: undefined }, undefined);
      await anybody.ask("auth/user/delete", { name: "holdfast" });
      await anybody.ask("kv/put", { key: "YQ==", value: "YQ==" });
      await assert.rejects(
        use(users, (client) => client.prepare()),
        (error) => error instanceof ServerError && error.final && /the server is in use; enable it/.test(error.message),
      );
      await anybody.ask("kv/deleterange", { key: "YQ==" });
      assert.match(await use(users, (client) => client.check()), /^etcd /);
      await use(users, (client) => client.prepare());
      await assert.rejects(anybody.ask("kv/range", { key: "YQ==" }), /user name is empty/);
      anybody.close();
    } finally {
      await fresh.stop();
    }
  });

  test("a member that is down is passed over", async () => {
    const [, port] = /:(\d+)$/.exec(etcd.variables.ETCD_URL)!;
    const variables = { ...etcd.variables, ETCD_URL: `http://holdfast@127.0.0.1:1,127.0.0.1:${port}` };
    assert.match(await use(variables, (client) => client.check()), /^etcd /);
    const access = etcdAccess(variables);
    const one = connect(access, access.login);
    await one.ask("maintenance/status", {});
    one.close();
  });
});
