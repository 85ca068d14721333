/** What a run waits for: that all workers can start, and that Prometheus has what they did. */
import type { Prometheus } from "../clients/prometheus.ts";
import { type RunPlan, workerIndexes } from "../plan/run-plan.ts";
import type { Roster } from "./roster.ts";

/** After a worker is lost before the start, others may fail with the same cause, and the report says how many did. */
const ALIKE_MS = 2_000;

/** The strategy cannot be used where the workers are: there is no run, and the message is the reason. */
export class StrategyUnavailable extends Error {
  override name = "StrategyUnavailable";
}

/** No worker is left to wait for. */
export class FleetLost extends Error {
  override name = "FleetLost";
}

/** What the start still waits for. Throws FleetLost once a worker is lost, because the run cannot be complete then. */
export async function notReady(plan: RunPlan, roster: Roster, prometheus: Prometheus): Promise<string | undefined> {
  const unavailable = roster.unavailable();
  if (unavailable !== undefined) throw new StrategyUnavailable(unavailable);
  const absentWorkers = describeMissing(roster.missing("ready"), "not ready");
  // The evidence of each lost worker has the reason.
  const lostForMs = roster.lostForMs();
  if (lostForMs !== undefined && (absentWorkers === undefined || lostForMs > ALIKE_MS))
    throw new FleetLost("the run did not start, because a worker was lost");
  if (absentWorkers !== undefined) return [absentWorkers, ...roster.waiting()].join("; ");
  const scraped = await prometheus.workersWith("ready", plan.run).catch((error) => error as Error);
  if (scraped instanceof Error) return scraped.message;
  const unscraped = workerIndexes(plan).filter((index) => !scraped.includes(index));
  return describeMissing(unscraped, "not scraped by Prometheus");
}

export async function notScraped(plan: RunPlan, roster: Roster, prometheus: Prometheus): Promise<string | undefined> {
  const ended = roster.all().filter(({ final }) => final !== undefined);
  // A worker that died on purpose, or was stopped before the end, serves no last scrape.
  const there = ended.filter(({ final, failure }) => !final?.died && failure === undefined);
  const finished = new Set(there.map(({ index }) => index));
  if (ended.length === 0) throw new FleetLost("no worker finished");
  const scraped = await prometheus.workersWith("done", plan.run).catch((error) => error as Error);
  if (scraped instanceof Error) return scraped.message;
  return describeMissing(
    [...finished].filter((index) => !scraped.includes(index)),
    "without a last scrape by Prometheus",
  );
}

export function describeMissing(missing: readonly number[], what: string): string | undefined {
  if (missing.length === 0) return undefined;
  const names = missing.slice(0, 8).map((index) => `worker-${index}`);
  return `${names.join(", ")}${missing.length > 8 ? ` and ${missing.length - 8} more` : ""} ${what}`;
}
