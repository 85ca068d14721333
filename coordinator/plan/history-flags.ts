import type { Command } from "commander";

/** What `history` was given. */
export interface HistoryFlags {
  readonly folder: string;
  /** Where the page is written; undefined: into the folder. */
  readonly out: string | undefined;
}

export const HISTORY_SUMMARY = "list earlier reports with verdict and cost, and draw their trend into one page";

export function addHistory(program: Command, accept: (flags: HistoryFlags) => void) {
  program
    .command("history")
    .argument("[folder]", "the folder of the reports, each in a folder of its own", "reports")
    .helpOption("-h, --help", "show this help")
    .description(`${HISTORY_SUMMARY}. A report that cannot be read is named with the reason.`)
    .option("--out <file>", "where to write the page; by default history.html in the folder")
    .action((folder: string, { out }: { out?: string }) => accept({ folder, out }));
}
