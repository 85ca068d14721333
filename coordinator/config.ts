/** Flags and environment, read once and strictly. After this no file of the coordinator reads `process.env`. */
import { Command, InvalidArgumentError, Option } from "commander";
import * as z from "zod";
import { REDIS_USERS, STRATEGIES } from "../worker/contract.ts";
import { ConfigError } from "./errors.ts";
import { duration, kebabCase, parse, readVariables, toMs } from "./plan/options.ts";
import { type PlannedRun, planRuns, SCENARIOS } from "./plan/scenarios/index.ts";
import { isDefault, RunOptions, readRunOptions, type ScenarioSettings } from "./plan/settings.ts";

const Environment = z.object({
  HOLDFAST_LAUNCHER: z.enum(["local", "kubernetes"]).default("local"),
  HOLDFAST_LISTEN: z
    .string()
    .regex(/^[^:]+:\d+$/, "write host:port")
    .optional(),
  HOLDFAST_COORDINATOR_URL: z.url().optional(),
  HOLDFAST_TOKEN: z.string().min(1).optional(),
  MYSQL_URL: z
    .url({ protocol: /^(mysql|mariadb)$/, error: "write mysql://user:password@host:3306/database" })
    .optional(),
  MYSQL_PASSWORD: z.string().optional(),
  REDIS_URL: z.url({ protocol: /^rediss?$/, error: "write redis://host:6379" }).optional(),
  REDIS_URLS: z.string().optional(),
  REDIS_PASSWORD_LOCK: z.string().optional(),
  REDIS_PASSWORD_SEED: z.string().optional(),
  REDIS_PASSWORD_PEER: z.string().optional(),
  REDIS_PASSWORD_MONITOR: z.string().optional(),
  PROMETHEUS_URL: z.url({ protocol: /^https?$/, error: "write http://host:9090" }).optional(),
  LOG_FORMAT: z.enum(["text", "json"]).default("text"),
  NO_COLOR: z.string().optional(),
});
export type Environment = z.infer<typeof Environment>;

/** The passwords of Holdfast's own Redis users that are set. */
export const redisPasswordsOf = (environment: Environment): Record<string, string> =>
  Object.fromEntries(
    REDIS_USERS.flatMap((user) => {
      const password = environment[`REDIS_PASSWORD_${user.toUpperCase() as Uppercase<typeof user>}`];
      return password === undefined ? [] : [[user, password]];
    }),
  );

/** The URLs of the independent Redis servers that are set. */
export const redisUrlsOf = ({ REDIS_URL, REDIS_URLS = REDIS_URL ?? "" }: Environment): string[] =>
  REDIS_URLS.split(",")
    .map((url) => url.trim())
    .filter((url) => url !== "");

export interface Config {
  readonly settings: ScenarioSettings;
  /** The runs that the scenario makes of the settings. */
  readonly plans: readonly PlannedRun[];
  /** As the user wrote them, for the report. */
  readonly options: RunOptions;
  readonly environment: Environment;
  readonly json: boolean;
  readonly out: string;
  /** The whole environment, for the Kubernetes platform, which has a schema of its own. */
  readonly variables: NodeJS.ProcessEnv;
}

export type Invocation =
  | { readonly command: "run"; readonly config: Config }
  | { readonly command: "reset" | "verdict"; readonly waitMs: number; readonly variables: NodeJS.ProcessEnv };

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
    .addHelpText("after", HELP)
    .action((flags: Record<string, unknown>, command: Command) => {
      const { json, out, ...all } = flags;
      const { options, settings } = readRunOptions(givenOf(all, command));
      const environment = readVariables(Environment, variables, "the environment");
      if (environment.REDIS_URLS !== undefined && environment.REDIS_URL === undefined)
        throw new ConfigError(
          'REDIS_URLS also needs REDIS_URL, the server for all strategies except "redlock" and "redlock-npm"',
        );
      const config = {
        settings,
        plans: planRuns(settings),
        options,
        environment,
        json: json === true,
        out: String(out),
        variables,
      };
      accept({ command: "run", config });
    });
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

