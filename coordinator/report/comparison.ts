/** A comparison of two reports as text, Markdown and JUnit. */
import type { Comparison, CostChange, VerdictChange } from "../judge/comparison.ts";
import { EXIT } from "../judge/report-data.ts";
import { joined, milliseconds, oneLine, percent, perSecond } from "../text/format.ts";
import { type Column, paragraph, table } from "../text/layout.ts";
import { bullets, escaped, tableOf } from "../text/markdown.ts";
import { type Paint, painter, type Tone } from "../text/paint.ts";
import { intervalText } from "./intervals.ts";
import { createSuite, type Result } from "./junit-suite.ts";

/** Every form of a comparison by its file name, beside report.json. */
export const comparisonFiles = (comparison: Comparison): Readonly<Record<string, string>> => ({
  "comparison.json": `${JSON.stringify(comparison, null, 2)}\n`,
  "comparison.txt": formatComparison(comparison, { color: false, width: 120 }),
  "comparison.md": comparisonMarkdown(comparison),
  "comparison.xml": comparisonJunit(comparison),
});

/** For a terminal; ends with the result. */
export function formatComparison(
  comparison: Comparison,
  { color, width }: { readonly color: boolean; readonly width: number },
): string {
  const page = { paint: painter(color), width: Math.min(Math.max(width, 60), 120) };
  const titled = (title: string, ...lines: string[]) =>
    lines.length === 0 ? [] : [[page.paint("title", title), ...lines].join("\n")];
  const listed = (items: readonly string[]) => items.map((item) => paragraph("  · ", oneLine(item), page));
  const { verdicts, costs } = comparison;
  const sections = [
    [page.paint("title", TITLE), paragraph("", about(comparison), { ...page, tone: "quiet" })].join("\n"),
    ...titled(REFUSED, ...listed(comparison.refused)),
    ...titled(
      VERDICTS,
      ...(verdicts.length === 0 ? [] : [table(VERDICT_COLUMNS, verdicts, page)]),
      ...listed(whys(comparison)),
    ),
    ...titled(
      COSTS,
      ...(costs.length === 0 ? [] : [table(COST_COLUMNS, costs, page), ...listed(costNotes(comparison))]),
    ),
    ...titled(DIFFERENCES, ...listed(comparison.differences)),
    conclusion(comparison, page),
  ];
  return `${sections.join("\n\n")}\n`;
}

export function comparisonMarkdown(comparison: Comparison): string {
  const { verdicts, costs, refused, differences } = comparison;
  const sections = [
    `# ${TITLE}`,
    `**${escaped(comparison.line)}**`,
    escaped(about(comparison)),
    ...(refused.length === 0 ? [] : [`## ${REFUSED}`, bullets(refused)]),
    ...(verdicts.length === 0 ? [] : [`## ${VERDICTS}`, tableOf(VERDICT_COLUMNS, verdicts), bullets(whys(comparison))]),
    ...(costs.length === 0 ? [] : [`## ${COSTS}`, tableOf(COST_COLUMNS, costs), bullets(costNotes(comparison))]),
    ...(differences.length === 0 ? [] : [`## ${DIFFERENCES}`, bullets(differences)]),
  ];
  return `${sections.filter((section) => section !== "").join("\n\n")}\n`;
}

/**
 * A test case for each verdict that changed, one for the throughput of each run, and one for the result. What got worse or
 * slower than allowed is a failure; reports that cannot be compared are an error.
 */
export function comparisonJunit(comparison: Comparison): string {
  const { base, new: next, verdicts, costs } = comparison;
  const properties = { base: base.report, new: next.report };
  const { testCase, build } = createSuite("holdfast compare", properties, 0);
  for (const change of verdicts) {
    const message = `${change.of}: ${change.base} in the base report, ${change.new} in the new one (${change.is})`;
    const kind = change.is === "worse" ? "failure" : "pass";
    testCase("comparison", `${change.run}: ${change.of}`, { kind, message, lines: change.reasons });
  }
  for (const change of costs.filter(({ of }) => of === "throughput")) {
    const [before, after] = [change.base, change.new].map((number) => numberText(change, number));
    const message = `committed/s: ${before} in the base report, ${after} in the new one (${describeChange(change)})`;
    testCase("comparison", `${change.run}: throughput`, {
      kind: change.tooSlow ? "failure" : "pass",
      message,
      lines: [],
    });
  }
  const lines = [...comparison.refused, ...comparison.differences];
  testCase("comparison", "result", { kind: kindOf(comparison), message: comparison.line, lines });
  return build();
}

