/** Histories in files, as `--history` writes them, and the same with changes. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import type { Evidence } from "../../coordinator/judge/evidence.ts";
import { createRunReader, type RecordedRun, runLines } from "../../coordinator/judge/history.ts";
import type { Report, RunReport } from "../../coordinator/judge/report-data.ts";
import { concludeReport } from "../../coordinator/judge/report-verdict.ts";
import { judge } from "../../coordinator/judge/run-verdict.ts";
import { summarize } from "../../coordinator/judge/summarize.ts";
import { createHistoryFolder } from "../../coordinator/platform/report-folder.ts";
import { formatJson } from "../../coordinator/report/files.ts";

/** The run as it is read back from its lines. */
export function readBack(recorded: RecordedRun): RecordedRun {
  const lines = [...runLines(recorded)].join("").trimEnd().split("\n");
  const reader = createRunReader(lines.length);
  for (const line of lines) reader.add(line);
  return reader.finish();
}

/** The report of a run, as its JSON is read. */
export const reportOf = ({ evidence, startedAt, endedAt }: RecordedRun): RunReport =>
  JSON.parse(JSON.stringify(summarize(evidence, judge(evidence), startedAt, endedAt)));

export const AT = new Date("2026-01-02T03:04:05.678Z");
export const recordedOf = (evidence: Evidence): RecordedRun => ({ evidence, startedAt: AT, endedAt: AT });

/** The report of these runs. */
export function wholeReport(evidences: readonly Evidence[]): Report {
  const runs = evidences.map((evidence) => summarize(evidence, judge(evidence), AT, AT));
  return concludeReport(
    {
      report: "test",
      version: "0.1.0",
      scenario: "compare",
      startedAt: AT.toISOString(),
      endedAt: AT.toISOString(),
      where: "nowhere",
      options: {},
      environment: {},
      acl: [],
      skipped: [],
    },
    runs,
  );
}

/** Writes the report of these runs, with its history, into the folder. */
export async function saveReport(folder: string, evidences: readonly Evidence[]): Promise<Report> {
  const history = await createHistoryFolder(folder);
  for (const evidence of evidences) await history.saveRun(recordedOf(evidence));
  const report = wholeReport(evidences);
  await history.saveReport(report);
  writeFileSync(join(folder, "report.json"), formatJson(report));
  return report;
}

/** Changes the lines of a compressed file, as objects. */
// biome-ignore lint/suspicious/noExplicitAny: a test changes whatever it likes.
export function changeLines(path: string, change: (lines: any[]) => void): void {
  const lines = gunzipSync(readFileSync(path))
    .toString()
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  change(lines);
  writeFileSync(path, gzipSync(lines.map((line) => `${JSON.stringify(line)}\n`).join("")));
}
