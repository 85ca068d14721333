/** What the workers of each strategy did in a run of several strategies. Pure. */
import { type StrategyName, writerOf } from "../../worker/contract.ts";
import { strategyOfWorker, workerIndexes } from "../plan/run-plan.ts";
import type { Evidence } from "./evidence.ts";
import { isStale } from "./ledger.ts";
import type { RunReport } from "./report-data.ts";

/**
 * For each strategy of a mix: the writes of its workers, how many of them were stale, and how many were lost under a
 * stale write of any worker.
 */
export function splitByStrategy(mix: readonly StrategyName[], evidence: Evidence): NonNullable<RunReport["parts"]> {
  const { ledger, plan, workers, writers } = evidence;
  const byWriter = new Map(writers.map(({ id, worker }) => [id, strategyOfWorker(plan, worker)]));
  const names = [...new Set(mix)];
  const parts = new Map(
    names.map((strategy) => [
      strategy,
      {
        strategy,
        workers: workerIndexes(plan).filter((i) => strategyOfWorker(plan, i) === strategy).length,
        committed: 0,
        rejected: workers
          .filter(({ index }) => strategyOfWorker(plan, index) === strategy)
          .reduce((sum, { final }) => sum + (final?.rejected ?? 0), 0),
        staleWrites: 0,
        overwritten: 0,
      },
    ]),
  );
  const partOf = (row: number) => parts.get(byWriter.get(writerOf(ledger.op[row]!)) ?? names[0]!)!;
  const lost = markOverwrittenRows(evidence);
  for (let row = 0; row < ledger.length; row++) {
    const part = partOf(row);
    part.committed += 1;
    if (isStale(ledger, row)) part.staleWrites += 1;
    if (lost[row] === 1) part.overwritten += 1;
  }
  return [...parts.values()];
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** Has a 1 for each row whose version a later write did not read. */
function markOverwrittenRows({ ledger }: Evidence): Uint8Array {
  const lost = new Uint8Array(ledger.length);
  const earlier = new Map<number, number[]>();
  for (let row = 0; row < ledger.length; row++) {
    const before = earlier.get(ledger.employee[row]!) ?? [];
    for (let index = before.length - 1; index >= 0; index--) {
      if (ledger.newVersion[before[index]!]! <= ledger.readVersion[row]!) break;
      lost[before[index]!] = 1;
    }
    before.push(row);
    earlier.set(ledger.employee[row]!, before);
  }
  return lost;
}
