import type { Evidence } from "../evidence.ts";
import type { CheckResult } from "../report-data.ts";
import { plural } from "./witnesses.ts";

const BLIND_SPOTS =
  "it sees a write between its own read and read-back, not what was lost; it cannot fail where the write names the version; a killed worker takes its count along";

/**
 * The naive check, for comparison only: read-back version = version read + 1. Skipped as far as the verdict goes, with
 * the count that Prometheus has of it, or else the workers.
 */
export function naive(evidence: Evidence): CheckResult {
  const count = naiveCount(evidence);
  if (count === null) return { check: "naive", status: "unknown", detail: "no data", count: 0, witnesses: [] };
  const detail = `the naive check counts ${plural(count, "inconsistent update")}: ${BLIND_SPOTS}`;
  return { check: "naive", status: "skipped", detail, count, witnesses: [] };
}

/** Null where neither Prometheus nor any worker has it. */
export function naiveCount({ prometheus, workers }: Evidence): number | null {
  const books = prometheus?.workers ?? workers.flatMap(({ final }) => (final === undefined ? [] : [final]));
  return books.length === 0 ? null : books.reduce((sum, { naive }) => sum + naive, 0);
}
