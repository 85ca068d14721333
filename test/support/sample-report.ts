/** Reports as real runs make them, for the tests of everything that prints reports. */

import type { Report, RunReport } from "../../coordinator/judge/report-data.ts";
import { STRATEGIES, type StrategyName } from "../../worker/contract.ts";
import { bucketsAround, lossyDrawing, serialDrawing } from "./sample-drawing.ts";

/** Everything is as theory expects: two controls that lose updates, three strategies that hold. */
export function sampleReport(): Report {
  return {
    schema: "holdfast/report/v2",
    report: "r20260301-101500-k3f9",
    version: "0.1.0",
    scenario: "compare",
    startedAt: "2026-03-01T10:15:00.000Z",
    endedAt: "2026-03-01T10:15:41.300Z",
    where: "local processes",
    options: { scenario: "compare", workers: 4, durationMs: 5000, holdMs: 2 },
    environment: {
      mysql: "10.11.14-MariaDB-0+deb12u2 (Debian 12)",
      innodb_flush_log_at_trx_commit: "1",
      innodb_snapshot_isolation: "OFF",
      tx_isolation: "REPEATABLE-READ",
      redis: "Redis 7.0.15",
      prometheus: "2.42.0+ds",
      node: "v24.21.0",
    },
    acl: refusedProbes(),
    runs: [none(), memory(), redis(), rowLock(), version()].map(withBuckets),
    skipped: [],
    verdict: {
      value: "expected",
      line: 'VERDICT: as theory expects: "none", "memory" violated; "redis", "row-lock", "version" hold (exit 0)',
      exitCode: 0,
      reasons: [],
    },
  };
}

/** A worker was killed, a probe was not refused, a strategy was skipped: none of this may look like success. */
export function troubledReport(): Report {
  const report = sampleReport();
  const [first, , third] = report.runs;
  return {
    ...report,
    runs: [first!, lostWorker(third!)],
    acl: report.acl.map((probe) =>
      probe.attempt === "FLUSHALL no" ? { ...probe, outcome: "allowed", answer: "OK" } : probe,
    ),
    skipped: [{ strategy: "row-lock", reason: "not made: interrupted by SIGINT" }],
    verdict: {
      value: "unknown",
      line: 'VERDICT: unknown: "row-lock" was not run: not made: interrupted by SIGINT; and 1 more (exit 3)',
      exitCode: 3,
      reasons: [
        '"row-lock" was not run: not made: interrupted by SIGINT',
        '"redis": worker-2 was lost: killed by SIGKILL',
      ],
    },
  };
}

/** A lock that should have held and did not. */
export function violatedReport(): Report {
  const report = sampleReport();
  const [first, second, third, ...rest] = report.runs;
  return {
    ...report,
    runs: [first!, second!, brokenLock(third!), ...rest],
    verdict: {
      value: "violated",
      line: 'VERDICT: violated: "redis" should hold and did not (exit 1)',
      exitCode: 1,
      reasons: ['"redis": data should hold, but 12 of 1,652 writes were stale (lost updates)'],
    },
  };
}

function none(): RunReport {
  return {
    ...base("none", { workers: [1083, 1079, 1080, 1076], rejected: [0, 0, 0, 0], averageRaise: 50.1 }),
    lostUpdates: 3107,
    lostMoney: 160593,
    naive: 3066,
    operationSeconds: { count: 4318, average: 0.00461, p50: 0.00431, p95: 0.00712, p99: 0.0109 },
    lockWaitSeconds: { count: 0 },
    data: { value: "violated", count: 3107, reasons: ["3,107 of 4,318 writes were stale (lost updates)"] },
    exclusion: { value: "violated", count: 4102, reasons: ["4,102 operations overlapped another one"] },
    checks: [
      {
        check: "chain",
        status: "violated",
        detail: "3,107 of 4,318 writes were stale (lost updates)",
        count: 3107,
        witnesses: [
          witness("chain", "worker-2 wrote version 41 based on version 39: worker-0's raise of 17 was lost", [
            2 * 2 ** 28 + 10,
            11,
          ]),
          witness(
            "chain",
            "worker-1 wrote version 42 based on version 39: worker-0's raise of 17 and worker-2's raise of 63 were lost",
            [2 ** 28 + 12, 11],
          ),
          witness("chain", "worker-3 wrote version 44 based on version 42: worker-1's raise of 88 was lost", [
            3 * 2 ** 28 + 9,
          ]),
        ],
      },
      {
        check: "value",
        status: "violated",
        detail: "of 216,332 granted, 160,593 is lost: 3,107 writes from a salary other than the one before",
        count: 3107,
        witnesses: [
          witness("value", "worker-2 wrote version 41 from the salary 51930 of version 39, over the salary 51947", [
            2 * 2 ** 28 + 10,
          ]),
        ],
      },
      {
        check: "exclusion",
        status: "violated",
        detail: "4,102 of 4,318 operations overlapped another one",
        count: 4102,
        witnesses: [
          witness(
            "exclusion",
            "worker-0 (version 40) and worker-2 (version 41) were both in the critical section for 2.132 ms",
            [11, 2 * 2 ** 28 + 10],
          ),
        ],
      },
      {
        check: "naive",
        status: "skipped",
        detail: "the naive check counts 3,066 inconsistent updates: it is blind to lost values",
        count: 3066,
        witnesses: [],
      },
      ...agreeing(4318),
    ],
  };
}

