/** The life of a release: installed by Helm 3, upgraded, run again, also as scheduled, removed. */
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { Report } from "../../coordinator/judge/report-data.ts";
import { assertAgreement, assertBooksAgree, dataOf } from "./support/findings.ts";
import { clusterObjects, objectsOf } from "./support/leftovers.ts";
import { type Body, scenario } from "./support/scenario.ts";
import { createSite, type End, type Site } from "./support/site.ts";
import { QUICK } from "./support/values.ts";
import { until } from "./support/wait.ts";

let site: Site;
let bare: string[];
/** One entry for each run so far, in order. */
const ends: End[] = [];
/** A schedule on which nothing happens during the tests, which start its Jobs themselves. */
const SCHEDULED = { schedule: "0 3 1 1 *", historyLimit: 1 };
/** The image that test/e2e/images/load.sh makes, as that of the workers and as a sidecar. */
const LOCKS_IMAGE = { repository: "holdfast-locks", tag: "e2e" };
const REDIS_PY = ["python3", "/usr/local/bin/redis_py.py"];
const OWN_LOCKS = {
  image: LOCKS_IMAGE,
  locks: {
    aside: { image: LOCKS_IMAGE, command: ["python3", "/usr/local/bin/serve.py", ...REDIS_PY], redisUser: "guest" },
    derived: { command: REDIS_PY, redisUser: "guest" },
  },
};
const onSite = (name: string, body: Body) => scenario(name, () => [site], body);

before(async () => {
  site = await createSite("lifecycle");
  bare = await objectsOf(site);
});
after(() => site?.[Symbol.asyncDispose]());

onSite("Helm 3 installs it, and it shows what holds", async () => {
  await site.install({ ...QUICK, ...SCHEDULED, strategies: ["none", "redis"] }, 3);
  await site.said(/checking MySQL/);
  await site.runScheduled("first");
  const end = await site.ended();
  assertAgreement(end, 0);
  assert.deepEqual(dataOf(end.report), ["none violated", "redis holds"]);
  for (const run of end.report.runs) assertBooksAgree(run, 4);
  ends.push(end);
});

onSite("a scheduled run waits for the coordinator of the release, and has a report of its own", async (t) => {
  const since = performance.now();
  const { reports, log } = await scheduledEnd("first");
  const waited = log.includes("waiting: Job coordinator of this release is running") ? "it waited, and" : "it";
  t.diagnostic(`${waited} ended ${((performance.now() - since) / 1_000).toFixed(1)} s after the other run`);
  const [report] = reports;
  assert.equal(reports.length, 1);
  assert.ok(report!.startedAt > ends[0]!.report.endedAt, `${report!.startedAt}: not beside the other run`);
  assert.deepEqual(dataOf(report!), ["none violated", "redis holds"]);
  for (const run of report!.runs) assertBooksAgree(run, 4);
  assert.equal((await site.ended()).report.report, ends[0]?.report.report, "the report of the release stands");
});

onSite("an upgrade with other values runs again with them, and keeps passwords and servers", async (t) => {
  const secret = await secretOf(site);
  const servers = await serverPods(site);
  // A program that starts on a busy node makes few operations at first, and they must overlap.
  const longer = { duration: "8s", hold: "30ms" };
  const values = { ...QUICK, ...longer, ...SCHEDULED, ...OWN_LOCKS, workers: 3, strategies: ["none", "version"] };
  await site.upgrade(values, 3);
  const end = await site.ended();
  assertAgreement(end, 0);
  assert.deepEqual(dataOf(end.report), ["none violated", "version holds", "own holds", "own holds"]);
  for (const run of end.report.runs) assertBooksAgree(run, 3);
  assertOwnLocks(end.report);
  for (const { ownLock, throughput } of end.report.runs)
    if (ownLock !== undefined) t.diagnostic(`${ownLock.name}: ${throughput} committed/s`);
  assert.notEqual(end.report.report, ends[0]?.report.report, "a report of its own");
  assert.equal((await site.coordinatorPods()).length, 1, "the earlier coordinator is gone");
  assert.deepEqual(await secretOf(site), secret, "passwords");
  assert.deepEqual(await serverPods(site), servers, "pods of the servers");
  await assertOnlyInSecrets(secret);
  ends.push(end);
});

