/** Makes a report small enough for a ConfigMap, which holds less than 1 MiB. The report says what was cut. */
import { gzipSync } from "node:zlib";
import { Report, type RunReport } from "../../judge/report-data.ts";
import type { ReportFiles } from "../../report/files.ts";
import { renderPage } from "../../report/page/index.ts";

/** Bytes. All files together stay below the limit, and the coordinator's state fits in with them. */
export const JSON_BYTES_MAX = 550_000;
export const TEXT_BYTES_MAX = 120_000;
export const PAGE_BYTES_MAX = 110_000;

/** The files of a report that are text in the ConfigMap. */
export type TextFiles = Omit<ReportFiles, "report.html">;

/** Shortens the logs, then leaves out witnesses and what is in order, until the runs fit. */
export function shrinkRuns(runs: readonly RunReport[], bytesMax = JSON_BYTES_MAX): readonly RunReport[] {
  let shrunk = runs;
  for (const shrink of [dropDrawing, shortenLogs, dropLogs, dropAgreeingWorkers]) {
    if (bytesOf(JSON.stringify(shrunk)) <= bytesMax) break;
    shrunk = runs.map(shrink);
  }
  return shrunk;
}

/** Returns the files as they fit; `undefined` for a file that is left out because half of it would be useless. */
export function shrinkFiles(files: TextFiles): Record<keyof TextFiles, string | undefined> {
  const json = files["report.json"];
  return {
    "report.json": bytesOf(json) <= JSON_BYTES_MAX ? json : shrinkJson(json),
    "report.md": truncate(files["report.md"]),
    "junit.xml": bytesOf(files["junit.xml"]) <= TEXT_BYTES_MAX ? files["junit.xml"] : undefined,
    "report.txt": truncate(files["report.txt"]),
  };
}

/** Returns the page, compressed; without its copy of report.json if it is too large with it; undefined if it still is. */
export function packPage(files: Pick<ReportFiles, "report.html" | "report.json">): Buffer | undefined {
  const whole = gzipSync(files["report.html"]);
  if (whole.length <= PAGE_BYTES_MAX) return whole;
  const bare = gzipSync(renderPage(Report.parse(JSON.parse(files["report.json"])), { withData: false }));
  return bare.length <= PAGE_BYTES_MAX ? bare : undefined;
}

function shrinkJson(json: string): string | undefined {
  const report = Report.parse(JSON.parse(json));
  const rest = bytesOf(JSON.stringify({ ...report, runs: [] }));
  const shrunk = JSON.stringify({ ...report, runs: shrinkRuns(report.runs, JSON_BYTES_MAX - rest) });
  return bytesOf(shrunk) <= JSON_BYTES_MAX ? shrunk : undefined;
}

const bytesOf = (text: string) => Buffer.byteLength(text);

function truncate(text: string): string {
  if (bytesOf(text) <= TEXT_BYTES_MAX) return text;
  const head = Buffer.from(text)
    .subarray(0, TEXT_BYTES_MAX - 200)
    .toString();
  return `${head.slice(0, head.lastIndexOf("\n"))}\n\n[cut to fit into a ConfigMap; the coordinator's log has all of it]\n`;
}

// --- Steps, each leaving less than the one before -------------------------------------------------------------------

const dropDrawing = ({ drawing, ...run }: RunReport): RunReport =>
  drawing === undefined ? run : withNote(run, "drawings", {});

const shortenLogs = (run: RunReport): RunReport =>
  withNote(run, "logs", {
    reconciliation: run.reconciliation.map((row) =>
      row.log === undefined ? row : { ...row, log: row.log.split("\n").slice(-3).join("\n").slice(-500) },
    ),
  });

const dropLogs = (run: RunReport): RunReport =>
  withNote(run, "logs and witnesses", {
    reconciliation: run.reconciliation.map(({ log: _, ...row }) => row),
    checks: run.checks.map((check) => ({ ...check, witnesses: check.witnesses.slice(0, 1) })),
  });

const dropAgreeingWorkers = (run: RunReport): RunReport =>
  withNote(run, "logs, witnesses, examples of errors and workers whose three counts agree", {
    reconciliation: dropLogs(run).reconciliation.filter(
      ({ prometheus, reported, ledger, lost }) => lost !== undefined || prometheus !== ledger || reported !== ledger,
    ),
    checks: run.checks.map((check) => ({ ...check, witnesses: [] })),
    errors: run.errors.map((error) => ({ ...error, example: error.example.slice(0, 80) })),
  });

const withNote = (run: RunReport, what: string, change: Partial<RunReport>): RunReport => ({
  ...run,
  ...change,
  problems: [...run.problems, `${what} were cut to fit into a ConfigMap`],
});
