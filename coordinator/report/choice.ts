/** Which strategy to take under which condition, as far as runs with the same load carry it. */
import { STRATEGIES, type StrategyFacts } from "../../worker/contract.ts";
import type { RunReport } from "../judge/report-data.ts";
import { perSecond } from "../text/format.ts";

/** Jain's index from which on workers had the same share, to within what a few seconds can tell. */
const EVEN = 0.99;

/** `kept`: runs that held, the fastest first, all with the same load. */
export function choice(kept: readonly RunReport[], name: (run: RunReport) => string): string[] {
  if (kept.length < 2) return [];
  const told = (run: RunReport | undefined) =>
    run?.throughput ? `${name(run)} (${perSecond(run.throughput)}/s)` : undefined;
  const first = (among: (run: RunReport) => boolean) => told(kept.find(among));
  const turnedAway = kept.filter((run) => (run.operations?.rejected ?? 0) > 0);
  const met = (condition: string, answer: string | undefined) => `${condition}: ${answer ?? "nothing that held here"}.`;
  return [
    met("Fastest without Redis", first(keptIn("database"))),
    met(
      "Fastest whose lock needs no database, for what lies outside one",
      first((run) => run.guard === "none" && !keptIn("database")(run) && factsOf(run).lock.keptIn !== null),
    ),
    ...(turnedAway.length > 0
      ? [
          met(
            "Fastest that turned nobody away",
            first((run) => !turnedAway.includes(run)),
          ),
        ]
      : []),
    met(
      `Fastest that served its workers evenly (Jain's index of at least ${EVEN})`,
      first(({ fairness }) => fairness !== null && fairness >= EVEN),
    ),
    "Where a lock may be lost while its holder goes on: not tried here; --scenario ttl does.",
  ];
}

const factsOf = ({ strategy }: RunReport): StrategyFacts => STRATEGIES[strategy];
const keptIn = (place: StrategyFacts["lock"]["keptIn"]) => (run: RunReport) => factsOf(run).lock.keptIn === place;
