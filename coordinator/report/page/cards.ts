/** The top of the page: the verdict, how to repeat it, and a card for each run. */
import { describeRepeats, repeatedOf } from "../../judge/repeats.ts";
import type { Report, RunReport } from "../../judge/report-data.ts";
import { kebabCase } from "../../plan/options.ts";
import { sharedSettings } from "../../plan/run-names.ts";
import type { Aspect } from "../../plan/run-plan.ts";
import { isDefault, RunOptions } from "../../plan/settings.ts";
import { atMost, count, decimal, NO_DATA, percent, perSecond } from "../../text/format.ts";
import { answers } from "../answers.ts";
import {
  describeAgreement,
  describeMoney,
  describeStrength,
  describeVerdict,
  moneyOf,
  quantileText,
} from "../describe-run.ts";
import { drawing } from "./chart.ts";
import { color, TONES } from "./colors.ts";
import { type Child, el, type Markup } from "./markup.ts";

export function heading(report: Report): Markup[] {
  const { verdict, version, scenario, where, startedAt, environment } = report;
  const started = `${startedAt.slice(0, 16).replace("T", " ")} UTC`;
  const tone = ({ expected: "held", violated: "broken", unknown: "unsure" } as const)[verdict.value];
  const servers = ["mysql", "redis", "prometheus", "node"].flatMap((key) =>
    environment[key] === undefined ? [] : `${key} ${environment[key]}`,
  );
  return [
    el("h1", {}, `Holdfast ${version}: ${scenario}`),
    el(
      "div",
      { class: `verdict ${tone}` },
      el("b", {}, verdict.line.replace("VERDICT: ", "")),
      verdict.reasons.length > 1 &&
        el(
          "ul",
          {},
          verdict.reasons.map((reason) => el("li", {}, reason)),
        ),
    ),
    el(
      "p",
      { class: "quiet" },
      [where, started, `exit status ${verdict.exitCode}`, `report ${report.report}`].join(" · "),
    ),
    el(
      "p",
      { class: "quiet" },
      [...sharedSettings(report.runs), ...describeRepeats(report.runs), ...servers].join(" · "),
    ),
    el("p", {}, "To repeat it: ", el("code", {}, commandOf(report))),
  ];
}

export function cards(report: Report, labels: ReadonlyMap<RunReport, string>): Markup {
  return el(
    "div",
    { class: "cards" },
    report.runs.map((run) => card(run, labels.get(run) ?? run.strategy)),
  );
}

/** What the report answers, the same sentences as in its other forms. */
export function conclusions(report: Report): Markup[] {
  const { shown, held, cost, choice, cannotShow } = answers(report);
  const part = (title: string, sentences: readonly string[]) =>
    sentences.length === 0
      ? []
      : [
          el("h3", {}, title),
          el(
            "ul",
            {},
            sentences.map((text) => el("li", {}, text)),
          ),
        ];
  return [
    ...part("What was shown", shown),
    ...part("What held", held),
    ...part("What it cost", cost),
    ...part("Which to choose", choice),
    ...part("What is not shown", cannotShow),
  ];
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

function card(run: RunReport, label: string): Markup {
  const data = describeVerdict(run, "data");
  const exclusion = describeVerdict(run, "exclusion");
  const agreement = describeAgreement(run);
  const tone = TONES[agreement.tone === "plain" ? data.tone : agreement.tone];
  const line = (name: string, value: Child, toned?: string) => [
    el("dt", {}, name),
    el("dd", toned === undefined ? {} : { class: toned }, value),
  ];
  const lost = run.lostUpdates === null ? NO_DATA : count(run.lostUpdates);
  return el(
    "div",
    { class: `card ${tone}` },
    el("h3", {}, label),
    el("div", { class: "word" }, cardWord(run)),
    el("p", { class: "quiet" }, agreement.text),
    arrivedBar(run),
    el(
      "dl",
      {},
      line("data", verdictText(run, "data"), TONES[data.tone]),
      line("exclusion", verdictText(run, "exclusion"), TONES[exclusion.tone]),
      line("lost updates", lost, run.lostUpdates ? TONES[data.tone] : undefined),
      line("committed/s", throughputText(run)),
      line("p99", run.operationSeconds === null ? NO_DATA : `${quantileText(run.operationSeconds, "p99")} ms`),
      line("rejected", count(run.operations?.rejected)),
      line("fairness", decimal(run.fairness)),
    ),
  );
}

/** `HOLDS, < 0.3 %`: the bound on the rate of violations; or how many there were. */
function verdictText(run: RunReport, aspect: Aspect): string {
  const { word } = describeVerdict(run, aspect);
  const verdict = run[aspect];
  if (describeStrength(run, aspect) === "" || verdict.value === "unknown") return word;
  return verdict.value === "holds" ? `${word}, < ${atMost(verdict.rateBelow)}` : `${word}, ${count(verdict.count)}`;
}

function cardWord(run: RunReport): string {
  const { value } = run.data;
  if (value === "unknown") return "unknown";
  if (value === "violated") return run.lostUpdates ? "updates lost" : "violated";
  return run.expects.data === "unclaimed" ? "no claim" : "held";
}

function throughputText(run: RunReport): string {
  const interval = repeatedOf(run)?.medians.find(({ of }) => of === "throughput");
  if (interval?.low === undefined || interval.high === undefined) return perSecond(run.throughput);
  return `${perSecond(interval.median)} (${perSecond(interval.low)} to ${perSecond(interval.high)})`;
}

/** The share of the raises that arrived. A run whose data are unknown has no bar: a full one would look like success. */
function arrivedBar(run: RunReport): Markup | false {
  const money = moneyOf(run);
  if (money === undefined || money.granted <= 0 || run.data.value === "unknown") return false;
  const share = Math.min(1, Math.max(0, money.arrived / money.granted));
  const rect = (x: number, width: number, fill: string) => el("rect", { x, y: 2, width, height: 10, rx: 2, fill });
  return el(
    "div",
    {},
    el("p", {}, `${percent(money.arrived / money.granted)} of the raises arrived`),
    drawing(
      { width: 220, height: 14 },
      describeMoney(run),
      rect(0, 220, color("line")),
      rect(0, 220 * share, color(TONES[describeVerdict(run, "data").tone])),
    ),
  );
}

/** The options that differ from their defaults, as they are given to the program. */
function commandOf({ options }: Report): string {
  const flags = (Object.keys(RunOptions.shape) as (keyof RunOptions)[]).flatMap((key) => {
    const value = options[key];
    if (value === undefined || isDefault(key, value)) return [];
    // One flag for each lock: a command may contain commas.
    const texts = key === "lock" ? (value as string[]) : [Array.isArray(value) ? value.join(",") : String(value)];
    return texts
      .filter((text) => text !== "")
      .map(
        (text) => `--${kebabCase(key)} ${/^[\w.,:/@+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`}`,
      );
  });
  return ["holdfast", ...flags].join(" ");
}