onSite("so does a second upgrade, and one in the middle of a run ends that run and a scheduled one", async () => {
  await site.upgrade({ ...QUICK, ...SCHEDULED, strategies: ["row-lock"], duration: "10m", pause: "200ms" }, 3);
  await site.running("row-lock");
  await site.runScheduled("ended-by-upgrade");
  await site.upgrade({ ...QUICK, ...SCHEDULED, workers: 5, strategies: ["none", "row-lock"] }, 3);
  assert.notEqual((await site.tryKubectl(["get", "job/ended-by-upgrade"])).status, 0);
  const end = await site.ended();
  assertAgreement(end, 0);
  assert.deepEqual(dataOf(end.report), ["none violated", "row-lock holds"]);
  for (const run of end.report.runs) assertBooksAgree(run, 5);
  ends.push(end);
});

onSite("`make rerun` runs again with the values of the last time; only the last scheduled report is kept", async () => {
  const earlier = await scheduledReports();
  assert.equal(earlier.length, 1, "the report of the first scheduled run outlived two upgrades");
  const { status, stderr } = await site.make("rerun");
  assert.equal(status, 0, stderr);
  await site.runScheduled("second");
  const end = await site.ended();
  assertAgreement(end, 0);
  assert.deepEqual(end.report.options, ends.at(-1)?.report.options);
  assert.notEqual(end.report.report, ends.at(-1)?.report.report);

  const { reports, id } = await scheduledEnd("second");
  assert.deepEqual(
    reports.map(({ report }) => report),
    [id],
  );
  assert.notEqual(id, earlier[0]?.report);
  const listed = await site.make("reports");
  for (const report of [end.report.report, id])
    assert.match(listed.stdout, new RegExp(`${report} +expected$`, "m"), listed.stderr);
});

onSite("`helm uninstall` leaves nothing, of whatever kind", async () => {
  await site.helm(["uninstall", "demo"]);
  await until("the end of everything that it made", 120_000, async () => {
    const left = (await objectsOf(site)).filter((name) => !bare.includes(name));
    if (left.length > 0) throw new Error(`still there: ${left.join(", ")}`);
    return true;
  });
  assert.deepEqual(await clusterObjects(), [], "objects outside of namespaces");
});

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** A lock of redis-py in a derived image, and the same one in a sidecar. */
function assertOwnLocks({ runs }: Report): void {
  const own = runs.flatMap(({ ownLock }) => ownLock ?? []);
  assert.deepEqual(
    own.map(({ name }) => name),
    ["aside", "derived"],
  );
  for (const { name, seen } of own) {
    assert.match(seen!.program, /^redis-py [\d.]+ \(Python\)$/, name);
    assert.deepEqual([seen!.claims.lease, seen!.lossesTold], [true, 0], name);
    assert.ok(seen!.holds > 0 && seen!.pingMs > 0, JSON.stringify(seen));
  }
}

/** Waits for the end of a scheduled run. Returns its log, the id of its report, and all reports of scheduled runs. */
async function scheduledEnd(job: string): Promise<{ log: string; id: string; reports: Report[] }> {
  await site.kubectl(["wait", "--for=condition=complete", `job/${job}`, "--timeout=180s"], { timeoutMs: 190_000 });
  const { metadata } = await site.json(["get", `job/${job}`]);
  const log = await site.kubectl(["logs", `job/${job}`]);
  return { log, id: metadata.uid.slice(0, 8), reports: await scheduledReports() };
}

async function scheduledReports(): Promise<Report[]> {
  const selector = ["--selector", "app.kubernetes.io/component=scheduled-report,holdfast.dev/verdict"];
  const { items } = await site.json(["get", "configmaps", ...selector]);
  return items.map(({ data }: { data: Record<string, string> }) => Report.parse(JSON.parse(data["report.json"]!)));
}

/** The passwords stand in nothing that a reader of the namespace without rights on Secrets can see. */
async function assertOnlyInSecrets(secret: Readonly<Record<string, string>>): Promise<void> {
  const visible = await site.kubectl(["get", "configmaps,events,pods,jobs,cronjobs", "--output=json"]);
  const logs = await site.kubectl(["logs", "job/coordinator"]);
  assert.match(visible, /"kind": "Event"/);
  for (const [name, value] of Object.entries(secret)) {
    const password = Buffer.from(value, "base64").toString();
    assert.ok(password.length >= 16, name);
    for (const text of [visible, logs]) assert.ok(!text.includes(password), `${name} is visible`);
  }
}

async function secretOf({ json, release }: Site): Promise<Record<string, string>> {
  return (await json(["get", "secret", `${release}-holdfast`])).data;
}

async function serverPods({ json }: Site): Promise<string[]> {
  const { items } = await json([
    "get",
    "pods",
    "--selector",
    "app.kubernetes.io/component in (mysql, redis, prometheus)",
  ]);
  return items.map(({ metadata }: { metadata: { uid: string } }) => metadata.uid).sort();
}
