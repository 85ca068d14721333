/** `holdfast judge`: computes a report again from its history, and compares it with report.json. */
import { createReadStream, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { ConfigError } from "../errors.ts";
import { type Difference, findDifferences } from "../judge/difference.ts";
import {
  createRunReader,
  HISTORY_FOLDER,
  historyFile,
  parseReportLine,
  REPORT_FILE,
  type RecordedRun,
  type ReportLine,
} from "../judge/history.ts";
import { EXIT, type Report, type RunReport } from "../judge/report-data.ts";
import { concludeReport } from "../judge/report-verdict.ts";
import { judge } from "../judge/run-verdict.ts";
import { summarize } from "../judge/summarize.ts";
import { labelsOf } from "../plan/run-names.ts";
import { plural } from "../text/format.ts";
import { type Column, table } from "../text/layout.ts";
import { painter } from "../text/paint.ts";
import { readReportFile, type Terminal } from "./compare.ts";

/**
 * Returns the verdicts that the history gives and where the two reports differ, as text, and exit status 0 if they do not,
 * 1 if they do. Throws ConfigError that names the file that cannot be used.
 */
export async function judgeHistory(folder: string, version: string, terminal: Terminal): Promise<Judged> {
  const history = join(folder, HISTORY_FOLDER);
  const { type: _, schema: __, runs: names, ...facts } = await readReportLine(join(history, REPORT_FILE));
  const runs: RunReport[] = [];
  // One after the other: only one ledger is in memory.
  for (const name of names) runs.push(judgeAgain(await readRun(join(history, historyFile(name)), name)));
  const computed: Report = JSON.parse(JSON.stringify(concludeReport(facts, runs)));
  const written = readReportFile(join(folder, "report.json"));
  const differences = findDifferences(withoutRepetitions(written), computed);
  const notes = [...noteVersion(facts.version, version), ...noteOthers(history, names)];
  return {
    text: `${[...describe(computed, terminal), ...notes, conclude(differences, computed)].join("\n")}\n`,
    exitCode: differences.length === 0 ? EXIT.expected : EXIT.violated,
  };
}

export interface Judged {
  readonly text: string;
  readonly exitCode: number;
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

const judgeAgain = ({ evidence, startedAt, endedAt }: RecordedRun): RunReport =>
  summarize(evidence, judge(evidence), startedAt, endedAt);

/** The history has the runs of the report, not the repetitions of a violated round of a soak. */
const withoutRepetitions = (report: Report): Report => ({
  ...report,
  runs: report.runs.map(({ shortened: _, ...run }) => run),
});

async function readReportLine(path: string): Promise<ReportLine> {
  const lines: ReportLine[] = [];
  await readLines(path, (text) => {
    if (lines.length > 0) throw new Error("is one too many: this file has one line");
    lines.push(parseReportLine(text));
  });
  if (lines[0] === undefined) throw new ConfigError(`${path} is empty: ${MAKE_ANEW}`);
  return lines[0];
}

async function readRun(path: string, name: string): Promise<RecordedRun> {
  const reader = createRunReader(sizeOf(path));
  await readLines(path, (text) => reader.add(text));
  let recorded: RecordedRun;
  try {
    recorded = reader.finish();
  } catch (error) {
    throw new ConfigError(`${path} ${(error as Error).message}; ${MAKE_ANEW}`);
  }
  const { run } = recorded.evidence.plan;
  if (run !== name) throw new ConfigError(`${path} is of run ${run}: rename it to ${historyFile(run)}`);
  return recorded;
}

const MAKE_ANEW = "copy the folder again, or make the report anew with --history";

/** A row of the ledger takes more than one byte, so the size of the file bounds their number. */
function sizeOf(path: string): number {
  try {
    return statSync(path).size;
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** Calls `take` with each line. Throws ConfigError that names the file, and the line where `take` throws. */
async function readLines(path: string, take: (line: string) => void): Promise<void> {
  let number = 0;
  const takeNext = (line: string) => {
    number++;
    try {
      take(line);
    } catch (error) {
      throw new ConfigError(`${path}: line ${number} ${(error as Error).message}; ${MAKE_ANEW}`);
    }
  };
  try {
    await pipeline(createReadStream(path), createGunzip({ chunkSize: 16 * 1_024 }), async (chunks) => {
      const decoder = new TextDecoder();
      let rest = "";
      for await (const chunk of chunks) {
        const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
        rest = lines.pop()!;
        for (const line of lines) takeNext(line);
      }
      if (rest !== "") takeNext(rest);
    });
  } catch (error) {
    throw error instanceof ConfigError ? error : unreadable(path, error);
  }
}

function unreadable(path: string, error: unknown): ConfigError {
  const { code, message } = error as NodeJS.ErrnoException;
  return new ConfigError(`cannot read ${path}: ${PROBLEMS[code ?? ""] ?? `${message}; ${MAKE_ANEW}`}`);
}

const PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file; name the folder of a report that was made with --history",
  ENOTDIR: "its folder is a file; name the folder of a report that was made with --history",
  EACCES: "permission denied; make it readable",
  Z_BUF_ERROR: `its end is missing; ${MAKE_ANEW}`,
  Z_DATA_ERROR: `it is damaged, or not compressed with gzip; ${MAKE_ANEW}`,
};

const noteVersion = (written: string, own: string) =>
  written === own
    ? []
    : [`Note: the history is of Holdfast ${written}, and this is ${own}: sentences may differ, verdicts should not.`];

/** Files that the report does not name: a run that a restarted coordinator did not count, or one that was taken out. */
function noteOthers(history: string, names: readonly string[]): string[] {
  const known = [REPORT_FILE, ...names.map(historyFile)];
  const others = readdirSync(history).filter((file) => !known.includes(file));
  return others.map((file) => `Note: ${join(history, file)} belongs to no run of the report and was not read.`);
}

function describe(report: Report, { color, width }: Terminal): string[] {
  const rows = [...labelsOf(report.runs)].map(([run, name]) => ({ name, ...run }));
  const page = { paint: painter(color), width: Math.min(Math.max(width, 60), 120) };
  const title = `Report ${report.report}, judged again from its history: ${plural(rows.length, "run")}`;
  return [title, ...(rows.length === 0 ? [] : [table(COLUMNS, rows, page)]), report.verdict.line];
}

const COLUMNS: readonly Column<RunReport & { readonly name: string }>[] = [
  { head: "run", cell: ({ name }) => name },
  { head: "writes", align: "right", cell: ({ ledgerRows }) => String(ledgerRows) },
  { head: "data", cell: ({ data }) => data.value },
  { head: "exclusion", cell: ({ exclusion }) => exclusion.value },
  { head: "agreement", cell: ({ agreement }) => agreement },
];

const LISTED_MAX = 20;

/** The verdicts first, then the rest in the order of report.json. */
function conclude(differences: readonly Difference[], { runs }: Report): string {
  if (differences.length === 0) return "JUDGE: report.json is what the history gives";
  const sorted = [...differences.filter(isOfVerdict), ...differences.filter((each) => !isOfVerdict(each))];
  const more = sorted.length - LISTED_MAX;
  return [
    ...sorted.slice(0, LISTED_MAX).map(({ path, left, right }) => {
      const index = /^runs\[(\d+)\]/.exec(path)?.[1];
      const run = index === undefined ? "" : ` (${runs[Number(index)]?.run ?? "not in the history"})`;
      return `  ${path}${run}: ${shown(left)} in report.json, ${shown(right)} by the history`;
    }),
    ...(more > 0 ? [`  and ${more} more`] : []),
    `JUDGE: report.json differs from what the history gives in ${plural(sorted.length, "place")}`,
  ].join("\n");
}

const isOfVerdict = ({ path }: Difference) => /^verdict\.|^runs\[\d+\]\.(data|exclusion|agreement)\b/.test(path);

const SHOWN_MAX = 100;

function shown(value: unknown): string {
  if (value === undefined) return "absent";
  const text = JSON.stringify(value);
  return text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}...` : text;
}
