/** What changed since an earlier report, or why the two cannot be compared. */
import type { Comparison } from "../../judge/comparison.ts";
import { EXIT } from "../../judge/report-data.ts";
import {
  about,
  COST_COLUMNS,
  COSTS,
  costNotes,
  DIFFERENCES,
  REFUSED,
  VERDICT_COLUMNS,
  VERDICTS,
  whys,
} from "../comparison.ts";
import { listed, tableOf } from "./evidence.ts";
import { el, type Markup } from "./markup.ts";

export function describeComparison(comparison: Comparison): Markup[] {
  const { line, exitCode, verdicts, costs, refused, differences } = comparison;
  const tone = exitCode === EXIT.expected ? "held" : exitCode === EXIT.unknown ? "unsure" : "broken";
  const notes = (texts: readonly string[]) => texts.map((text) => el("p", {}, text));
  return [
    el("div", { class: `verdict ${tone}` }, el("b", {}, line.replace("COMPARISON: ", ""))),
    el("p", { class: "quiet" }, about(comparison)),
    ...listed(REFUSED, refused),
    ...(verdicts.length === 0
      ? []
      : [el("h3", {}, VERDICTS), tableOf(VERDICT_COLUMNS, verdicts), ...notes(whys(comparison))]),
    ...(costs.length === 0 ? [] : [el("h3", {}, COSTS), tableOf(COST_COLUMNS, costs), ...notes(costNotes(comparison))]),
    ...listed(DIFFERENCES, differences),
  ];
}
