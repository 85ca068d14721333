/**
 * Measures how soon a bundled worker is ready, how much memory it uses, and how much time a run takes in addition to
 * its duration.
 *
 *   npm run build && node bench/startup.ts [--repeat 5]
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import type { Report } from "../coordinator/judge/report-data.ts";
import { keep, machine, median, printTable } from "./support.ts";

const { values } = parseArgs({ options: { repeat: { type: "string", default: "3" } } });
const duration = 3;
const ready: number[] = [];
const resident: number[] = [];
const overhead: number[] = [];
for (let repetition = 0; repetition < Number(values.repeat); repetition += 1) {
  const ended = spawnSync(
    process.execPath,
    [
      "dist/coordinator.js",
      "--json",
      "--duration",
      `${duration}s`,
      "--workers",
      "1",
      "--concurrency",
      "4",
      "--strategies",
      "none,redis,row-lock",
    ],
    { encoding: "utf8", maxBuffer: 2 ** 26 },
  );
  const report = JSON.parse(ended.stdout) as Report;
  for (const run of report.runs) {
    ready.push(...run.reconciliation.flatMap(({ readyMs }) => readyMs ?? []));
    resident.push(
      ...run.reconciliation.flatMap(({ residentBytes }) => (residentBytes === undefined ? [] : residentBytes / 1e6)),
    );
    overhead.push(run.wholeSeconds - duration);
  }
}
const row = (what: string, figures: number[], unit: string) => [
  what,
  `${median(figures).toFixed(1)} ${unit}`,
  `${Math.min(...figures).toFixed(1)} to ${Math.max(...figures).toFixed(1)}`,
];
printTable(
  ["what", "median", "range"],
  [
    row("from the start of a worker until it is ready", ready, "ms"),
    row("worker's peak resident memory", resident, "MB"),
    row("time of a run in addition to its duration", overhead, "s"),
  ],
);
await keep("startup", {
  ...machine(),
  bundleBytes: readFileSync("dist/worker-bundle.js").length,
  ready,
  resident,
  overhead,
});
