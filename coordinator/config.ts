/** Flags and environment, read once and strictly. After this no file of the coordinator reads `process.env`. */
import { Command, InvalidArgumentError, Option } from "commander";
import * as z from "zod";
import { LOCK_SERVICE_VARIABLES } from "../worker/servers/lock-services.ts";
import { MYSQL_VARIABLES, mysqlServers } from "../worker/servers/mysql.ts";
import { PROMETHEUS_VARIABLES } from "../worker/servers/prometheus.ts";
import { REDIS_VARIABLES } from "../worker/servers/redis.ts";
import { readSecretNow, secretVariables } from "../worker/servers/secrets.ts";
import { checkServerVariables } from "../worker/servers/variables.ts";
import { ConfigError } from "./errors.ts";
import { addCheckLock, CHECK_LOCK_SUMMARY, type CheckLockFlags } from "./plan/check-lock-flags.ts";
import { helpText } from "./plan/help.ts";
import { addHistory, HISTORY_SUMMARY, type HistoryFlags } from "./plan/history-flags.ts";
import { duration, readVariables, toMs } from "./plan/options.ts";
import { addReportCommands, REPORT_COMMANDS, type ReportCommand } from "./plan/report-commands.ts";
import { type PlannedRun, planRuns } from "./plan/scenarios/index.ts";
import { isDefault, type RunOptions, readRunOptions, type ScenarioSettings } from "./plan/settings.ts";
import { runFlags } from "./run-flags.ts";

const Environment = z
  .object({
    HOLDFAST_LAUNCHER: z.enum(["local", "kubernetes"]).default("local"),
    HOLDFAST_LISTEN: z
      .string()
      .regex(/^([^:[\]]+|\[[\da-f:.]+\]):\d+$/i, "write host:port, or [address]:port for IPv6")
      .optional(),
    HOLDFAST_COORDINATOR_URL: z.url().optional(),
    ...secretVariables("HOLDFAST_TOKEN"),
    ...MYSQL_VARIABLES,
    ...REDIS_VARIABLES,
    ...PROMETHEUS_VARIABLES,
    ...LOCK_SERVICE_VARIABLES,
    LOG_FORMAT: z.enum(["text", "json"]).default("text"),
    NO_COLOR: z.string().optional(),
  })
  .superRefine(checkServerVariables);
export type Environment = z.infer<typeof Environment>;

export interface Config {
  readonly settings: ScenarioSettings;
  /** The runs that the scenario makes of the settings. */
  readonly plans: readonly PlannedRun[];
  /** As the user wrote them, for the report. */
  readonly options: RunOptions;
  readonly environment: Environment;
  readonly json: boolean;
  readonly out: string;
  /** Whether the evidence of each run is written as well. */
  readonly history: boolean;
  /** The report to compare with, and the share of its throughput that a run may lose; null allows any loss. */
  readonly baseline: { readonly file: string; readonly maxDrop: number | null } | undefined;
  /** The whole environment, for the Kubernetes platform, which has a schema of its own. */
  readonly variables: NodeJS.ProcessEnv;
}

export type Invocation =
  | { readonly command: "run"; readonly config: Config }
  | ({ readonly command: "compare" } & CompareFlags)
  | { readonly command: "theory" }
  | ({ readonly command: "check-lock" } & CheckLockFlags)
  | ({ readonly command: "history" } & HistoryFlags)
  | ReportCommand
  | { readonly command: "reset" | "verdict"; readonly waitMs: number; readonly variables: NodeJS.ProcessEnv };

export interface CompareFlags {
  readonly base: string;
  readonly new: string;
  readonly maxDrop: number | null;
  readonly form: "text" | "json" | "markdown";
  readonly junit: string | undefined;
}

