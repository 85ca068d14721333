/** Runs programs with a time limit. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";

export const ROOT = new URL("../../../", import.meta.url).pathname;

export interface CommandOptions {
  /** Milliseconds; a program that takes longer is killed. */
  readonly timeoutMs?: number;
  /** Text for standard input, which is otherwise empty. */
  readonly input?: string;
}

export interface Outcome {
  /** The exit status; 128 or more for a program that was ended by a signal. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program in the project's folder. Only a program that is missing or takes too long is an error. */
export async function attempt(
  program: string,
  args: readonly string[],
  { timeoutMs = 60_000, input = "" }: CommandOptions = {},
): Promise<Outcome> {
  const child = spawn(program, args, { cwd: ROOT, stdio: "pipe" });
  const late = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  // A program that ends early does not read its input, which is not an error.
  child.stdin.on("error", () => {}).end(input);
  try {
    const [stdout, stderr, [status, signal]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, "close"),
    ]);
    if (signal === "SIGKILL") throw new Error(`killed after ${timeoutMs / 1_000} s\n${stdout}${stderr}`);
    return { status: status ?? 128, stdout, stderr };
  } catch (error) {
    throw new Error(`${commandLine(program, args)}: ${(error as Error).message}`);
  } finally {
    clearTimeout(late);
  }
}

/** Runs a program that must succeed, and returns its standard output. */
export async function succeed(program: string, args: readonly string[], options?: CommandOptions): Promise<string> {
  const { status, stdout, stderr } = await attempt(program, args, options);
  if (status === 0) return stdout;
  throw new Error(`${commandLine(program, args)}: exit status ${status}\n${stdout}${stderr}`);
}

const commandLine = (program: string, args: readonly string[]) => [program, ...args].join(" ").slice(0, 300);
