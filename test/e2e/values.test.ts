/** Invalid values: one clear line, and an exit status other than 0. */
import assert from "node:assert/strict";
import { after, before } from "node:test";
import type { HelmMajor } from "./support/cluster.ts";
import { type Body, scenario } from "./support/scenario.ts";
import { createSite, type Site } from "./support/site.ts";
import { NO_SERVERS } from "./support/values.ts";

let site: Site;
const onSite = (name: string, body: Body) => scenario(name, () => [site], body);

before(async () => {
  site = await createSite("values");
});
after(() => site?.[Symbol.asyncDispose]());

/** Values that Helm itself rejects, with a part of the message of each major version. */
const REFUSED: readonly [set: string, says: RegExp][] = [
  ["wrokers=3", /Additional property wrokers is not allowed|additional properties 'wrokers' not allowed/],
  ["workers=0", /workers: Must be greater than or equal to 1|at '\/workers': minimum: got 0, want 1/],
  ["strategies={nope}", /strategies\.0: .*must be one of|at '\/strategies\/0': value must be one of/],
  ["duration=soon", /duration: Does not match pattern|at '\/duration': 'soon' does not match pattern/],
  ["redis.instances=2", /2 Redis servers tolerate no more lost servers than 1 do/],
  ["mysql.enabled=false", /mysql\.enabled=false leaves the release without a database: set mysql\.external\.host/],
];

for (const major of [3, 4] as const satisfies HelmMajor[])
  onSite(`Helm ${major} refuses values that cannot be, and makes nothing`, async () => {
    for (const [set, says] of REFUSED) {
      const { status, stderr } = await site.tryInstall(["--set", set], major);
      assert.notEqual(status, 0, set);
      assert.match(stderr, says);
    }
    assert.equal(await site.helm(["list", "--short"]), "");
  });

onSite("the coordinator refuses a TTL that is shorter than the hold, in one line and with exit status 2", async () => {
  await site.install({ ...NO_SERVERS, lockTtl: "100ms", hold: "200ms", extend: false });
  const end = await site.ended();
  assert.equal(end.exitCode, 2);
  assert.equal(end.condition, "Failed");
  assert.match(
    end.log,
    /^holdfast: --lock-ttl 100ms is not longer than --hold 200ms .*raise --lock-ttl or leave --extend on \(in the values of the chart: hold, lockTtl, extend\)$/m,
  );
  assert.equal(end.log.trim().split("\n").length, 1, end.log);
  assert.equal((await site.coordinatorPods()).length, 1, "tried once");
});
