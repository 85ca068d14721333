/** Reports of scenarios with many runs, made from the runs of the sample report. */
import type { Report, RunReport } from "../../coordinator/judge/report-data.ts";
import type { Fault } from "../../worker/contract.ts";
import { sampleReport } from "./sample-report.ts";

const runOf = (strategy: string): RunReport => {
  const found = sampleReport().runs.find((run) => run.strategy === strategy);
  if (found === undefined) throw new Error(`no ${strategy} in the sample report`);
  return found;
};

const scenario = (name: Report["scenario"], runs: RunReport[], line: string): Report => ({
  ...sampleReport(),
  scenario: name,
  runs: runs.map((run, index) => ({ ...run, run: `${run.run}-${index}` })),
  verdict: { value: "expected", line: `VERDICT: as theory expects: ${line} (exit 0)`, exitCode: 0, reasons: [] },
});

/** Thirty-two runs. `version` is ahead of `redis` with few workers and behind with many. */
export function contentionReport(): Report {
  const perWorkers = { none: [300, 550, 900, 1200], redis: [250, 240, 230, 220], "row-lock": [280, 290, 280, 270] };
  const throughputs: Record<string, number[]> = { ...perWorkers, version: [290, 310, 220, 120] };
  const runs = [2, 10].flatMap((holdMs) =>
    Object.entries(throughputs).flatMap(([strategy, values]) =>
      values.map((throughput, step) => contended(strategy, 2 ** step, holdMs, throughput)),
    ),
  );
  return scenario("contention", runs, '"none" violated; "redis", "row-lock", "version" hold');
}

function contended(strategy: string, workers: number, holdMs: number, throughput: number): RunReport {
  const run = runOf(strategy);
  const rejected = strategy === "version" ? Math.round(throughput * 5 * (workers - 1) * 0.5) : 0;
  const operations = { committed: Math.round(throughput * 5), rejected, unknown: 0 };
  const wait = run.lockWaitSeconds?.count === 0 ? { count: 0 } : { ...run.lockWaitSeconds!, p99: 0.002 * workers };
  const plan = { ...run.plan, workers, holdMs };
  const made = { ...run, plan, throughput: throughput / (holdMs / 2), operations, lockWaitSeconds: wait, checks: [] };
  if (workers > 1) return made;
  const because = "one writer alone has nobody to contend with; it is where the curve begins";
  return {
    ...made,
    control: false,
    expects: { data: "unclaimed", exclusion: "unclaimed", because },
    data: { value: "unknown", reasons: ["one writer alone has nobody to contend with"] },
    exclusion: { value: "unknown", reasons: ["one writer alone has nobody to contend with"] },
  };
}

/** Names that are too long for their columns, a worker that died, and a lock that failed on purpose. */
export function ttlReport(): Report {
  const [redis, none] = [runOf("redis"), runOf("none")];
  const fault = (action: Fault["action"]): Fault => ({ at: "before-write", action, afterMs: 0, every: 1, forMs: 0 });
  const plan = (changes: Partial<RunReport["plan"]>): RunReport["plan"] => ({
    ...redis.plan,
    lockTtlMs: 100,
    fault: fault("sleep"),
    ...changes,
  });
  const faults = ["a worker worked for 150 ms between read and write, 25 times"];
  const lost = { class: "LockLost", outcome: "rejected", count: 25, example: 'lock "x" was lost' };
  const runs: RunReport[] = [
    { ...redis, plan: plan({}), faults },
    { ...redis, plan: plan({ extend: false }), faults, errors: [lost] },
    {
      ...none,
      strategy: "redis",
      control: false,
      plan: plan({ fault: fault("stall") }),
      faults: ["worker-0 was stalled for 250 ms just before the write, 18 times"],
      expects: { data: "violated", exclusion: "violated", because: "no timer fires in a process that is stalled" },
    },
    {
      ...redis,
      plan: plan({ lockTtlMs: 2000, fault: fault("die") }),
      faults: ["worker-0 died just before the write and released nothing"],
      recoverySeconds: 1.91,
      reconciliation: redis.reconciliation.map((row) =>
        row.worker === 0 ? { ...row, prometheus: 400, died: true } : row,
      ),
    },
  ];
  return scenario("ttl", runs, '"redis" (TTL 100 ms, holder is stalled) violated; "redis" (TTL 100 ms) holds');
}

/** No control is needed if theory expects a violation. */
export function mixedReport(): Report {
  const [none, version] = [runOf("none"), runOf("version")];
  const part = { workers: 2, rejected: 0, staleWrites: 0, overwritten: 0 };
  const runs: RunReport[] = [
    {
      ...none,
      strategy: "version",
      mix: ["version", "none"],
      control: false,
      expects: { ...none.expects, because: 'nothing keeps the others out between the read and the write of "none"' },
      parts: [
        { ...part, strategy: "version", committed: 218, rejected: 1900, overwritten: 190 },
        { ...part, strategy: "none", committed: 4100, staleWrites: 3107, overwritten: 2900 },
      ],
    },
    {
      ...version,
      mix: ["version", "row-lock"],
      expects: { data: "holds", exclusion: "unclaimed" },
      parts: [
        { ...part, strategy: "version", committed: 203, rejected: 3390 },
        { ...part, strategy: "row-lock", committed: 1000 },
      ],
    },
  ];
  return scenario("mixed", runs, '"version" next to "none" violated; "version" next to "row-lock" holds');
}

/** No workers at all. */
export const aclReport = (): Report => ({
  ...scenario("acl", [], ""),
  aclGranted: [{ user: "lock", attempts: ["PING", "SET", "EVAL"] }],
  verdict: {
    value: "expected",
    exitCode: 0,
    reasons: [],
    line: "VERDICT: as the ACL requires: Redis refused all 6 forbidden attempts (exit 0)",
  },
});
