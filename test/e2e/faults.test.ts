/** Faults in a cluster: each ends in time with the right verdict, or with `unknown` and the cause. */
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { coordinatorFaults } from "./faults/coordinator.ts";
import { createFaultSite, type FaultSite } from "./faults/fault-site.ts";
import { networkFaults } from "./faults/network.ts";
import { nodeFaults } from "./faults/nodes.ts";
import { serverFaults } from "./faults/servers.ts";
import { workerFaults } from "./faults/workers.ts";
import { scenario } from "./support/scenario.ts";
import { createSite, type Site } from "./support/site.ts";
import { NO_SERVERS } from "./support/values.ts";

let faults: FaultSite;
/** A release without servers. It takes minutes to give up, so it is installed first and checked last. */
let alone: Site;

before(async () => {
  [faults, alone] = await Promise.all([createFaultSite(), createSite("alone")]);
  await alone.install({ ...NO_SERVERS, coordinator: { backoffLimit: 0 } });
});
after(() => Promise.all([faults?.site[Symbol.asyncDispose](), alone?.[Symbol.asyncDispose]()]));

workerFaults(() => faults);
coordinatorFaults(() => faults);
serverFaults(() => faults);
networkFaults(() => faults);
nodeFaults(() => faults);

scenario(
  "MySQL unreachable from the beginning: one line that says so, exit status 4, within three minutes",
  () => [alone],
  async () => {
    const end = await alone.ended();
    assert.equal(end.exitCode, 4);
    assert.equal(end.condition, "Failed");
    assert.match(
      end.words,
      /^MySQL at mysql\.nowhere:3306: .*; start it or correct MYSQL_URL \(in the values of the chart: /,
    );
    assert.match(end.log, /\d\d:\d\d {2}waiting: MySQL at mysql\.nowhere:3306/);
    const [pod] = await alone.coordinatorPods();
    const { startedAt, finishedAt } = pod.status.containerStatuses[0].state.terminated;
    assert.ok(Date.parse(finishedAt) - Date.parse(startedAt) < 210_000, `${startedAt} to ${finishedAt}`);
  },
);
