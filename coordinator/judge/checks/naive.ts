import { plural } from "../../text/format.ts";
import type { Evidence } from "../evidence.ts";
import type { CheckResult } from "../report-data.ts";

const BLIND_SPOTS =
  "it sees a write between its own read and read-back, not what was lost; it cannot fail where the write names the version; the count of a killed worker is lost";

/**
 * The naive check, for comparison only: read-back version = version read + 1. It does not affect the verdict. The count
 * is the one in Prometheus, or else the sum of what the workers reported.
 */
export function naive(evidence: Evidence): CheckResult {
  const count = naiveCount(evidence);
  if (count === null) return { check: "naive", status: "unknown", detail: "no data", count: 0, witnesses: [] };
  const detail = `the naive check counts ${plural(count, "inconsistent update")}: ${BLIND_SPOTS}`;
  return { check: "naive", status: "skipped", detail, count, witnesses: [] };
}

/** The count of the naive check; null where neither Prometheus nor any worker has one. */
export function naiveCount({ prometheus, workers }: Evidence): number | null {
  const counts = prometheus?.workers ?? workers.flatMap(({ final }) => (final === undefined ? [] : [final]));
  return counts.length === 0 ? null : counts.reduce((sum, { naive }) => sum + naive, 0);
}
