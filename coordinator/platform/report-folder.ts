/** A report as files in a folder, and its history beside them: one file of the report, and one of each run. */
import { createWriteStream } from "node:fs";
import { mkdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { ServerError } from "../errors.ts";
import { HISTORY_FOLDER, historyFile, REPORT_FILE, type RecordedRun, reportLine, runLines } from "../judge/history.ts";
import type { Report } from "../judge/report-data.ts";
import { reportFiles } from "../report/files.ts";

/** Replaces `mkdir` with `recursive`, which never returns in a folder that cannot have children, such as /proc. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST" && (await stat(path)).isDirectory()) return;
    if (code !== "ENOENT" || dirname(path) === path) throw error;
    await makeFolder(dirname(path));
    await mkdir(path);
  }
}

/** Writes every form of the report. Returns the path of report.json. */
export async function writeReportFiles(folder: string, report: Report): Promise<string> {
  for (const [name, content] of Object.entries(reportFiles(report))) await writeFile(join(folder, name), content);
  return join(folder, "report.json");
}

/**
 * Creates the folder in that of the report. The methods of the result throw ServerError if a file cannot be written; there
 * is none then.
 */
export async function createHistoryFolder(reportFolder: string) {
  const folder = join(reportFolder, HISTORY_FOLDER);
  await makeFolder(folder);

  /** Under another name until it is whole, so that no file is ever a half. */
  async function write(name: string, texts: Iterable<string>): Promise<void> {
    const path = join(folder, name);
    const unfinished = `${path}.part`;
    try {
      await pipeline(Readable.from(texts), createGzip(), createWriteStream(unfinished));
      await rename(unfinished, path);
    } catch (error) {
      await rm(unfinished, { force: true }).catch(() => {});
      const { message, syscall } = error as NodeJS.ErrnoException;
      // Everything else is a bug.
      if (syscall === undefined) throw error;
      throw new ServerError(`cannot write the history to ${path}`, message, "free space there or leave out --history");
    }
  }

  return {
    saveRun: (recorded: RecordedRun): Promise<void> =>
      write(historyFile(recorded.evidence.plan.run), runLines(recorded)),
    saveReport: (report: Report): Promise<void> => write(REPORT_FILE, [reportLine(report)]),
  };
}