function memory(): RunReport {
  return {
    ...base("memory", { workers: [1031, 1034, 1030, 1032], rejected: [0, 0, 0, 0], averageRaise: 50.2 }),
    lostUpdates: 2968,
    lostMoney: 149480,
    naive: 2931,
    operationSeconds: { count: 4127, average: 0.00482, p50: 0.0044, p95: 0.0075, p99: 0.0114 },
    lockWaitSeconds: { count: 4127, average: 0.00005, p50: 0.00005, p95: 0.0001, p99: 0.00015 },
    data: { value: "violated", count: 2968, reasons: ["2,968 of 4,127 writes were stale (lost updates)"] },
    exclusion: { value: "violated", count: 3987, reasons: ["3,987 operations overlapped another one"] },
    checks: [
      {
        check: "chain",
        status: "violated",
        detail: "2,968 of 4,127 writes were stale (lost updates)",
        count: 2968,
        witnesses: [
          witness("chain", "worker-3 wrote version 7 based on version 5: worker-1's raise of 42 was lost", [
            3 * 2 ** 28 + 2,
            2 ** 28 + 2,
          ]),
        ],
      },
      ...agreeing(4127),
    ],
  };
}

function redis(): RunReport {
  return {
    ...base("redis", { workers: [413, 413, 413, 413], rejected: [0, 0, 0, 0], averageRaise: 50 }),
    operationSeconds: { count: 1652, average: 0.01208, p50: 0.0119, p95: 0.0146, p99: 0.0182 },
    lockWaitSeconds: { count: 1652, average: 0.00874, p50: 0.0087, p95: 0.0111, p99: 0.0145 },
    ...bothHold(1652),
    checks: [holdingChain(1652), ...agreeing(1652)],
  };
}

function rowLock(): RunReport {
  return {
    ...base("row-lock", { workers: [470, 466, 469, 466], rejected: [0, 0, 0, 0], averageRaise: 50.2 }),
    operationSeconds: { count: 1871, average: 0.01066, p50: 0.0104, p95: 0.0121, p99: 0.0141 },
    lockWaitSeconds: { count: 1871, average: 0.00791, p50: 0.0078, p95: 0.0093, p99: 0.0112 },
    ...bothHold(1871),
    checks: [holdingChain(1871), ...agreeing(1871)],
  };
}

function version(): RunReport {
  return {
    ...base("version", { workers: [305, 298, 309, 291], rejected: [842, 851, 846, 851], averageRaise: 50.2 }),
    operationSeconds: { count: 4593, average: 0.00433, p50: 0.0041, p95: 0.0069, p99: 0.0104 },
    lockWaitSeconds: { count: 0 },
    errors: [
      {
        class: "conflict",
        outcome: "rejected",
        count: 3390,
        example: "employee 1 no longer has version 213",
      },
    ],
    ...bothHold(1203),
    checks: [holdingChain(1203), ...agreeing(1203)],
    drawing: { ...serialDrawing(), rejected: Array.from({ length: 60 }, (_, bin) => 1 + (bin % 3)) },
  };
}

function lostWorker(run: RunReport): RunReport {
  const reasons = ["worker-2 was lost: killed by SIGKILL"];
  return {
    ...run,
    operations: null,
    reported: { committed: 1239, rejected: 0, unknown: 0 },
    ledgerRows: 1391,
    naive: null,
    grantedMoney: 69550,
    operationSeconds: null,
    lockWaitSeconds: null,
    throughput: null,
    fairness: null,
    overlap: null,
    data: { value: "unknown", reasons },
    exclusion: { value: "unknown", reasons },
    agreement: "unknown",
    reasons,
    reconciliation: run.reconciliation.map((row) =>
      row.worker === 2
        ? {
            ...row,
            prometheus: null,
            reported: null,
            ledger: 152,
            lost: "killed by SIGKILL",
            log: "worker-2 ready in 212 ms\nworker-2 started\n\u001b[31mOut of memory\u001b[0m: killed process 4711 (node) total-vm:1204512kB, anon-rss:81232kB",
          }
        : row,
    ),
    problems: ["Prometheus did not have the final numbers of worker-2 within 20 s"],
    checks: [
      holdingChain(1391),
      {
        check: "metrics",
        status: "unknown",
        detail: "worker-2 has no final numbers; its 152 ledger rows were acknowledged by nobody",
        count: 0,
        witnesses: [],
      },
    ],
  };
}

