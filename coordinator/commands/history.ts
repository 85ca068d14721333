/** `holdfast history`: lists the reports of a folder and draws their trend. */
import { existsSync, globSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { ConfigError } from "../errors.ts";
import { readReport } from "../judge/read-report.ts";
import type { HistoryFlags } from "../plan/history-flags.ts";
import { type EarlierReport, type EarlierReports, formatEarlierReports } from "../report/earlier-reports.ts";
import { renderTrend } from "../report/page/trend.ts";
import type { Terminal } from "./compare.ts";

/** Writes the page, prints the list and returns exit status 0. Throws ConfigError if there is no report to list. */
export function listHistory({ folder, out = join(folder, "history.html") }: HistoryFlags, terminal: Terminal): number {
  const found = findReports(folder, dirname(out));
  if (found.reports.length + found.unreadable.length === 0)
    throw new ConfigError(
      `no report in ${folder}: it has no <report>/report.json; give the folder that --out of the runs named`,
    );
  try {
    writeFileSync(out, renderTrend(found));
  } catch (error) {
    throw new ConfigError(`cannot write ${out}: ${(error as Error).message}; choose another file with --out`);
  }
  process.stdout.write(`${formatEarlierReports(found, terminal)}\ntrend: ${out}\n`);
  return 0;
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** `linkFrom`: the folder of the page that links to the reports' own pages. */
function findReports(folder: string, linkFrom: string): EarlierReports {
  if (!existsSync(folder) || !statSync(folder).isDirectory())
    throw new ConfigError(
      `cannot read ${folder}: there is no such folder; give the folder that --out of the runs named`,
    );
  const reports: EarlierReport[] = [];
  const unreadable: EarlierReports["unreadable"][number][] = [];
  for (const name of globSync("*/report.json", { cwd: folder }).sort()) {
    const file = join(folder, name);
    try {
      reports.push({ report: readReport(readFileSync(file, "utf8")), page: linkTo(file, linkFrom) });
    } catch (error) {
      unreadable.push({ file, reason: (error as Error).message });
    }
  }
  reports.sort((a, b) => Date.parse(a.report.startedAt) - Date.parse(b.report.startedAt));
  return { reports, unreadable };
}

/** Each part is encoded, so that no name of a folder can be the scheme of a URL. */
function linkTo(file: string, from: string): string | undefined {
  const page = join(dirname(file), "report.html");
  return existsSync(page) ? relative(from, page).split(sep).map(encodeURIComponent).join("/") : undefined;
}