const JOB_COMMANDS = [
  ["reset", "on Kubernetes: delete the last coordinator Job, so that the next one can be created"],
  ["verdict", "on Kubernetes: wait for the report, print it and exit with its status"],
] as const;

const HELP = `
Commands (run is the default; holdfast <command> --help shows the options of the others):
${JOB_COMMANDS.map(([name, description]) => `  ${name.padEnd(16)}${description}`).join("\n")}

Servers (for each one that is not set, Holdfast starts a private MySQL or MariaDB, Redis or Prometheus):
  MYSQL_URL, MYSQL_PASSWORD       mysql://user@host:3306/database, with helm/files/schema.sql loaded
  REDIS_URL                       redis://host:6379, with user and password in it, or one password for each user in:
  ${REDIS_USERS.map((user) => `REDIS_PASSWORD_${user.toUpperCase()}`).join(", ")}
  REDIS_URLS                      redis://host:6379,redis://...: independent servers, for redlock and redlock-npm
  PROMETHEUS_URL                  http://host:9090; its http_sd must read http://<HOLDFAST_LISTEN>/targets
  HOLDFAST_LISTEN                 host:port on which the coordinator listens, default a free port on 127.0.0.1

Strategies:
${Object.entries(STRATEGIES)
  .map(([name, { summary }]) => `  ${name.padEnd(16)}${summary}`)
  .join("\n")}

Scenarios:
${Object.entries(SCENARIOS)
  .map(([name, { summary }]) => `  ${name.padEnd(16)}${summary}`)
  .join("\n")}

Exit status: 0 all as theory expects, 1 a strategy that should hold was violated, 2 configuration invalid,
3 unknown (a control not violated, too little overlap, metrics incomplete, a worker lost), 4 a server unreachable.
`;

/** The options that the user set. The chart sets every variable, so one with the default's value counts as left out. */
const givenOf = (flags: Record<string, unknown>, command: Command): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(flags).filter(([key, value]) => {
      const source = command.getOptionValueSource(key);
      return source === "cli" || (source === "env" && !isDefault(key as keyof RunOptions, value));
    }),
  );

/** One flag and one variable for each option of the schema. */
function runFlags(): Option[] {
  return Object.entries(RunOptions.shape).map(([key, schema]) => {
    const kebab = kebabCase(key);
    const inner = schema.unwrap();
    const fallback = schema.parse(undefined);
    const flag =
      inner instanceof z.ZodBoolean
        ? `--${kebab} <true|false>`
        : inner instanceof z.ZodArray
          ? `--${kebab} <names>`
          : `--${kebab} <${placeholder(inner)}>`;
    const option = new Option(flag, schema.description).env(`HOLDFAST_${kebab.replaceAll("-", "_").toUpperCase()}`);
    const shown = Array.isArray(fallback) ? undefined : fallback;
    if (shown !== undefined) option.default(shown);
    return option.argParser((text: string) => read(inner, kebab, text));
  });
}

const placeholder = (schema: z.ZodType) =>
  schema instanceof z.ZodNumber ? "n" : schema instanceof z.ZodEnum ? "name" : "duration";

function read(schema: z.ZodType, name: string, text: string): unknown {
  const value =
    schema instanceof z.ZodBoolean
      ? ({ true: true, false: false }[text] ?? text)
      : schema instanceof z.ZodNumber
        ? text.trim() === ""
          ? text
          : Number(text)
        : schema instanceof z.ZodArray
          ? text
              .split(",")
              .map((part) => part.trim())
              .filter((part) => part !== "")
          : text;
  return parse(schema, value, `--${name} ${text}`);
}

function checkedDuration(text: string): string {
  const result = duration.safeParse(text);
  if (!result.success) throw new InvalidArgumentError(result.error.issues[0]?.message ?? "not a duration");
  return text;
}