function brokenLock(run: RunReport): RunReport {
  return {
    ...run,
    lostUpdates: 12,
    lostMoney: 604,
    naive: 9,
    data: { value: "violated", count: 12, reasons: ["12 of 1,652 writes were stale (lost updates)"] },
    exclusion: { value: "violated", count: 25, reasons: ["25 operations overlapped another one"] },
    agreement: "mismatch",
    drawing: lossyDrawing("mismatch"),
    reasons: ["data should hold, but 12 of 1,652 writes were stale (lost updates)"],
    checks: [
      {
        check: "chain",
        status: "violated",
        detail: "12 of 1,652 writes were stale (lost updates)",
        count: 12,
        witnesses: [
          witness("chain", "worker-1 wrote version 803 based on version 801: worker-3's raise of 55 was lost", [
            2 ** 28 + 201,
            3 * 2 ** 28 + 200,
          ]),
        ],
      },
      ...agreeing(1652),
    ],
  };
}

// --- What all runs share --------------------------------------------------------------------------------------------

function base(
  strategy: StrategyName,
  { workers, rejected, averageRaise }: { workers: number[]; rejected: number[]; averageRaise: number },
): RunReport {
  const facts = STRATEGIES[strategy];
  const committed = sum(workers);
  const counts = { committed, rejected: sum(rejected), unknown: 0 };
  return {
    run: `r20260301-101500-k3f9-${strategy}`,
    strategy,
    guard: "none",
    summary: facts.summary,
    plan: {
      keyScope: "row",
      workers: 4,
      concurrency: 1,
      rows: 1,
      durationMs: 5000,
      holdMs: 2,
      pauseMs: 0,
      lockTtlMs: 10000,
      extend: true,
      lockTimeoutMs: 5000,
      seed: 1,
    },
    control: "control" in facts,
    expects: { ...facts.expects },
    startedAt: "2026-03-01T10:15:04.200Z",
    seconds: 5.02,
    wholeSeconds: 7.9,
    overlap: 0.996,
    operations: counts,
    reported: counts,
    ledgerRows: committed,
    lostUpdates: 0,
    grantedMoney: Math.round(committed * averageRaise),
    lostMoney: 0,
    naive: 0,
    operationSeconds: null,
    lockWaitSeconds: null,
    throughput: committed / 5.02,
    fairness: sum(workers) ** 2 / (workers.length * sum(workers.map((n) => n * n))),
    errors: [],
    data: { value: "unknown", reasons: ["not judged"] },
    exclusion: { value: "unknown", reasons: ["not judged"] },
    agreement: "expected",
    reasons: [],
    checks: [],
    reconciliation: workers.map((n, worker) => ({
      worker,
      uid: `0b7e6a5c-9d1f-4c7e-8f0a-00000000000${worker}`,
      node: "local",
      prometheus: n,
      reported: n,
      ledger: n,
    })),
    problems: [],
    drawing: "control" in facts ? lossyDrawing() : serialDrawing(),
  };
}

const withBuckets = (run: RunReport): RunReport => ({
  ...run,
  operationSeconds: withHistogram(run.operationSeconds),
  lockWaitSeconds: withHistogram(run.lockWaitSeconds),
});

const withHistogram = (times: RunReport["operationSeconds"]): RunReport["operationSeconds"] =>
  times?.p50 === undefined ? times : { ...times, buckets: bucketsAround(times.p50, times.count) };

const sum = (numbers: readonly number[]) => numbers.reduce((total, n) => total + n, 0);

const bothHold = (operations: number) => ({
  data: { value: "holds" as const, operations, rateBelow: 3 / operations },
  exclusion: { value: "holds" as const, operations, rateBelow: 3 / operations },
});

const witness = (check: RunReport["checks"][number]["check"], text: string, operations: number[]) => ({
  check,
  text,
  operations,
});

const holdingChain = (writes: number): RunReport["checks"][number] => ({
  check: "chain",
  status: "holds",
  detail: `${writes.toLocaleString("en-US")} writes to 1 employee, each from the version before it`,
  count: 0,
  witnesses: [],
});

const agreeing = (committed: number): RunReport["checks"] => [
  {
    check: "metrics",
    status: "holds",
    detail: `three independent counts agree: ${committed.toLocaleString("en-US")} operations of 4 workers`,
    count: 0,
    witnesses: [],
  },
  { check: "fence", status: "skipped", detail: "no write carried a token", count: 0, witnesses: [] },
];

const refusedProbes = (): Report["acl"] => [
  {
    user: "lock",
    attempt: "SET holdfast:probe 1",
    outcome: "refused",
    answer: "NOPERM this user has no permissions to access one of the keys used as arguments",
  },
  {
    user: "lock",
    attempt: "FLUSHALL no",
    outcome: "refused",
    answer: "NOPERM this user has no permissions to run the 'flushall' command",
  },
  {
    user: "lock",
    attempt: "CONFIG GET port",
    outcome: "refused",
    answer: "NOPERM this user has no permissions to run the 'config|get' command",
  },
  {
    user: "monitor",
    attempt: "GET holdfast:lock:probe",
    outcome: "refused",
    answer: "NOPERM this user has no permissions to run the 'get' command",
  },
  { user: "nobody", attempt: "PING", outcome: "refused", answer: "NOAUTH Authentication required." },
];
