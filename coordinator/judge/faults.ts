/** What a run has of its own: settings in a form for the report, faults that happened, shares of a mix. Pure. */
import { type Fault, type StrategyName, writerOf } from "../../worker/contract.ts";
import { type RunPlan, workerIndexes } from "../plan/run-plan.ts";
import type { Evidence } from "./evidence.ts";
import type { RunReport } from "./report-data.ts";

/** The settings of a plan, flat. What has a place of its own in the report is left out, and so is what was not set. */
export function settingsOf({
  run,
  strategy,
  guard,
  mix,
  expects,
  fault,
  pair,
  ...rest
}: Omit<RunPlan, "run" | "seed"> & { run?: string }): RunReport["plan"] {
  const settings = { ...rest, fault: fault && FAULT_NAMES[fault.action], ...pair };
  return Object.fromEntries(
    Object.entries(settings).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
  );
}

/** What was made to fail, and how often it did. */
export function faultsOf(fault: Fault, { workers }: Evidence): string[] {
  const times = workers.reduce((sum, { final }) => sum + (final?.faulted ?? 0), 0);
  if (times === 0) return [];
  const where = fault.at === "before-write" ? "just before the write" : "between read and write";
  const who = fault.worker === undefined ? "a worker" : `worker-${fault.worker}`;
  if (fault.action === "die") return [`${who} died ${where}, holding what it held`];
  const what = fault.action === "stall" ? "stood still" : "worked";
  return [`${who} ${what} for ${fault.forMs} ms ${where}, ${times} times`];
}

/** How long after the death of a holder somebody wrote again, seconds; null where nobody did. */
export function recoveryOf({ workers, ledger }: Evidence): number | null {
  const death = workers.find(({ final }) => final?.died)?.final?.endedAtUs;
  if (death === undefined) return null;
  const next = ledger.writtenAtUs.find((writtenAtUs) => writtenAtUs > death);
  return next === undefined ? null : (next - death) / 1e6;
}

/** What the workers of each strategy in a mix wrote, what of it was stale, and what was lost under the stale writes. */
export function partsOf(mix: readonly StrategyName[], evidence: Evidence): NonNullable<RunReport["parts"]> {
  const { ledger, plan, workers, writers } = evidence;
  const strategyOf = (worker: number) => mix[worker % mix.length]!;
  const byWriter = new Map(writers.map(({ id, worker }) => [id, strategyOf(worker)]));
  const names = [...new Set(mix)];
  const parts = new Map(
    names.map((strategy) => [
      strategy,
      {
        strategy,
        workers: workerIndexes(plan).filter((i) => strategyOf(i) === strategy).length,
        committed: 0,
        rejected: workers
          .filter(({ index }) => strategyOf(index) === strategy)
          .reduce((sum, { final }) => sum + (final?.rejected ?? 0), 0),
        staleWrites: 0,
        overwritten: 0,
      },
    ]),
  );
  const partOf = (row: number) => parts.get(byWriter.get(writerOf(ledger.op[row]!)) ?? names[0]!)!;
  const lost = overwrittenRows(evidence);
  for (let row = 0; row < ledger.length; row++) {
    const part = partOf(row);
    part.committed += 1;
    if (ledger.readVersion[row]! !== ledger.newVersion[row]! - 1) part.staleWrites += 1;
    if (lost[row] === 1) part.overwritten += 1;
  }
  return [...parts.values()];
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const FAULT_NAMES: Record<Fault["action"], string> = {
  sleep: "outlives its TTL",
  stall: "holder stands still",
  die: "holder dies",
};

/** 1 for each row whose version a later write has not read. */
function overwrittenRows({ ledger }: Evidence): Uint8Array {
  const lost = new Uint8Array(ledger.length);
  const rowsOf = new Map<number, number[]>();
  for (let row = 0; row < ledger.length; row++) {
    const before = rowsOf.get(ledger.employee[row]!) ?? [];
    for (let index = before.length - 1; index >= 0; index--) {
      if (ledger.newVersion[before[index]!]! <= ledger.readVersion[row]!) break;
      lost[before[index]!] = 1;
    }
    before.push(row);
    rowsOf.set(ledger.employee[row]!, before);
  }
  return lost;
}