// --- What all forms share -------------------------------------------------------------------------------------------

const TITLE = "Comparison of two reports";
export const REFUSED = "Why they cannot be compared";
export const VERDICTS = "Verdicts that changed";
export const COSTS = "What it cost, then and now";
export const DIFFERENCES = "What else is different";

export const about = ({ base, new: next }: Comparison) =>
  [base, next]
    .map(
      ({ report, startedAt }, index) =>
        `${index === 0 ? "base" : "new"}: report ${report} of ${startedAt.slice(0, 10)}`,
    )
    .join(" · ");

export const whys = ({ verdicts }: Comparison) =>
  verdicts.flatMap(({ run, of, reasons }) => (reasons.length === 0 ? [] : [`${run}, ${of}: ${joined(reasons)}`]));

export function costNotes({ costs, maxDrop }: Comparison): string[] {
  const unsure = costs.some(({ isApart }) => isApart === "unknown");
  return [
    ...(maxDrop === null ? [] : [`The throughput of a run may fall by ${percent(maxDrop)}.`]),
    ...(unsure
      ? ["Without intervals on both sides, a change may be chance: give both reports --repeat 6."]
      : ["A change within overlapping intervals is not claimed."]),
  ];
}

export const VERDICT_COLUMNS: Column<VerdictChange>[] = [
  { head: "run", cell: ({ run }) => run },
  { head: "what", cell: ({ of }) => of },
  { head: "base", cell: ({ base }) => base },
  { head: "new", cell: (change) => change.new },
  { head: "", cell: ({ is }) => is, tone: ({ is }) => TONES[is] },
];
const TONES: Readonly<Record<VerdictChange["is"], Tone>> = { worse: "alarm", better: "good", different: "plain" };

const MEASURE_NAMES: Readonly<Partial<Record<CostChange["of"], string>>> = {
  throughput: "committed/s",
  "operationSeconds.p50": "p50, ms",
  "operationSeconds.p99": "p99, ms",
};

export const COST_COLUMNS: Column<CostChange>[] = [
  { head: "run", cell: ({ run }) => run },
  { head: "what", cell: ({ of }) => MEASURE_NAMES[of] ?? of },
  { head: "base", align: "right", cell: (change) => numberText(change, change.base) },
  { head: "new", align: "right", cell: (change) => numberText(change, change.new) },
  { head: "change", align: "right", cell: ({ change }) => signedPercent(change) },
  { head: "", cell: describeMeaning, tone: ({ tooSlow }) => (tooSlow ? "alarm" : "plain") },
];

/** `306 (290–330)` */
function numberText({ of }: CostChange, number: CostChange["base"]): string {
  const text = of === "throughput" ? perSecond : milliseconds;
  const range = intervalText(number, text);
  return `${text(number.median)}${range === "" ? "" : ` (${range})`}`;
}

const signedPercent = (change: number) => (change > 0 ? `+${percent(change)}` : percent(change));
const describeChange = (change: CostChange) =>
  [signedPercent(change.change), describeMeaning(change)].filter((text) => text !== "").join(", ");

function describeMeaning({ of, change, isApart, tooSlow }: CostChange): string {
  if (tooSlow) return "slower than allowed";
  if (isApart === "unknown") return "";
  if (!isApart) return "cannot be told apart";
  return change > 0 === (of === "throughput") ? "faster" : "slower";
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

function conclusion({ line, exitCode }: Comparison, page: { readonly paint: Paint; readonly width: number }): string {
  const tone = exitCode === EXIT.expected ? "good" : exitCode === EXIT.unknown ? "unsure" : "bad";
  return paragraph("", oneLine(line), { ...page, tone });
}

function kindOf({ exitCode }: Comparison): Result["kind"] {
  if (exitCode === EXIT.expected) return "pass";
  return exitCode === EXIT.unknown ? "error" : "failure";
}
