/**
 * Argo CD applies what `helm template` prints, in an order of its own and without Helm: a first sync, one in the middle of
 * a run, and the same objects applied by hand, hooks included.
 */
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { parseAllDocuments } from "yaml";
import { REDIS_USERS } from "../../worker/contract.ts";
import { syncSteps } from "../support/argo.ts";
import { assertAgreement, assertBooksAgree, dataOf } from "./support/findings.ts";
import { type Body, scenario } from "./support/scenario.ts";
import { createSite, type Site, type Values } from "./support/site.ts";
import { QUICK } from "./support/values.ts";

/** Without a cluster, Helm cannot look up the passwords that it generated before. */
const GIVEN = {
  ...QUICK,
  token: "given-token",
  mysql: { auth: { password: "given-mysql", rootPassword: "given-root" } },
  redis: { auth: { passwords: Object.fromEntries(REDIS_USERS.map((user) => [user, `given-${user}`])) } },
};

let site: Site;
const onSite = (name: string, body: Body) => scenario(name, () => [site], body);

before(async () => {
  site = await createSite("argo");
});
after(() => site?.[Symbol.asyncDispose]());

onSite("the first sync installs everything and starts a run", async () => {
  await sync({ ...GIVEN, strategies: ["none", "redis"] });
  await assertHolds(["none violated", "redis holds"]);
});

onSite("a sync in the middle of a run ends that run and starts another one, which waits for its pods", async () => {
  await sync({ ...GIVEN, strategies: ["row-lock"], duration: "10m", pause: "200ms" });
  await site.running("row-lock");
  await sync({ ...GIVEN, strategies: ["none", "row-lock"] });
  await assertHolds(["none violated", "row-lock holds"]);
  assert.equal((await site.coordinatorPods()).length, 1, "the earlier coordinator is gone");
});

onSite("kubectl apply of all that Helm prints, hooks included, after the Job was deleted by hand", async () => {
  await site.kubectl(["delete", "job", "coordinator"]);
  const values = { ...GIVEN, strategies: ["none", "version"] };
  await site.kubectl(["apply", "--filename", "-"], { input: JSON.stringify({ ...LIST, items: await render(values) }) });
  await assertHolds(["none violated", "version holds"]);
  assert.match(await site.kubectl(["logs", "job/demo-holdfast-reset"]), /not created by Helm.*left as it is/);
  assert.match(await site.kubectl(["logs", "--follow", "demo-holdfast-verdict"]), /VERDICT: as theory expects/);
});

// --- Internal helpers -----------------------------------------------------------------------------------------------

const LIST = { apiVersion: "v1", kind: "List" };

async function sync(values: Values): Promise<void> {
  for (const { object, phase, replace } of syncSteps(await render(values))) {
    const name = `${object.kind}/${object.metadata.name}`;
    assert.equal(phase, "Sync", name);
    const exists = (await site.tryKubectl(["get", name])).status === 0;
    const command = replace && exists ? ["replace", "--force"] : ["apply"];
    await site.kubectl([...command, "--filename", "-"], { input: JSON.stringify(object), timeoutMs: 120_000 });
  }
}

async function render(values: Values) {
  const yaml = await site.helm(["template", site.release, "./helm", "--values", "-"], {
    input: JSON.stringify(values),
  });
  return parseAllDocuments(yaml).flatMap((document) => document.toJS() ?? []);
}

async function assertHolds(data: readonly string[]): Promise<void> {
  const end = await site.ended();
  assertAgreement(end, 0);
  assert.deepEqual(dataOf(end.report), data);
  for (const run of end.report.runs) assertBooksAgree(run, 4);
}
