import assert from "node:assert/strict";
import { test } from "node:test";
import { naive } from "../../../coordinator/judge/checks/naive.ts";
import { reconcile, reconciliation } from "../../../coordinator/judge/checks/reconciliation.ts";
import type { Evidence, PrometheusWorker } from "../../../coordinator/judge/evidence.ts";
import { bits, serial, simulate, withFinal, withLost, withRows, writerOfWorker } from "../../support/histories.ts";

const scraped = (evidence: Evidence, index: number, change: Partial<PrometheusWorker>): Evidence => ({
  ...evidence,
  prometheus: {
    ...evidence.prometheus!,
    workers: evidence.prometheus!.workers.map((w) => (w.worker === index ? { ...w, ...change } : w)),
  },
});
const counts = (evidence: Evidence, index: number) => evidence.workers[index]!.final!;

test("three counts that agree hold", () => {
  const result = reconciliation(serial(100));
  assert.equal(result.status, "holds");
  assert.equal(result.detail, "three independent counts agree: 100 operations of 4 workers");
});

test("planted: a worker that reports one operation too many is violated, also where Prometheus believes it", () => {
  const evidence = serial(100);
  const { committed } = counts(evidence, 2);
  const boast = withFinal(evidence, 2, { committed: committed + 1 });
  const result = reconciliation(boast);
  assert.deepEqual([result.status, result.count], ["violated", 1]);
  assert.match(result.witnesses[0]!.text, /worker-2 reports 26 committed \(raises \d+\), the ledger has 25 committed/);
  assert.equal(reconciliation(scraped(boast, 2, { committed: committed + 1 })).status, "violated");
});

test("planted: a worker that reports more raises than the ledger has is violated", () => {
  const evidence = serial(100);
  assert.equal(reconciliation(withFinal(evidence, 2, { raised: counts(evidence, 2).raised + 1 })).status, "violated");
});

test("planted: a raise that the ledger has more than the worker made proves nothing, but does not hold", () => {
  const raised = withRows(serial(100), (rows) => {
    rows[50]!.raise += 1;
  });
  assert.equal(reconciliation(raised).status, "unknown");
});

test("operations of unknown outcome explain a ledger that has more, but no claim", () => {
  const { evidence } = simulate(
    [0, 1, 0, 1].flatMap((worker) => {
      const turn = {
        worker,
        employee: 1,
        raise: 5,
        end: worker === 1 ? "recovered" : "committed",
        afterUs: 10,
      } as const;
      return [turn, turn];
    }),
  );
  assert.equal(reconciliation(evidence).status, "holds");
  assert.equal(reconciliation(withFinal(evidence, 1, { committed: 1 })).status, "violated");
  assert.deepEqual(
    reconcile(evidence).map(({ prometheus, reported, ledger }) => [prometheus, reported, ledger]),
    [
      [2, 2, 2],
      [0, 0, 2],
    ],
  );
});

test("a ledger that has more without a reason is unknown", () => {
  const evidence = withFinal(serial(100), 1, { committed: 24 });
  assert.equal(reconciliation(evidence).status, "unknown");
});

test("planted: a Prometheus that is missing, misses a worker, lags behind or has an unexpected worker is unknown", () => {
  const evidence = serial(100);
  const { prometheus } = evidence;
  for (const [changed, expected] of [
    [{ ...evidence, prometheus: undefined }, /Prometheus has no final numbers/],
    [{ ...evidence, prometheus: { ...prometheus!, workers: prometheus!.workers.slice(1) } }, /no numbers of worker-0/],
    [scraped(evidence, 3, { committed: 24 }), /worker-3 reports 25 .* Prometheus has 24/],
    [scraped(evidence, 3, { committed: 26 }), /worker-3 reports 25 .* Prometheus has 26/],
    [scraped(evidence, 3, { raised: 0 }), /Prometheus has 25 committed \(raises 0\)/],
    [scraped(evidence, 3, { uid: "another" }), /no numbers of worker-3; .*\(another\) that is not in the fleet/],
  ] as const) {
    const result = reconciliation(changed);
    assert.equal(result.status, "unknown", result.detail);
    assert.match(result.detail, expected);
  }
});

