import type { Report } from "../judge/report-data.ts";
import { formatJunit } from "./junit.ts";
import { formatMarkdown } from "./markdown.ts";
import { formatReport } from "./text.ts";

/** Every form of a report by its file name, the same in a folder and in a ConfigMap. */
export type ReportFiles = Readonly<Record<"report.json" | "report.txt" | "report.md" | "junit.xml", string>>;

export const reportFiles = (report: Report): ReportFiles => ({
  "report.json": `${JSON.stringify(report, null, 2)}\n`,
  "report.txt": formatReport(report, { color: false, width: 120 }),
  "report.md": formatMarkdown(report),
  "junit.xml": formatJunit(report),
});
