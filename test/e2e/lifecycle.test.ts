/** The life of a release: installed by Helm 3, upgraded, run again, removed, installed again. */
import assert from "node:assert/strict";
import { after, before } from "node:test";
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
const onSite = (name: string, body: Body) => scenario(name, () => [site], body);

before(async () => {
  site = await createSite("lifecycle");
  bare = await objectsOf(site);
});
after(() => site?.[Symbol.asyncDispose]());

onSite("Helm 3 installs it, and it shows what holds", async () => {
  await site.install({ ...QUICK, strategies: ["none", "redis"] }, 3);
  const end = await site.ended();
  assertAgreement(end, 0);
  assert.deepEqual(dataOf(end.report), ["none violated", "redis holds"]);
  for (const run of end.report.runs) assertBooksAgree(run, 4);
  ends.push(end);
});

onSite("an upgrade with other values runs again with them, and keeps passwords and servers", async () => {
  const secret = await secretOf(site);
  const servers = await serverPods(site);
  await site.upgrade({ ...QUICK, workers: 3, strategies: ["none", "version"] }, 3);
  const end = await site.ended();
  assertAgreement(end, 0);
  assert.deepEqual(dataOf(end.report), ["none violated", "version holds"]);
  for (const run of end.report.runs) assertBooksAgree(run, 3);
  assert.notEqual(end.report.report, ends[0]?.report.report, "a report of its own");
  assert.equal((await site.coordinatorPods()).length, 1, "the earlier coordinator is gone");
  assert.deepEqual(await secretOf(site), secret, "passwords");
  assert.deepEqual(await serverPods(site), servers, "pods of the servers");
  ends.push(end);
});

onSite("so does a second upgrade, and one in the middle of a run ends that run", async () => {
  await site.upgrade({ ...QUICK, strategies: ["row-lock"], duration: "10m", pause: "200ms" }, 3);
  await site.running("row-lock");
  await site.upgrade({ ...QUICK, workers: 5, strategies: ["none", "row-lock"] }, 3);
  const end = await site.ended();
  assertAgreement(end, 0);
  assert.deepEqual(dataOf(end.report), ["none violated", "row-lock holds"]);
  for (const run of end.report.runs) assertBooksAgree(run, 5);
  ends.push(end);
});

onSite("`make rerun` runs again with the values of the last time", async () => {
  const { status, stderr } = await site.make("rerun");
  assert.equal(status, 0, stderr);
  const end = await site.ended();
  assertAgreement(end, 0);
  assert.deepEqual(end.report.options, ends.at(-1)?.report.options);
  assert.notEqual(end.report.report, ends.at(-1)?.report.report);
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

onSite(
  "a second installation works, by Helm 4, and its uninstallation in the middle of a run leaves nothing",
  async () => {
    await site.install({ ...QUICK, strategies: ["none", "row-lock"] });
    await site.running("none", 300_000).catch(() => site.said(/none +VIOLATED/));
    await site.helm(["uninstall", "demo"]);
    await until("the end of everything that it made", 120_000, async () => {
      const left = (await objectsOf(site)).filter((name) => !bare.includes(name));
      if (left.length > 0) throw new Error(`still there: ${left.join(", ")}`);
      return true;
    });
  },
);

// --- Internal helpers -----------------------------------------------------------------------------------------------

async function secretOf({ json, release }: Site): Promise<object> {
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
