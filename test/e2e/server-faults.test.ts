/** Faults that a release makes of its own servers. They come at their times, so no other file should run beside it. */
import assert from "node:assert/strict";
import { after, before } from "node:test";
import type { RunReport } from "../../coordinator/judge/report-data.ts";
import { objectsOf } from "./support/leftovers.ts";
import { scenario } from "./support/scenario.ts";
import { createSite, type Site } from "./support/site.ts";
import { QUICK } from "./support/values.ts";
import { until } from "./support/wait.ts";

let site: Site;
let bare: string[];

before(async () => {
  site = await createSite("server-faults");
  bare = await objectsOf(site);
});
after(() => site?.[Symbol.asyncDispose]());

/** A TTL with which a fault comes in time although the servers are behind a network. */
const FAULTED = {
  scenario: "faults",
  strategies: ["redlock", "row-lock", "none"],
  redis: { instances: 3, replica: { enabled: true } },
  faults: {
    enabled: true,
    names: [
      "redis-restart",
      "redis-restart-saved",
      "acl-revoked",
      "redlock-majority",
      "redlock-amnesia",
      "redis-failover",
      "mysql-restart",
      "mysql-kill-connections",
    ],
  },
  lockTtl: "1200ms",
  duration: "8s",
};

scenario(
  "an installation by Helm 4 breaks its servers where it may, and uninstalled in the middle of a run it leaves nothing",
  () => [site],
  async (t) => {
    await site.install({ ...QUICK, ...FAULTED });
    const runs = await finishedRuns(11);
    for (const run of runs) t.diagnostic(describeFaulted(run));
    const told = runs.map(({ strategy, data, agreement, reasons, faultTimes = [] }) =>
      [strategy, data.value, agreement, ...new Set(faultTimes.map(({ server }) => server)), ...reasons].join(" "),
    );
    assert.deepEqual(told, [
      "redlock holds expected",
      "redlock violated expected redis-restart",
      "redlock holds expected redis-restart-saved",
      "redlock holds expected acl-revoked",
      "redlock holds expected redlock-majority",
      "redlock violated expected redlock-amnesia",
      "redlock violated expected redis-failover",
      "redlock holds expected mysql-restart",
      "row-lock holds expected",
      "row-lock holds expected mysql-restart",
      "row-lock holds expected mysql-kill-connections",
    ]);
    const [, empty, saved, revoked, away] = runs;
    for (const { notes = [] } of [empty!, saved!]) assert.match(notes.join(), /^Redis restarted during this run/);
    const ended = runs.filter(({ faultTimes = [] }) => faultTimes.some(({ server }) => server === "mysql-restart"));
    for (const { notes = [] } of ended) assert.match(notes.join(), /MySQL restarted during this run/);
    assert.ok(revoked!.errors.some((error) => error.class === "LockDenied"));
    assert.match(away!.notes!.join(), /^Redis was flushed 2 times during this run/);
    await site.helm(["uninstall", "demo"]);
    await until("the end of everything that it made", 120_000, async () => {
      const left = (await objectsOf(site)).filter((name) => !bare.includes(name));
      if (left.length > 0) throw new Error(`still there: ${left.join(", ")}`);
      return true;
    });
  },
);

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** How much was written around the faults, and how long each of these took. */
function describeFaulted({ strategy, seconds, faultTimes = [], faultWrites }: RunReport): string {
  const took = faultTimes.map(
    ({ server, startedAtUs, endedAtUs }) => `${server} ${((endedAtUs - startedAtUs) / 1e6).toFixed(1)} s`,
  );
  return `${strategy}: ${seconds.toFixed(1)} s, ${took.join(", ") || "no fault"}, writes ${JSON.stringify(faultWrites)}`;
}

/** The first runs of the release, as the coordinator keeps them for its successors. */
function finishedRuns(count: number): Promise<RunReport[]> {
  return until(`${count} finished runs`, 300_000, async () => {
    const { data } = await site.json(["get", "configmap", "demo-holdfast-report"]);
    const { runs = [] } = JSON.parse(data?.["state.json"] ?? "{}");
    return runs.length >= count && runs.slice(0, count);
  });
}
