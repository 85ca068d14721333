/** What the workers of a run say about it, as evidence. */
import type { Evidence, WorkerEvidence } from "../judge/evidence.ts";
import { type RunPlan, workerIndexes } from "../plan/run-plan.ts";
import { withoutExclusion } from "../plan/theory.ts";
import type { Roster } from "./roster.ts";

/** Every worker of the plan, those that never reported included. */
export function collectWorkers(plan: RunPlan, roster: Roster): Evidence["workers"] {
  const seen = roster.all();
  const lost = new Map(roster.lost().map((problem) => [problem.index, problem]));
  return workerIndexes(plan).flatMap((index): WorkerEvidence[] => {
    const ofIndex = seen.filter((worker) => worker.index === index);
    const { reason, log } = lost.get(index) ?? {};
    if (ofIndex.length === 0) return [{ index, uid: "", node: "", lost: reason ?? "never started", log }];
    return ofIndex.map(({ uid, node, phase, final, failure, readyMs }) => {
      // A worker that was ready but never got a start is not lost: the workers that prevented the start have the reason.
      const silent = phase === "running" || phase === "done" ? "did not finish" : undefined;
      if (final !== undefined && failure === undefined) return { index, uid, node, final, readyMs };
      return { index, uid, node, final, readyMs, lost: reason ?? failure ?? silent, log };
    });
  });
}

/** The program of a user's own lock says only when it runs what its author claims. */
export function findClaims(plan: RunPlan, workers: Evidence["workers"]): Pick<RunPlan, "expects"> {
  const claimed = workers.every(({ final }) => final?.ownLock?.claims.exclusion !== false);
  return claimed ? {} : { expects: withoutExclusion(plan) };
}

/** A problem where the planned fault never happened, so that the run has shown nothing about it. */
export function findUnreachedFault({ fault }: RunPlan, roster: Roster): string[] {
  if (fault === undefined || roster.all().some(({ final }) => (final?.faulted ?? 0) > 0)) return [];
  return ["the planned fault never happened: no operation reached its failpoint in time"];
}

/** One address can lead to several servers of a cluster, as behind a load balancer. Only the workers see which. */
export function findGaleraServers(
  { mysqlServers = 1 }: RunPlan,
  workers: Evidence["workers"],
): Pick<RunPlan, "mysqlServers"> {
  const found = new Set(workers.flatMap(({ final }) => final?.galeraServers ?? [])).size;
  return found > mysqlServers ? { mysqlServers: found } : {};
}
