import type { Report } from "../judge/report-data.ts";
import { formatJunit } from "./junit.ts";
import { formatMarkdown } from "./markdown.ts";
import { renderPage } from "./page/index.ts";
import { formatReport } from "./text.ts";

/** Every form of a report by its file name, the same in a folder and in a ConfigMap, where the page is compressed. */
export type ReportFiles = Readonly<
  Record<"report.json" | "report.html" | "report.txt" | "report.md" | "junit.xml", string>
>;

export const reportFiles = (report: Report): ReportFiles => ({
  "report.json": formatJson(report),
  "report.html": renderPage(report, { withData: true }),
  "report.txt": formatReport(report, { color: false, width: 120 }),
  "report.md": formatMarkdown(report),
  "junit.xml": formatJunit(report),
});

/** JSON with two spaces, but lists of numbers and objects that have only numbers and flags stand in one line. */
export const formatJson = (report: Report): string =>
  `${JSON.stringify(report, null, 2).replace(ONLY_NUMBERS, (text) => text.replace(/\n\s*/g, " "))}\n`;

/** Line feeds in texts are escaped, so those that are matched stand between values. */
const ONLY_NUMBERS = /[[{]\n\s*(?:(?:"\w+": )?(?:-?[\d.e+-]+|true|false|null),?\n\s*)+[\]}]/g;
