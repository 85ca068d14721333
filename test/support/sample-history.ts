/** Earlier reports as a folder has them: three of the same settings, one of another scenario, two that are none. */
import type { Report } from "../../coordinator/judge/report-data.ts";
import type { EarlierReports } from "../../coordinator/report/earlier-reports.ts";
import { sampleReport, violatedReport } from "./sample-report.ts";
import { ttlReport } from "./sample-scenarios.ts";

export function earlierReports(): EarlierReports {
  const made = (report: Report, name: string, day: number, factor: number): Report => ({
    ...report,
    report: name,
    startedAt: `2026-03-0${day}T10:15:00.000Z`,
    runs: report.runs.map((run) => ({ ...run, throughput: run.throughput === null ? null : run.throughput * factor })),
  });
  return {
    reports: [
      { report: made(sampleReport(), "r1", 1, 1), page: "r1/report.html" },
      { report: made(violatedReport(), "r2", 2, 0.9), page: "r2/report.html" },
      { report: made(ttlReport(), "t1", 3, 1) },
      { report: made(sampleReport(), "r3", 4, 1.1), page: "r3/report.html" },
    ],
    unreadable: [
      { file: "reports/x1/report.json", reason: "is not JSON: Unexpected end of JSON input" },
      { file: "reports/x2/report.json", reason: "is not a report of Holdfast: give it the report.json of one" },
    ],
  };
}
