/** The faults of a run: how often they happened, and how long the recovery took. Pure. */
import type { Fault } from "../../worker/contract.ts";
import { duration, plural } from "../text/format.ts";
import type { Evidence } from "./evidence.ts";

/** Describes what was made to fail, and how often it did. Empty where it never happened. */
export function describeFaults(fault: Fault, { workers }: Evidence): string[] {
  const times = workers.reduce((sum, { final }) => sum + (final?.faulted ?? 0), 0);
  if (times === 0) return [];
  const where = PLACES[fault.at];
  const who = fault.worker === undefined ? "a worker" : `worker-${fault.worker}`;
  const often = plural(times, "time");
  switch (fault.action) {
    case "sleep":
      return [`${who} worked for ${duration(fault.forMs)} ${where}, ${often}`];
    case "stall":
      return [`${who} was stalled for ${duration(fault.forMs)} ${where}, ${often}`];
    case "die":
      return [`${who} died ${where} and released nothing`];
    default:
      return fault.action satisfies never;
  }
}

/** Seconds from the death of a holder to the next write; null where nobody died or nothing was written after it. */
export function measureRecovery({ workers, ledger }: Evidence): number | null {
  const death = workers.find(({ final }) => final?.died)?.final?.endedAtUs;
  if (death === undefined) return null;
  const next = ledger.writtenAtUs.find((writtenAtUs) => writtenAtUs > death);
  return next === undefined ? null : (next - death) / 1e6;
}

const PLACES: Record<Fault["at"], string> = {
  "after-read": "between read and write",
  "before-write": "just before the write",
};
