/** Secrets given by value, by file or by a command that prints them. */
import { execFile, execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import * as z from "zod";

/** A secret that may change while the program runs: each new connection reads it again. */
export interface Secret {
  /** The secret itself if it was given by value. */
  readonly value?: string;
  /** Throws SecretUnreadable. */
  read(): Promise<string>;
}

/** The file or the command of a secret gave none. The message is one line without any output of the command. */
export class SecretUnreadable extends Error {
  override name = "SecretUnreadable";
}

/** The variables of one secret: the value itself, a file that contains it, or a command of the shell that prints it. */
export const secretVariables = <Name extends string>(name: Name) =>
  Object.fromEntries(WAYS.map((way) => [`${name}${way}`, z.string().optional()])) as {
    [Key in `${Name}${(typeof WAYS)[number]}`]: z.ZodOptional<z.ZodString>;
  };

/** Whether any of the variables of a secret is set. */
export const isSecretGiven = (variables: object, name: string): boolean => givenWays(variables, name).length > 0;

/** Throws an Error, one line, if more than one of its variables is set, and SecretUnreadable if its file cannot be read. */
export function secretOf(variables: object, name: string): Secret | undefined {
  const [way, ...others] = givenWays(variables, name);
  if (way === undefined) return undefined;
  const variable = `${name}${way}`;
  if (others.length > 0) throw new Error(`${variable} and ${name}${others[0]} are both set; unset one of them`);
  const given = (variables as Readonly<Record<string, string>>)[variable]!;
  if (way === "") return { value: given, read: async () => given };
  if (way === "_COMMAND") return { read: () => runCommand(variable, given) };
  // A path whose file is missing at the start is probably wrong.
  readSecretFile(variable, given);
  return { read: async () => readSecretFile(variable, given) };
}

/** The secret at this moment, for one that is read only once. Throws like `secretOf` and its `read`. */
export function readSecretNow(variables: object, name: string): string | undefined {
  const secret = secretOf(variables, name);
  if (secret === undefined || secret.value !== undefined) return secret?.value;
  const { [`${name}_FILE`]: file, [`${name}_COMMAND`]: command } = variables as Readonly<Record<string, string>>;
  if (file !== undefined) return readSecretFile(`${name}_FILE`, file);
  try {
    return checkPrinted(`${name}_COMMAND`, execFileSync(SHELL, ["-c", command!], { ...LIMITS, stdio: STDIO }));
  } catch (error) {
    throw commandFailed(`${name}_COMMAND`, error);
  }
}

/** How long a command may take. */
export const SECRET_COMMAND_MS = 10_000;

// --- Internal helpers -----------------------------------------------------------------------------------------------

const WAYS = ["", "_FILE", "_COMMAND"] as const;
const SHELL = "/bin/sh";
const LIMITS = { timeout: SECRET_COMMAND_MS, maxBuffer: 1_000_000, encoding: "utf8" } as const;
/** Standard error could contain a part of the secret. */
const STDIO = ["ignore", "pipe", "ignore"] satisfies ["ignore", "pipe", "ignore"];

const givenWays = (variables: object, name: string) =>
  WAYS.filter((way) => (variables as Readonly<Record<string, unknown>>)[`${name}${way}`] !== undefined);

function readSecretFile(variable: string, path: string): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new SecretUnreadable(`${variable}: cannot read ${path}: ${(error as NodeJS.ErrnoException).code}`);
  }
  const secret = withoutLineEnd(text);
  if (secret === "") throw new SecretUnreadable(`${variable}: ${path} is empty`);
  return secret;
}

async function runCommand(variable: string, command: string): Promise<string> {
  try {
    return checkPrinted(variable, (await promisify(execFile)(SHELL, ["-c", command], LIMITS)).stdout);
  } catch (error) {
    throw commandFailed(variable, error);
  }
}

function checkPrinted(variable: string, text: string): string {
  const secret = withoutLineEnd(text);
  if (secret === "") throw new SecretUnreadable(`${variable}: the command printed nothing`);
  return secret;
}

/** The message of Node contains the command line and all that the command wrote. */
function commandFailed(variable: string, error: unknown): SecretUnreadable {
  if (error instanceof SecretUnreadable) return error;
  const { code, status = code, signal } = error as { code?: unknown; status?: unknown; signal?: unknown };
  const how = signal ? `was ended by ${signal} (time limit: ${SECRET_COMMAND_MS / 1_000} s)` : `failed with ${status}`;
  return new SecretUnreadable(`${variable}: the command ${how}`);
}

/** Editors and `echo` end a file with a line end that is not part of the secret. */
const withoutLineEnd = (text: string) => text.replace(/\r?\n$/, "");
