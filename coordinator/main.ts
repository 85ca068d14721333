/**
 * The coordinator: options in, report out, exit status as the verdict says.
 * Progress goes to standard error with --json, to standard output otherwise.
 */
import packageJson from "../package.json" with { type: "json" };
import { type Config, type Invocation, readInvocation } from "./config.ts";
import { ConfigError, ServerError } from "./errors.ts";
import { EXIT } from "./judge/report-data.ts";
import { announce } from "./plan/announcement.ts";
import { createLocalPlatform } from "./platform/local/platform.ts";
import type { Platform } from "./platform/platform.ts";
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

process.exitCode = await main().catch(explain);
// A lookup of a name that no server answers would keep a finished process alive for half a minute.
setTimeout(() => process.exit(), EXIT_WITHIN_MS).unref();

async function main(): Promise<number> {
  const invocation = readInvocation(process.argv.slice(2), process.env, packageJson.version);
  if (invocation.command === "run") return runScenario(invocation.config);
  return onKubernetes(invocation);
}

async function runScenario(config: Config): Promise<number> {
  const stream = config.json ? process.stderr : process.stdout;
  const color = stream.isTTY === true && config.environment.NO_COLOR === undefined;
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
  await using platform = await createPlatform(config, progress);
  const isReplaced = () => signal.aborted && config.environment.HOLDFAST_LAUNCHER === "kubernetes";
  try {
    const report = await makeReport(config, platform, progress, packageJson.version, signal);
    const replaced = isReplaced();
    const place = await platform.saveReport(report, !replaced);
    progress.done();
    platform.recordEvent("Verdict", report.verdict.line);
    if (config.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
    else process.stdout.write(formatReport(report, { color, width: process.stdout.columns ?? 120, place }));
    return replaced ? TERMINATED : report.verdict.exitCode;
  } catch (error) {
    if (signal.aborted && error === signal.reason) {
      progress.done();
      process.stderr.write(
        `holdfast: interrupted by ${(error as Error).message} before the first run: there is no report\n`,
      );
      return isReplaced() ? TERMINATED : EXIT.unknown;
    }
    platform.recordFailure(error instanceof Error ? error.message : String(error));
    throw error;
  } finally {
    progress.done();
  }
}

/** The client of the API server is large, so it is loaded only where there is one. */
async function createPlatform(config: Config, progress: Progress): Promise<Platform> {
  if (config.environment.HOLDFAST_LAUNCHER === "local") return createLocalPlatform(config, progress);
  const { createKubernetesPlatform } = await import("./platform/kubernetes/platform.ts");
  return createKubernetesPlatform(config, progress);
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
  if (error instanceof ConfigError || error instanceof ServerError) {
    process.stderr.write(`holdfast: ${error.message}\n`);
    return error instanceof ConfigError ? EXIT.invalid : EXIT.unreachable;
  }
  process.stderr.write(`holdfast: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return EXIT.unknown;
}
