/**
 * A real partition of one worker, to compare with the fault `partition`, which is made in the byte stream of a worker. Its
 * packets are dropped on its node, because a NetworkPolicy need not concern connections that are open.
 */
import assert from "node:assert/strict";
import { expectedUnder, savingGuard } from "../../../coordinator/plan/fault-theory.ts";
import { runOf } from "../support/findings.ts";
import { cutter, whyNot } from "../support/nodes.ts";
import { scenario } from "../support/scenario.ts";
import type { Site } from "../support/site.ts";
import type { FaultSite } from "./fault-site.ts";

const TTL_MS = 2_000;
/**
 * A hold is over before the lock is extended, and takes most of the time of a loop. With so many loops and rows each worker
 * holds some locks at any time.
 */
const BUSY = { lockTtl: `${TTL_MS}ms`, hold: "600ms", workers: 2, concurrency: 10, rows: 10, duration: "13s" };

export function networkFaults(of: () => FaultSite): void {
  for (const guard of ["none", savingGuard("redis", "partition")!] as const)
    scenario(
      `a holder whose packets are dropped, guard ${guard}: the same as with the fault partition`,
      () => [of()?.site],
      async (t) => {
        const { site, home, away, run } = of();
        const reason = await whyNot([home, away]);
        if (reason !== undefined) return t.skip(reason);
        await run({ ...BUSY, strategies: ["redis"], guard });
        await site.running(guard === "none" ? "redis" : `redis\\+${guard}`);
        const worker = (await site.fleet("redis")).find(({ spec }) => spec.nodeName === away);
        assert.ok(worker !== undefined, `no worker on ${away}`);
        const network = await cutter(away, worker.status.podIP, await serverAddresses(site));
        await network.cut(TTL_MS * 2.5);

        const { report } = await site.ended();
        const { data, exclusion, lostUpdates, errors } = runOf(report, "redis");
        t.diagnostic(
          `data ${data.value}, exclusion ${exclusion.value}, ${lostUpdates} lost updates, ${JSON.stringify(errors)}`,
        );
        const expected = expectedUnder("redis", "partition", guard);
        assert.equal(data.value, expected.data, report.verdict.line);
        if (expected.exclusion !== "unclaimed") assert.equal(exclusion.value, expected.exclusion);
        // The guard had something to reject.
        if (guard !== "none")
          assert.ok(
            errors.some(({ class: name }) => name === "fenced"),
            JSON.stringify(errors),
          );
      },
    );
}

/** Addresses of the pods: those of the Services are translated before a packet leaves the node. */
async function serverAddresses(site: Site): Promise<string[]> {
  const { items } = await site.json(["get", "pods", "--selector", "app.kubernetes.io/component in (mysql, redis)"]);
  return items.map(({ status }: { status: { podIP: string } }) => status.podIP);
}
