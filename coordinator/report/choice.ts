/** Which strategy to choose under which condition, as far as runs with the same load support it. */
import { LOCK_SERVICES, STRATEGIES, type StrategyFacts, type StrategyName } from "../../worker/contract.ts";
import type { RunReport } from "../judge/report-data.ts";
import { list, perSecond } from "../text/format.ts";
import { rivalsOf } from "./intervals.ts";

/** Jain's index from which workers had equal shares, within the precision of a run of a few seconds. */
const EVEN = 0.99;

export interface Choice {
  /** The fastest strategy for each of several conditions, which are worded to follow "Fastest". */
  readonly fastest: readonly { readonly condition: string; readonly found: string }[];
  /** What each lock needs, and what becomes of it on failure. */
  readonly onFailure: readonly string[];
  readonly untested: readonly string[];
}

/** `kept`: runs that held, the fastest first, all with the same load. */
export function choice(kept: readonly RunReport[], name: (run: RunReport) => string): Choice {
  if (kept.length < 2) return { fastest: [], onFailure: [], untested: [] };
  const first = (among: (run: RunReport) => boolean) => {
    const some = kept.filter((run) => run.throughput && among(run));
    if (some[0] === undefined) return undefined;
    const rivals = rivalsOf(some);
    const names = [some[0], ...rivals].map((run) => `${name(run)} (${perSecond(run.throughput)}/s)`);
    return rivals.length === 0 ? names[0] : `${list(names)}, which cannot be told apart`;
  };
  const rejecting = kept.filter((run) => (run.operations?.rejected ?? 0) > 0);
  const answer = (condition: string, found = "no strategy that held here") => ({ condition, found });
  return {
    fastest: [
      answer("that needs no server but the database", first(keptIn("database"))),
      answer(
        "lock kept outside the database (so it can also protect other resources)",
        first((run) => run.guard === "none" && !keptIn("database")(run) && factsOf(run).lock.keptIn !== null),
      ),
      ...(rejecting.length > 0
        ? [
            answer(
              "without rejected operations",
              first((run) => !rejecting.includes(run)),
            ),
          ]
        : []),
      answer(
        `that served its workers evenly (Jain's index of at least ${EVEN})`,
        first(({ fairness }) => fairness !== null && fairness >= EVEN),
      ),
    ],
    onFailure: onFailure(kept, name),
    untested: ["Not tested here: a lock that expires while its holder is still working. Run --scenario ttl."],
  };
}

const SERVICE = "keeps held locks while a minority of its servers is lost, and gives none without a majority";
/** What a lock needs, and what becomes of a held lock when its servers fail. docs/strategies.md says what was seen. */
const ON_FAILURE: Readonly<Partial<Record<StrategyName, string>>> = {
  redis: "needs one Redis; if that loses its data, a held lock is given away",
  redlock: "needs three Redis servers or more; if a majority of them loses its data, a held lock is given away",
  lease: `needs the API server of Kubernetes; it ${SERVICE}`,
  zookeeper: `needs ZooKeeper, which ${SERVICE}`,
  consul: `needs Consul, which ${SERVICE}`,
  etcd: `needs etcd, which ${SERVICE}`,
};

/** Only where a lock service is among the choices. */
function onFailure(kept: readonly RunReport[], name: (run: RunReport) => string): string[] {
  if (!kept.some((run) => LOCK_SERVICES.some((service) => run.strategy === service))) return [];
  return kept.flatMap((run) => {
    const text = ON_FAILURE[run.strategy];
    return text === undefined ? [] : `${name(run)} (${perSecond(run.throughput)}/s) ${text}.`;
  });
}

const factsOf = ({ strategy }: RunReport): StrategyFacts => STRATEGIES[strategy];
const keptIn = (place: StrategyFacts["lock"]["keptIn"]) => (run: RunReport) => factsOf(run).lock.keptIn === place;
