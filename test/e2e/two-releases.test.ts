/** Two releases with the same name in two namespaces at the same time; then one that uses the other's servers, or servers with TLS. */
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { REDIS_USERS } from "../../worker/contract.ts";
import { assertAgreement, assertBooksAgree, dataOf } from "./support/findings.ts";
import { mysqlRows } from "./support/mysql.ts";
import { prometheusOf } from "./support/prometheus.ts";
import { type Body, scenario } from "./support/scenario.ts";
import { createSite, type End, type Site } from "./support/site.ts";
import { startTlsServers } from "./support/tls-servers.ts";
import { QUICK } from "./support/values.ts";

let one: Site;
let other: Site;
const onSites = (name: string, body: Body) => scenario(name, () => [one, other], body);
/** Longer than in other tests, because other pods that start on the nodes can delay a fleet for seconds. */
const BUSY = { ...QUICK, duration: "15s", strategies: ["none", "redis"], startDeadline: "120s" };

before(async () => {
  [one, other] = await Promise.all([createSite("one"), createSite("other")]);
});
after(() => Promise.all([one?.[Symbol.asyncDispose](), other?.[Symbol.asyncDispose]()]));

onSites("two releases at once do not touch each other", async () => {
  const ends = await Promise.all(
    [one, other].map(async (site) => {
      await site.install(BUSY);
      return site.ended();
    }),
  );
  for (const [index, site] of [one, other].entries()) {
    const end = ends[index]!;
    assertHolds(end);
    assert.deepEqual(await reportsInMySql(site), [end.report.report], "rows");
    await using prometheus = await prometheusOf(site);
    const series = await prometheus.now('count by (report, namespace) (last_over_time({report!=""}[1h]))');
    assert.deepEqual(
      series.map(({ metric }) => metric),
      [{ report: end.report.report, namespace: site.namespace }],
    );
  }
  const [uids, others] = ends.map(({ report }) => report.runs.flatMap(uidsOf));
  assert.deepEqual(
    uids!.filter((uid) => others!.includes(uid)),
    [],
  );
});

onSites("a release runs on the MySQL and Redis of another one, beside that one's own run", async () => {
  const { data } = await one.json(["get", "secret", "demo-holdfast"]);
  const password = (key: string) => Buffer.from(data[key], "base64").toString();
  const guests = [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": other.namespace } } }];
  await one.upgrade({ ...BUSY, networkPolicy: { allowFrom: { mysql: guests, redis: guests } } });
  await other.upgrade({
    ...BUSY,
    mysql: {
      enabled: false,
      external: { host: `demo-holdfast-mysql.${one.namespace}` },
      auth: { password: password("mysql-password") },
    },
    redis: {
      enabled: false,
      external: { nodes: [`demo-holdfast-redis-0.${one.namespace}:6379`] },
      auth: {
        passwords: Object.fromEntries(REDIS_USERS.map((user) => [user, password(`redis-${user}-password`)])),
      },
    },
  });
  const ends = await Promise.all([one.ended(), other.ended()]);
  for (const end of ends) assertHolds(end);
  const reports = await reportsInMySql(one);
  for (const { report } of ends) assert.ok(reports.includes(report.report), `${report.report} is among ${reports}`);
  const { items } = await other.json(["get", "statefulsets"]);
  assert.deepEqual(items, [], "servers of its own");
});

onSites("a release runs on a MySQL and a Redis that accept nothing but TLS, with a private CA", async () => {
  const servers = await startTlsServers(other);
  await other.upgrade({ ...QUICK, strategies: ["none", "redis", "row-lock"], ...servers });
  const end = await other.ended();
  assertAgreement(end, 0);
  assert.deepEqual(dataOf(end.report), ["none violated", "redis holds", "row-lock holds"]);
  for (const run of end.report.runs) assertBooksAgree(run, 4);
});

// --- Internal helpers -----------------------------------------------------------------------------------------------

function assertHolds(end: End): void {
  assertAgreement(end, 0);
  assert.deepEqual(dataOf(end.report), ["none violated", "redis holds"]);
  for (const run of end.report.runs) assertBooksAgree(run, 4);
}

const uidsOf = ({ reconciliation }: End["report"]["runs"][number]) => reconciliation.map(({ uid }) => uid);

/** Ids of the reports that have rows in the bundled MySQL of a site: the first part of the name of each run. */
async function reportsInMySql(site: Site): Promise<string[]> {
  const rows = await mysqlRows(site, "SELECT DISTINCT SUBSTRING_INDEX(run, '-', 1) FROM ledger");
  return rows.flat().sort();
}
