/** Flags and environment, read once and strictly. After this no file of the coordinator reads `process.env`. */
import { Command, InvalidArgumentError, Option } from "commander";
import * as z from "zod";
import { REDIS_USERS, STRATEGIES } from "../worker/contract.ts";
import { ConfigError } from "./errors.ts";
import {
  duration,
  isDefault,
  kebabOf,
  parse,
  RunOptions,
  type RunSettings,
  readRunOptions,
  readVariables,
  toMs,
} from "./plan/options.ts";
import { SCENARIOS } from "./plan/scenarios/index.ts";

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

/** The passwords of Holdfast's own Redis users, as far as they are given. */
export const redisPasswordsOf = (environment: Environment): Record<string, string> =>
  Object.fromEntries(
    REDIS_USERS.flatMap((user) => {
      const password = environment[`REDIS_PASSWORD_${user.toUpperCase() as Uppercase<typeof user>}`];
      return password === undefined ? [] : [[user, password]];
    }),
  );

/** All independent Redis servers, as far as they are given. */
export const redisUrlsOf = ({ REDIS_URL, REDIS_URLS = REDIS_URL ?? "" }: Environment): string[] =>
  REDIS_URLS.split(",")
    .map((url) => url.trim())
    .filter((url) => url !== "");

export interface Config {
  readonly settings: RunSettings;
  /** As the user wrote them, for the report. */
  readonly options: RunOptions;
  readonly environment: Environment;
  readonly json: boolean;
  readonly out: string;
  /** The whole environment, for parts with a schema of their own (Kubernetes). */
  readonly variables: NodeJS.ProcessEnv;
}

export { ConfigError } from "./errors.ts";

export type Invocation =
  | { readonly command: "run"; readonly config: Config }
  | { readonly command: "reset" | "verdict"; readonly waitMs: number; readonly variables: NodeJS.ProcessEnv };

/** Throws ConfigError; prints and exits by itself only for --help and --version. */
export function readInvocation(argv: readonly string[], variables: NodeJS.ProcessEnv, version: string): Invocation {
  let invocation: Invocation | undefined;
  const program = new Command("holdfast")
    .version(version)
    .description("Shows, with evidence, which locks hold when many workers change one row at once, and what they cost.")
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .allowExcessArguments(false);

  const run = program
    .command("run", { isDefault: true })
    .description("make the runs of a scenario and report (the default)");
  for (const option of runFlags()) run.addOption(option);
  run
    .addOption(new Option("--json", "print the report as JSON, and nothing else, on standard output").default(false))
    .addOption(new Option("--out <folder>", "folder for the report's files").env("HOLDFAST_OUT").default("reports"))
    .addHelpText("after", HELP)
    .action((flags: Record<string, unknown>, command: Command) => {
      const { json, out, ...all } = flags;
      const { options, settings } = readRunOptions(givenOf(all, command));
      const environment = readVariables(Environment, variables, "the environment");
      if (environment.REDIS_URLS !== undefined && environment.REDIS_URL === undefined)
        throw new ConfigError(
          "REDIS_URLS is given without REDIS_URL; name with that the server of the other strategies",
        );
      invocation = {
        command: "run",
        config: { settings, options, environment, json: json === true, out: String(out), variables },
      };
    });

  const wait = () => new Option("--wait <duration>", "how long to wait").default("15m").argParser(checkedDuration);
  for (const [command, description] of [
    ["reset", "on Kubernetes: delete the last coordinator Job, so that the next one can be created"],
    ["verdict", "on Kubernetes: wait for the report, print it and exit with its status"],
  ] as const)
    program
      .command(command)
      .description(description)
      .addOption(wait())
      .action((flags: { wait: string }) => {
        invocation = { command, waitMs: toMs(flags.wait), variables };
      });

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

const HELP = `
Servers (a private MySQL-protocol server, Redis and Prometheus are started for each that is not given):
  MYSQL_URL, MYSQL_PASSWORD       mysql://user@host:3306/database, with helm/files/schema.sql loaded
  REDIS_URL                       redis://host:6379; user and password inside it, or one password for each user:
  ${REDIS_USERS.map((user) => `REDIS_PASSWORD_${user.toUpperCase()}`).join(", ")}
  REDIS_URLS                      redis://host:6379,redis://...: independent servers, for redlock and redlock-npm
  PROMETHEUS_URL                  http://host:9090, with http_sd on HOLDFAST_LISTEN's /targets
  HOLDFAST_LISTEN                 host:port of the coordinator, default a free port of 127.0.0.1

Strategies:
${Object.entries(STRATEGIES)
  .map(([name, { summary }]) => `  ${name.padEnd(16)}${summary}`)
  .join("\n")}

Scenarios:
${Object.entries(SCENARIOS)
  .map(([name, { summary }]) => `  ${name.padEnd(16)}${summary}`)
  .join("\n")}

Exit status: 0 all as theory expects, 1 a strategy that should hold was violated, 2 configuration invalid,
3 unknown (a control not violated, too little overlap, metrics incomplete, a worker lost), 4 a server out of reach.
`;

/** What the user gave. A chart names every option, so a variable that has the default's value counts as left out. */
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
    const kebab = kebabOf(key);
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
