/** Pure: a report made small enough for a ConfigMap, which holds less than 1 MiB. What is cut is said where it was. */
import { Report, type RunReport } from "../../judge/report-data.ts";

export type ReportFiles = Readonly<Record<"report.json" | "report.md" | "junit.xml" | "report.txt", string>>;

/** Bytes. Together below the limit, with the state of the coordinator beside them. */
export const JSON_BYTES_MAX = 550_000;
export const TEXT_BYTES_MAX = 120_000;

/** Shortens logs, then leaves out witnesses and what is in order, until the runs fit. */
export function shrinkRuns(runs: readonly RunReport[], limit = JSON_BYTES_MAX): readonly RunReport[] {
  let fitted = runs;
  for (const thin of [shortLogs, noLogs, onlyTrouble]) {
    if (bytes(JSON.stringify(fitted)) <= limit) break;
    fitted = runs.map(thin);
  }
  return fitted;
}

/** `undefined` stands for a file that is left out, because half of it would be worth nothing. */
export function shrinkFiles(files: ReportFiles): Record<keyof ReportFiles, string | undefined> {
  const json = files["report.json"];
  return {
    "report.json": bytes(json) <= JSON_BYTES_MAX ? json : shrinkJson(json),
    "report.md": cut(files["report.md"]),
    "junit.xml": bytes(files["junit.xml"]) <= TEXT_BYTES_MAX ? files["junit.xml"] : undefined,
    "report.txt": cut(files["report.txt"]),
  };
}

function shrinkJson(json: string): string | undefined {
  const report = Report.parse(JSON.parse(json));
  const rest = bytes(JSON.stringify({ ...report, runs: [] }));
  const fitted = JSON.stringify({ ...report, runs: shrinkRuns(report.runs, JSON_BYTES_MAX - rest) });
  return bytes(fitted) <= JSON_BYTES_MAX ? fitted : undefined;
}

const bytes = (text: string) => Buffer.byteLength(text);

function cut(text: string): string {
  if (bytes(text) <= TEXT_BYTES_MAX) return text;
  const head = Buffer.from(text)
    .subarray(0, TEXT_BYTES_MAX - 200)
    .toString();
  return `${head.slice(0, head.lastIndexOf("\n"))}\n\n[cut to fit into a ConfigMap; the whole is in the coordinator's log]\n`;
}

// --- Steps, each leaving less than the one before -------------------------------------------------------------------

const shortLogs = (run: RunReport): RunReport =>
  noted(run, "logs", {
    reconciliation: run.reconciliation.map((row) =>
      row.log === undefined ? row : { ...row, log: row.log.split("\n").slice(-3).join("\n").slice(-500) },
    ),
  });

const noLogs = (run: RunReport): RunReport =>
  noted(run, "logs and witnesses", {
    reconciliation: run.reconciliation.map(({ log: _, ...row }) => row),
    checks: run.checks.map((check) => ({ ...check, witnesses: check.witnesses.slice(0, 1) })),
  });

const onlyTrouble = (run: RunReport): RunReport =>
  noted(run, "logs, witnesses, examples of errors and workers on whom all agree", {
    reconciliation: noLogs(run).reconciliation.filter(
      ({ prometheus, reported, ledger, lost }) => lost !== undefined || prometheus !== ledger || reported !== ledger,
    ),
    checks: run.checks.map((check) => ({ ...check, witnesses: [] })),
    errors: run.errors.map((error) => ({ ...error, example: error.example.slice(0, 80) })),
  });

const noted = (run: RunReport, what: string, change: Partial<RunReport>): RunReport => ({
  ...run,
  ...change,
  problems: [...run.problems, `${what} are cut here, to fit into a ConfigMap`],
});
