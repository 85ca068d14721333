/** The names of the places of report.html that the other forms of a report mention. */
import type { RunReport } from "../judge/report-data.ts";
import { list } from "../text/format.ts";

/** The anchor of a window of operations up close; `window` counts from 1. */
export const anchorOf = ({ run }: RunReport, window: number) => `${run.replace(/[^\w-]/g, "_")}-window-${window}`;

/**
 * Where the page shows the violations of a run, in words; undefined where nothing is drawn. Of repeats that are as
 * expected, the page draws the first one.
 */
export function drawnAt(run: RunReport): string | undefined {
  if (run.agreement === "expected" && (run.repeat ?? 1) > 1) return undefined;
  const places = (run.drawing?.windows ?? []).flatMap(({ shows }, index) =>
    shows === "violation" ? [`report.html#${anchorOf(run, index + 1)}`] : [],
  );
  return places.length === 0 ? undefined : `drawn in ${list(places)}`;
}
