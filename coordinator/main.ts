#!/usr/bin/env node
/**
 * The coordinator: options in, report out, exit status as the verdict says.
 * Progress goes to standard error with --json, to standard output otherwise.
 */
import { dirname } from "node:path";
import packageJson from "../package.json" with { type: "json" };
import { SecretUnreadable } from "../worker/servers/secrets.ts";
import { checkLock } from "./commands/check-lock.ts";
import { compare, readReportFile, saveComparison } from "./commands/compare.ts";
import { listHistory } from "./commands/history.ts";
import { judgeHistory } from "./commands/judge.ts";
import { theoryMarkdown } from "./commands/theory.ts";
import { type Config, type Invocation, readInvocation } from "./config.ts";
import { ConfigError, ServerError } from "./errors.ts";
import { compareReports } from "./judge/comparison.ts";
import { EXIT, type Report } from "./judge/report-data.ts";
import { announce } from "./plan/announcement.ts";
import { withChartValues } from "./platform/kubernetes/chart-values.ts";
import { writePage } from "./platform/local/page-file.ts";
import { createLocalPlatform } from "./platform/local/platform.ts";
import type { Platform } from "./platform/platform.ts";
import { formatComparison } from "./report/comparison.ts";
import { formatJson } from "./report/files.ts";
import { createProgress, type Progress } from "./report/progress.ts";
import { formatReport } from "./report/text.ts";
import { makeReport } from "./runner/scenario.ts";

/** Exit status after SIGTERM. It is not a verdict, so the Job starts another pod, which continues the report. */
const TERMINATED = 143;

/** How long what is pending may delay the exit. */
const EXIT_WITHIN_MS = 2_000;

// A reader such as `head` may close the pipe early; the report is still saved.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

// Node would exit with 1, the status of a violation.
process.on("uncaughtException", (error) => process.exit(explain(error)));

process.exitCode = await main().catch(explain);
// A lookup of a name that no server answers would keep a finished process alive for half a minute.
setTimeout(() => process.exit(), EXIT_WITHIN_MS).unref();

async function main(): Promise<number> {
  const invocation = readInvocation(process.argv.slice(2), process.env, packageJson.version);
  if (invocation.command === "run") return runScenario(invocation.config);
  if (invocation.command === "compare") return compare(invocation, terminal());
  if (invocation.command === "history") return listHistory(invocation, terminal());
  if (invocation.command === "judge") {
    const { text, exitCode } = await judgeHistory(invocation.folder, packageJson.version, terminal());
    process.stdout.write(text);
    return exitCode;
  }
  if (invocation.command === "check-lock") return checkLock(invocation);
  if (invocation.command === "theory") {
    process.stdout.write(theoryMarkdown());
    return 0;
  }
  if (invocation.command === "page") return writePage(invocation);
  return onKubernetes(invocation);
}

function terminal() {
  const color = process.stdout.isTTY === true && process.env.NO_COLOR === undefined;
  return { color, width: process.stdout.columns ?? 120 };
}

async function runScenario(config: Config): Promise<number> {
  const { baseline } = config;
  // Read before anything runs: a file that cannot be used should not cost the time of a report.
  const base = baseline === undefined ? undefined : readReportFile(baseline.file);
  const { stream, color } = output(config);
  const progress = createProgress({
    stream,
    isTty: stream.isTTY === true,
    format: config.environment.LOG_FORMAT,
    color,
  });
  const { settings, plans, environment } = config;
  progress.note(
    `Holdfast ${packageJson.version}, ${announce(settings.scenario, plans, environment.HOLDFAST_LAUNCHER)}`,
  );
  const signal = interruption();
  try {
    await using platform = await createPlatform(config, progress, signal);
    return await makeAndSave(config, platform, progress, base, signal).catch((error) => {
      if (error !== signal.reason) platform.recordFailure(error instanceof Error ? error.message : String(error));
      throw error;
    });
  } catch (error) {
    if (!signal.aborted || error !== signal.reason) throw error;
    progress.done();
    process.stderr.write(
      `holdfast: interrupted by ${(error as Error).message} before the first run: there is no report\n`,
    );
    return isReplaced(config, signal) ? TERMINATED : EXIT.unknown;
  } finally {
    progress.done();
  }
}

/** Makes the report, saves and prints it, and returns the exit status. `base` is the report of `--baseline`. */
async function makeAndSave(
  config: Config,
  platform: Platform,
  progress: Progress,
  base: Report | undefined,
  signal: AbortSignal,
): Promise<number> {
  const { stream, color } = output(config);
  const report = await makeReport(config, platform, progress, packageJson.version, signal);
  const replaced = isReplaced(config, signal);
  const place = await platform.saveReport(report, !replaced);
  progress.done();
  platform.recordEvent("Verdict", report.verdict.line);
  if (config.json) process.stdout.write(formatJson(report));
  else process.stdout.write(formatReport(report, { color, width: process.stdout.columns ?? 120, place }));
  if (replaced) return TERMINATED;
  if (base === undefined) return report.verdict.exitCode;
  const comparison = compareReports(base, report, config.baseline?.maxDrop ?? null);
  await saveComparison(comparison, report, dirname(place));
  stream.write(`\n${formatComparison(comparison, { color, width: process.stdout.columns ?? 120 })}`);
  return report.verdict.exitCode === EXIT.expected ? comparison.exitCode : report.verdict.exitCode;
}

/** Whether another pod of the Job will continue the report. */
function isReplaced({ environment }: Config, signal: AbortSignal): boolean {
  return signal.aborted && environment.HOLDFAST_LAUNCHER === "kubernetes";
}

/** Where progress goes, and whether in colors. */
function output({ json, environment }: Config) {
  const stream = json ? process.stderr : process.stdout;
  return { stream, color: stream.isTTY === true && environment.NO_COLOR === undefined };
}

/** The client of the API server is large, so it is loaded only where there is one. */
async function createPlatform(config: Config, progress: Progress, signal: AbortSignal): Promise<Platform> {
  if (config.environment.HOLDFAST_LAUNCHER === "local") return createLocalPlatform(config, progress);
  const { createKubernetesPlatform } = await import("./platform/kubernetes/platform.ts");
  return createKubernetesPlatform(config, progress, signal);
}

async function onKubernetes({
  command,
  waitMs,
  variables,
}: Extract<Invocation, { command: "reset" | "verdict" }>): Promise<number> {
  const { reset, verdict } = await import("./platform/kubernetes/commands.ts");
  return command === "reset" ? reset(variables, { waitMs }) : verdict(variables, { waitMs });
}

/** The first SIGINT or SIGTERM ends the runs and makes a partial report, a second one ends the process. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const)
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(EXIT.unknown);
      controller.abort(new Error(name));
    });
  return controller.signal;
}

/** One line for the user where the cause is known; the whole stack where it is a bug. */
function explain(error: unknown): number {
  if (error instanceof ConfigError || error instanceof ServerError || error instanceof SecretUnreadable) {
    // Read here as well, because the environment may be what config.ts has rejected.
    const onKubernetes = process.env.HOLDFAST_LAUNCHER === "kubernetes";
    process.stderr.write(`holdfast: ${onKubernetes ? withChartValues(error.message) : error.message}\n`);
    return error instanceof ConfigError ? EXIT.invalid : EXIT.unreachable;
  }
  process.stderr.write(`holdfast: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return EXIT.unknown;
}
