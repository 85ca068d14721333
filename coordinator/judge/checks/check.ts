import type { Aspect } from "../../plan/run-plan.ts";
import type { Evidence } from "../evidence.ts";
import type { CheckResult } from "../report-data.ts";
import type { VersionOrder } from "./version-order.ts";
import type { WriterHistories } from "./writer-histories.ts";

/** The evidence of a run, and what several checks derive from it. */
export interface CheckInput {
  readonly evidence: Evidence;
  readonly order: VersionOrder;
  readonly histories: WriterHistories;
}

export interface Check {
  examine(input: CheckInput): CheckResult;
  /**
   * The aspect whose verdict this check can violate; null where it only informs, or says how much a verdict is worth.
   */
  readonly violates: Aspect | null;
  /** Unless such a check holds, no aspect holds, and no violation is known to be the one that theory expects. */
  readonly completeness: boolean;
}
