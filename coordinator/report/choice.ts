/** Which strategy to choose under which condition, as far as runs with the same load support it. */
import { STRATEGIES, type StrategyFacts } from "../../worker/contract.ts";
import type { RunReport } from "../judge/report-data.ts";
import { perSecond } from "../text/format.ts";

/** Jain's index from which workers had equal shares, within the precision of a run of a few seconds. */
const EVEN = 0.99;

/** `kept`: runs that held, the fastest first, all with the same load. */
export function choice(kept: readonly RunReport[], name: (run: RunReport) => string): string[] {
  if (kept.length < 2) return [];
  const describe = (run: RunReport | undefined) =>
    run?.throughput ? `${name(run)} (${perSecond(run.throughput)}/s)` : undefined;
  const first = (among: (run: RunReport) => boolean) => describe(kept.find(among));
  const rejecting = kept.filter((run) => (run.operations?.rejected ?? 0) > 0);
  const answer = (condition: string, found: string | undefined) =>
    `${condition}: ${found ?? "no strategy that held here"}.`;
  return [
    answer("Fastest without Redis", first(keptIn("database"))),
    answer(
      "Fastest lock kept outside the database (so it can also protect other resources)",
      first((run) => run.guard === "none" && !keptIn("database")(run) && factsOf(run).lock.keptIn !== null),
    ),
    ...(rejecting.length > 0
      ? [
          answer(
            "Fastest without rejected operations",
            first((run) => !rejecting.includes(run)),
          ),
        ]
      : []),
    answer(
      `Fastest that served its workers evenly (Jain's index of at least ${EVEN})`,
      first(({ fairness }) => fairness !== null && fairness >= EVEN),
    ),
    "Not tested here: a lock that expires while its holder is still working. Run --scenario ttl.",
  ];
}

const factsOf = ({ strategy }: RunReport): StrategyFacts => STRATEGIES[strategy];
const keptIn = (place: StrategyFacts["lock"]["keptIn"]) => (run: RunReport) => factsOf(run).lock.keptIn === place;
