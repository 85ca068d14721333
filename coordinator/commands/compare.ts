/** `holdfast compare`, and the comparison of a new report with the file of --baseline. */
import { readFileSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { CompareFlags } from "../config.ts";
import { ConfigError } from "../errors.ts";
import { type Comparison, compareReports } from "../judge/comparison.ts";
import { readReport } from "../judge/read-report.ts";
import type { Report } from "../judge/report-data.ts";
import { comparisonFiles, comparisonJunit, comparisonMarkdown, formatComparison } from "../report/comparison.ts";
import { renderPage } from "../report/page/index.ts";

/** Prints the comparison and returns its exit status. Throws ConfigError for a file that cannot be used. */
export function compare({ base, new: next, maxDrop, form, junit }: CompareFlags, terminal: Terminal): number {
  const comparison = compareReports(readReportFile(base), readReportFile(next), maxDrop);
  if (junit !== undefined) writeJunit(junit, comparisonJunit(comparison));
  const forms = {
    text: () => formatComparison(comparison, terminal),
    json: () => `${JSON.stringify(comparison, null, 2)}\n`,
    markdown: () => comparisonMarkdown(comparison),
  };
  process.stdout.write(forms[form]());
  return comparison.exitCode;
}

/** Writes the comparison, in every form, into the folder of the new report, whose page then has it too. */
export async function saveComparison(comparison: Comparison, report: Report, folder: string): Promise<void> {
  const page = renderPage(report, { withData: true, comparison });
  for (const [name, content] of Object.entries({ ...comparisonFiles(comparison), "report.html": page }))
    await writeFile(join(folder, name), content);
}

export interface Terminal {
  readonly color: boolean;
  readonly width: number;
}

/** Throws ConfigError that names the file and what is wrong with it. */
export function readReportFile(path: string): Report {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new ConfigError(`cannot read ${path}: ${FILE_ERRORS[code ?? ""] ?? message}`);
  }
  try {
    return readReport(text);
  } catch (error) {
    throw new ConfigError(`${path} ${(error as Error).message}`);
  }
}

const FILE_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file; a report is reports/<report>/report.json",
  EISDIR: "it is a folder; name the report.json in it",
  EACCES: "permission denied",
};

function writeJunit(path: string, text: string) {
  try {
    writeFileSync(path, text);
  } catch (error) {
    throw new ConfigError(`cannot write ${path}: ${(error as Error).message}; name another file with --junit`);
  }
}
