/** The commands for a report that was made before. */
import type { Command } from "commander";

export type ReportCommand =
  | { readonly command: "judge"; readonly folder: string }
  | { readonly command: "page"; readonly file: string; readonly out: string | undefined };

const JUDGE = "compute a report again from its history, and compare it with report.json";
const PAGE = "make the page of a report that was made before, from its report.json";

/** For --help. */
export const REPORT_COMMANDS = [
  ["judge", JUDGE],
  ["page", PAGE],
] as const;

export function addReportCommands(program: Command, accept: (command: ReportCommand) => void) {
  program
    .command("judge")
    .argument("<folder>", "the folder of a report that was made with --history")
    .helpOption("-h, --help", "show this help")
    .description(`${JUDGE}. Exit status: 0 if it is the same, 1 if not, 2 if the history cannot be used.`)
    .action((folder: string) => accept({ command: "judge", folder }));
  program
    .command("page")
    .argument("<report.json>", "the report")
    .helpOption("-h, --help", "show this help")
    .description(PAGE)
    .option("--out <file>", "where to write it; by default report.html in the folder of report.json")
    .action((file: string, { out }: { out?: string }) => accept({ command: "page", file, out }));
}
