/** What the authors of the user's own locks claim, and what was seen of it. */
import type { RunReport } from "../judge/report-data.ts";
import { count, list, milliseconds, oneLine, outOf, plural } from "../text/format.ts";
import { quantileText } from "./describe-run.ts";

export const OWN_LOCKS_TITLE = "Your own locks: what their authors claim, and what was seen";

/** One sentence each, without a full stop; none for a built-in strategy. */
export function describeOwnLock(run: RunReport): string[] {
  const seen = run.ownLock?.seen;
  if (seen === undefined) return [];
  const { program, claims, pingMs, holds, tokensGrown, lossesTold } = seen;
  const claimed = Object.entries(claims).flatMap(([claim, isClaimed]) => (isClaimed ? [claim] : []));
  const overlaps = run.checks.find(({ check }) => check === "exclusion");
  // Incomplete evidence says nothing about the losses of which nothing was told.
  const untold =
    overlaps?.status === "holds" || overlaps?.status === "violated"
      ? `, and ${plural(overlaps.count, "operation")} met another one inside`
      : "";
  return [
    `${oneLine(program)}; its author claims ${claimed.length === 0 ? "nothing" : list(claimed)}`,
    `a message to the program and its answer take ${milliseconds(pingMs / 1_000)} ms (median), which is part of each lock wait (p50 ${quantileText(run.lockWaitSeconds, "p50")} ms)`,
    ...(claims.fencing ? [`fencing claimed: tokens grew in ${outOf(tokensGrown, holds, "hold")}`] : []),
    `told of ${plural(lossesTold, "loss", "losses")} in ${count(holds)} holds${untold}`,
  ];
}