/** Throws ConfigError. Prints and exits by itself only for --help and --version. */
export function readInvocation(argv: readonly string[], variables: NodeJS.ProcessEnv, version: string): Invocation {
  let invocation: Invocation | undefined;
  const accept = (read: Invocation) => {
    invocation = read;
  };
  const program = new Command("holdfast")
    .version(version)
    // `holdfast --help` is the help of the default command, which has all the options.
    .helpOption(false)
    .helpCommand(false)
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .allowExcessArguments(false);
  addRun(program, variables, accept);
  addCompare(program, accept);
  addHistory(program, (flags) => accept({ command: "history", ...flags }));
  addReportCommands(program, accept);
  program
    .command("theory")
    .helpOption("-h, --help", "show this help")
    .description(THEORY_SUMMARY)
    .action(() => accept({ command: "theory" }));
  addCheckLock(program, (flags) => accept({ command: "check-lock", ...flags }));
  addJobCommands(program, variables, accept);
  try {
    program.parse(argv, { from: "user" });
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const { code, message } = error as { code?: string; message: string };
    if (code === "commander.helpDisplayed" || code === "commander.version" || code === "commander.help")
      process.exit(0);
    throw new ConfigError(`${message.replace(/^error: /, "").replaceAll("\n", " ")}; see --help`);
  }
  if (invocation === undefined) throw new ConfigError("no command; see --help");
  return invocation;
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

function readEnvironment(variables: NodeJS.ProcessEnv): Environment {
  const environment = readVariables(Environment, variables, "the environment");
  try {
    return { ...environment, HOLDFAST_TOKEN: readSecretNow(environment, "HOLDFAST_TOKEN") };
  } catch (error) {
    throw new ConfigError(`the environment: ${(error as Error).message}`);
  }
}

function addRun(program: Command, variables: NodeJS.ProcessEnv, accept: (invocation: Invocation) => void) {
  const run = program
    .command("run", { isDefault: true })
    .helpOption("-h, --help", "show this help")
    .usage("[options]")
    .description(
      "Shows, with evidence, which locks hold when many workers change one row at once, and what they cost.",
    );
  for (const option of runFlags()) run.addOption(option);
  run
    .addOption(new Option("--json", "print only the report, as JSON, to standard output").default(false))
    .addOption(new Option("--out <folder>", "folder for the report's files").env("HOLDFAST_OUT").default("reports"))
    .addOption(new Option("--history", "also write what the verdicts are made of, for holdfast judge").default(false))
    .addOption(new Option("--baseline <file>", "report.json of an earlier report to compare the new one with"))
    .addOption(maxDropOption())
    .addHelpText("after", helpText(COMMANDS))
    .action((flags: Record<string, unknown>, command: Command) => {
      const { json, out, history, baseline, maxDrop, ...all } = flags;
      const { options, settings } = readRunOptions(givenOf(all, command));
      const environment = readEnvironment(variables);
      const config = {
        settings,
        plans: planRuns(settings).map((plan) => ({ ...plan, ...acrossServers(environment, plan) })),
        options,
        environment,
        json: json === true,
        out: String(out),
        history: readHistory(history, environment),
        baseline: readBaseline(baseline, maxDrop, environment),
        variables,
      };
      accept({ command: "run", config });
    });
}

function readHistory(wanted: unknown, { HOLDFAST_LAUNCHER }: Environment): boolean {
  if (wanted === true && HOLDFAST_LAUNCHER === "kubernetes")
    throw new ConfigError(
      "--history works on one machine only, because a ConfigMap is too small for the ledger: on Kubernetes, set the chart's value history.volume",
    );
  return wanted === true;
}

function readBaseline(file: unknown, maxDrop: unknown, { HOLDFAST_LAUNCHER }: Environment): Config["baseline"] {
  if (file === undefined) {
    if (maxDrop !== undefined) throw new ConfigError("--max-drop needs the report to compare with: add --baseline");
    return undefined;
  }
  if (HOLDFAST_LAUNCHER === "kubernetes")
    throw new ConfigError(
      "--baseline works on one machine only: on Kubernetes, compare the files of make report with holdfast compare",
    );
  return { file: String(file), maxDrop: (maxDrop as number | undefined) ?? null };
}

function addCompare(program: Command, accept: (invocation: Invocation) => void) {
  program
    .command("compare <base.json> <new.json>")
    .helpOption("-h, --help", "show this help")
    .description("compares two reports: verdicts that changed first, then cost; docs/ci.md has the rules")
    .addOption(maxDropOption())
    .addOption(new Option("--json", "print the comparison as JSON").conflicts("markdown"))
    .addOption(new Option("--markdown", "print the comparison as Markdown"))
    .addOption(new Option("--junit <file>", "also write the comparison to a file, as JUnit"))
    .addHelpText("after", COMPARE_HELP)
    .action((base: string, next: string, flags: Record<string, unknown>) => {
      const { maxDrop = null, json, markdown, junit } = flags as Partial<CompareFlags> & Record<string, unknown>;
      const form = json ? "json" : markdown ? "markdown" : "text";
      accept({ command: "compare", base, new: next, maxDrop, form, junit });
    });
}

const COMPARE_HELP = `
Exit status: 0 same or better, 1 a verdict got worse, 2 a file cannot be used, 3 the reports cannot be compared,
5 slower than --max-drop allows.`;

const maxDropOption = () =>
  new Option("--max-drop <percent>", "largest loss of throughput of a run, for example 20%; otherwise any").argParser(
    (text: string) => {
      const percent = /^(\d+(?:\.\d+)?)%$/.exec(text)?.[1];
      if (percent === undefined || Number(percent) >= 100)
        throw new InvalidArgumentError("write a percentage below 100%, such as 20%");
      return Number(percent) / 100;
    },
  );

/** What theory needs to know of MYSQL_URLS. Each worker uses one of the servers. */
function acrossServers(
  { MYSQL_URL, ...others }: Environment,
  { workers }: PlannedRun,
): Pick<PlannedRun, "mysqlServers"> {
  const count = MYSQL_URL === undefined ? 1 : mysqlServers({ ...others, MYSQL_URL }).length;
  const used = Math.min(count, workers);
  return used > 1 ? { mysqlServers: used } : {};
}

/** What the chart's hook and its test run. */
function addJobCommands(program: Command, variables: NodeJS.ProcessEnv, accept: (invocation: Invocation) => void) {
  for (const [command, description] of JOB_COMMANDS)
    program
      .command(command)
      .helpOption("-h, --help", "show this help")
      .description(description)
      .addOption(new Option("--wait <duration>", "how long to wait").default("15m").argParser(checkedDuration))
      .action((flags: { wait: string }) => accept({ command, waitMs: toMs(flags.wait), variables }));
}

const COMPARE = "compares two reports: holdfast compare base.json new.json --max-drop 20%";
const JOB_COMMANDS = [
  ["reset", "on Kubernetes: delete the last coordinator Job, so that the next one can be created"],
  ["verdict", "on Kubernetes: wait for the report, print it and exit with its status"],
] as const;

const THEORY_SUMMARY = "print what theory expects of each strategy, with and without faults";

/** All but run, for --help. */
const COMMANDS = [
  ["compare", COMPARE] as const,
  ["history", HISTORY_SUMMARY] as const,
  ...REPORT_COMMANDS,
  ["theory", THEORY_SUMMARY] as const,
  ["check-lock", CHECK_LOCK_SUMMARY] as const,
  ...JOB_COMMANDS,
];

/** The options that the user set. The chart sets every variable, so one with the default's value counts as left out. */
const givenOf = (flags: Record<string, unknown>, command: Command): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(flags).filter(([key, value]) => {
      const source = command.getOptionValueSource(key);
      return source === "cli" || (source === "env" && !isDefault(key as keyof RunOptions, value));
    }),
  );

function checkedDuration(text: string): string {
  const result = duration.safeParse(text);
  if (!result.success) throw new InvalidArgumentError(result.error.issues[0]?.message ?? "not a duration");
  return text;
}