test("planted: rejected and unknown operations that differ between the counts are unknown", () => {
  const { evidence } = simulate(
    Array.from({ length: 120 }, (_, index) => {
      const end = (["committed", "rejected", "lost", "committed", "rejected"] as const)[index % 5]!;
      const turn = { worker: index % 4, employee: 1, raise: 5, end, afterUs: 10 };
      return [turn, turn];
    }).flat(),
  );
  assert.equal(reconciliation(evidence).status, "holds");
  const { rejected, unknown } = counts(evidence, 1);
  assert.ok(rejected > 0 && unknown > 0 && rejected !== unknown);
  for (const [changed, expected] of [
    [scraped(evidence, 1, { rejected: unknown, unknown: rejected }), /worker-1 reports .* Prometheus has .* rejected/],
    [scraped(evidence, 1, { rejected: 0 }), /worker-1 reports .*, Prometheus has .* 0 rejected/],
    [withFinal(scraped(evidence, 1, { rejected: 0 }), 1, { rejected: 0 }), /but lists 30 operations/],
    [withFinal(evidence, 1, { errors: [] }), /worker-1 reports .* rejected .*, but errors of 0 rejected and 0 unknown/],
    [withFinal(evidence, 1, { rejected: unknown, unknown: rejected }), /but lists 30 operations, \d+ of them unknown/],
  ] as const) {
    const result = reconciliation(changed);
    assert.equal(result.status, "unknown", result.detail);
    assert.match(result.detail, expected);
  }
});

test("planted: times that the loops cannot have taken, and times without an operation, are unknown", () => {
  const evidence = serial(2_000);
  const measured = (operation: { count: number; average?: number }) =>
    reconciliation({ ...evidence, prometheus: { ...evidence.prometheus!, operation } });
  // 2,000 operations of 1 ms in a run of 4 s with four workers.
  assert.equal(measured({ count: 2_000, average: 0.008 }).status, "holds");
  const tenfold = measured({ count: 2_000, average: 0.08 });
  assert.equal(tenfold.status, "unknown");
  assert.match(tenfold.detail, /add up to 160.0 s, but all loops together ran for 16.0 s/);
  const waits = { ...evidence.prometheus!, operation: { count: 2_000, average: 0.005 } };
  const waiting = (average: number) =>
    reconciliation({ ...evidence, prometheus: { ...waits, lockWait: { count: 2_000, average } } });
  assert.equal(waiting(0.005).status, "holds");
  assert.match(waiting(0.05).detail, /waits for locks in Prometheus add up to 100.0 s, but the operations to 10.0 s/);
  assert.match(measured({ count: 1_999 }).detail, /the times of 1,999 operations, but the outcomes of 2,000/);
});

test("a lost worker is unknown, unless Prometheus had already seen more than the ledger has", () => {
  const lost = withLost(serial(100), 2, "killed by SIGKILL");
  assert.equal(reconciliation(scraped(lost, 2, { committed: 20 })).status, "unknown");
  assert.equal(reconciliation(scraped(lost, 2, { committed: 26 })).status, "violated");
  assert.deepEqual(reconcile(lost)[2], {
    worker: 2,
    uid: "uid-2",
    node: "local",
    prometheus: 25,
    reported: null,
    ledger: 25,
    lost: "killed by SIGKILL",
  });
  const never = reconciliation({ ...lost, plan: { ...lost.plan, workers: 5 } });
  assert.match(never.detail, /worker-4 never reported/);
});

test("counts that agree with each other and not with the own bits of the writer do not hold", () => {
  const writers = [{ writer: writerOfWorker(0), attempted: 25, acknowledged: bits([1, 2, 3]), unknown: [4, 5] }];
  assert.notEqual(reconciliation(withFinal(serial(100), 0, { writers })).status, "holds");
});

test("the naive check is skipped for the verdict, and counted from Prometheus or else from the workers", () => {
  const evidence = withFinal(scraped(serial(100), 1, { naive: 7 }), 1, { naive: 5 });
  const result = naive(evidence);
  assert.deepEqual([result.status, result.count], ["skipped", 7]);
  assert.match(result.detail, /cannot fail where the write names the version/);
  assert.equal(naive({ ...evidence, prometheus: undefined }).count, 5);
  assert.equal(naive({ ...evidence, prometheus: undefined, workers: [] }).status, "unknown");
});
