import assert from "node:assert/strict";
import { before, test } from "node:test";
import type { Evidence } from "../../../coordinator/judge/evidence.ts";
import { createLedgerBuilder } from "../../../coordinator/judge/ledger.ts";
import { judge } from "../../../coordinator/judge/run-verdict.ts";
import { operationId } from "../../../worker/contract.ts";
import { serial, writerOfWorker } from "../../support/histories.ts";

const OPERATIONS = 1_000_000;
const WORKERS = 8;
/** Processor time, and generous: on an idle machine the judging takes a small part of it. */
const CPU_SECONDS = 3;
const EXTRA_MEGABYTES = 100;

let evidence: Evidence;
before(() => {
  evidence = million();
});

for (const [what, change] of [
  ["sound", (rows: Evidence) => rows],
  ["with every write stale and overlapping", spoilt],
] as const)
  test(`a million operations, ${what}, are judged quickly and without a copy of them`, (t) => {
    const input = change(evidence);
    const memory = process.memoryUsage.rss();
    const cpu = process.cpuUsage();
    const { data, lostUpdates } = judge(input);
    const { user, system } = process.cpuUsage(cpu);
    const seconds = (user + system) / 1e6;
    const megabytes = (process.memoryUsage.rss() - memory) / 1e6;
    t.diagnostic(`${seconds.toFixed(2)} s of processor, ${megabytes.toFixed(0)} MB more`);
    assert.equal(data.value, what === "sound" ? "holds" : "violated");
    assert.equal(lostUpdates, what === "sound" ? 0 : OPERATIONS - 1);
    assert.ok(seconds < CPU_SECONDS, `${seconds} s`);
    assert.ok(megabytes < EXTRA_MEGABYTES, `${megabytes} MB`);
  });

/** Workers that take turns, one millisecond each. */
function million(): Evidence {
  const builder = createLedgerBuilder(OPERATIONS);
  const startUs = 1_700_000_000_000_000;
  let op = 0;
  for (let index = 0; index < OPERATIONS; index++) {
    const last = op;
    op = operationId(writerOfWorker(index % WORKERS), Math.floor(index / WORKERS) + 1);
    const readAt = startUs + index * 1_000;
    builder.append([index, 1, op, last, index + 1, index + 2, index, index + 1, 1, 0, readAt, readAt + 900]);
  }
  const each = OPERATIONS / WORKERS;
  const small = serial(WORKERS, WORKERS);
  const workers = small.workers.map((worker) => ({
    ...worker,
    final: {
      ...worker.final!,
      committed: each,
      raised: each,
      startedAtUs: startUs,
      endedAtUs: startUs + OPERATIONS * 1_000,
      writers: [
        {
          writer: writerOfWorker(worker.index),
          attempted: each,
          acknowledged: Buffer.alloc(each / 8, 0xff).toString("base64"),
          unknown: [],
        },
      ],
    },
  }));
  return {
    ...small,
    plan: { ...small.plan, durationMs: OPERATIONS },
    initial: [{ id: 1, version: 1, salary: 0, lastOp: 0 }],
    final: [{ id: 1, version: OPERATIONS + 1, salary: OPERATIONS, lastOp: op }],
    ledger: builder.finish(),
    workers,
    prometheus: {
      ...small.prometheus!,
      workers: small.prometheus!.workers.map((worker) => ({ ...worker, committed: each, raised: each })),
      operation: { count: OPERATIONS },
    },
  };
}

function spoilt(sound: Evidence): Evidence {
  const { ledger } = sound;
  const readVersion = ledger.readVersion.map((version) => Math.max(1, version - 1));
  const readSalary = ledger.readSalary.map((salary) => Math.max(0, salary - 1));
  const readAtUs = ledger.readAtUs.map((time) => time - 1_500);
  return { ...sound, ledger: { ...ledger, readVersion, readSalary, readAtUs } };
}
