import { writerOf } from "../../../worker/contract.ts";
import type { Evidence } from "../evidence.ts";

/** Witnesses that a check shows at most: the first ones, because what follows is often their consequence. */
export const WITNESSES = 3;

/** Says who made an operation, as a reader of the report knows them. */
export function namesOf({ writers, plan }: Pick<Evidence, "writers" | "plan">): (operation: number) => string {
  const byId = new Map(writers.map((writer) => [writer.id, writer]));
  return (operation) => {
    const writer = byId.get(writerOf(operation));
    if (writer === undefined) return `unregistered writer ${writerOf(operation)}`;
    return plan.concurrency > 1 ? `worker-${writer.worker} (loop ${writer.loop})` : `worker-${writer.worker}`;
  };
}
