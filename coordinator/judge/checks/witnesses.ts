import { writerOf } from "../../../worker/contract.ts";
import { type Evidence, isForeign } from "../evidence.ts";

/** The most witnesses that a check shows: the first ones, because later ones often follow from them. */
export const WITNESSES = 3;

/** Returns a function that names the writer of an operation as the report does: `worker-2`, or `worker-2 (loop 1)`. */
export function createNamer(
  evidence: Pick<Evidence, "writers" | "plan" | "serverFaults">,
): (operation: number) => string {
  const { writers, plan } = evidence;
  const byId = new Map(writers.map((writer) => [writer.id, writer]));
  return (operation) => {
    const writer = byId.get(writerOf(operation));
    if (isForeign(evidence, operation)) return "the foreign writer";
    if (writer === undefined) return `unregistered writer ${writerOf(operation)}`;
    return plan.concurrency > 1 ? `worker-${writer.worker} (loop ${writer.loop})` : `worker-${writer.worker}`;
  };
}
