import { nameOfStrategy } from "../../plan/run-names.ts";
import { strategyOfWorker } from "../../plan/run-plan.ts";
import { expectedErrors } from "../../plan/theory.ts";
import { list, plural, quoted } from "../../text/format.ts";
import type { Evidence } from "../evidence.ts";
import type { CheckResult } from "../report-data.ts";

/**
 * Operations have only errors that their strategy can have. Other errors leave the run unknown: a lock that does not
 * exclude could otherwise look correct because a unique key or deadlocks reject the operations.
 */
export function errors(evidence: Evidence): CheckResult {
  const found = findUnexpected(evidence);
  return {
    check: "errors",
    status: found.length > 0 ? "unknown" : "holds",
    detail:
      found.length > 0
        ? list(
            found.map(
              ({ strategy, name, count, example }) =>
                `${plural(count, "error")} of class ${name}, which ${quoted(strategy === "own" ? nameOfStrategy(evidence.plan) : strategy)} never has: ${example}`,
            ),
          )
        : "no errors but those that the strategy can have",
    count: 0,
    witnesses: [],
  };
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** The classes by strategy, the most frequent one first. */
function findUnexpected({ plan, workers }: Evidence) {
  const found = new Map<string, { strategy: string; name: string; count: number; example: string }>();
  for (const { index, final } of workers) {
    const strategy = strategyOfWorker(plan, index);
    const expected = expectedErrors(strategy, plan);
    for (const { class: name, count, example } of final?.errors ?? []) {
      if (expected.has(name)) continue;
      const seen = found.get(`${strategy} ${name}`);
      if (seen === undefined) found.set(`${strategy} ${name}`, { strategy, name, count, example });
      else seen.count += count;
    }
  }
  return [...found.values()].sort((a, b) => b.count - a.count);
}
