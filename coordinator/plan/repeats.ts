/** The order of the runs of a scenario that is made several times. Pure. */
import { createHash } from "node:crypto";
import { labelsOf } from "./run-names.ts";
import type { RunPlan } from "./run-plan.ts";
import { isControl, type Setting } from "./theory.ts";

/**
 * Each run `times` times: all runs once, then all of them again, so that a machine that becomes slower meanwhile does so
 * for all of them. Each time the controls come first, as they do without repeats, and the others follow in an order that
 * depends on the seed alone. A run that is made once has no `repeat`. No two runs of a report have the same seed, and
 * those of the first repeat have the seeds of a report without repeats.
 */
export function inRepeats<Run extends Setting & { readonly seed: number }>(
  runs: readonly Run[],
  times: number,
  seed: number,
): (Run & { readonly repeat?: number })[] {
  if (times === 1) return [...runs];
  return Array.from({ length: times }, (_, index) => index + 1).flatMap((repeat) => {
    const again = runs.map((run) => ({ ...run, repeat, seed: run.seed + (repeat - 1) * runs.length }));
    const others = again.filter((run) => !isControl(run));
    return [...again.filter(isControl), ...shuffled(others, `${seed}/${repeat}`)];
  });
}

/** The name of each run while it is made: the one that the report will use if all runs are made. */
export function nameEach(plans: readonly RunPlan[]): ReadonlyMap<RunPlan, string> {
  const named = plans.map((plan) => ({ ...plan, plan }));
  const labels = labelsOf(named);
  return new Map(named.map((run) => [run.plan, labels.get(run) ?? run.strategy]));
}

/** Names the runs that were not made. Repeats of which none was made, for the same reason, have one entry. */
export function nameSkipped<Reason extends { readonly reason: string }>(
  skipped: ReadonlyMap<RunPlan, Reason>,
  plans: readonly RunPlan[],
): ({ strategy: string } & Reason)[] {
  const names = nameEach(plans);
  const once = nameEach(plans.map(({ repeat: _, ...plan }) => plan));
  const common = new Map([...once].map(([, name], position) => [plans[position]!, name]));
  const alike = Map.groupBy(skipped, ([plan, { reason }]) => `${common.get(plan)}: ${reason}`);
  return [...alike.values()].flatMap((some) => {
    const name = common.get(some[0]![0])!;
    const all = [...common.values()].filter((other) => other === name).length;
    if (some.length === all) return [{ strategy: name, ...some[0]![1] }];
    return some.map(([plan, reason]) => ({ strategy: names.get(plan) ?? name, ...reason }));
  });
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** In the order of the hashes of their positions: every order is equally likely. */
const shuffled = <Item>(items: readonly Item[], seed: string): Item[] =>
  items
    .map((item, position) => ({
      item,
      hash: createHash("sha256").update(`${seed}/${position}`).digest("hex"),
    }))
    .sort((a, b) => (a.hash < b.hash ? -1 : 1))
    .map(({ item }) => item);
