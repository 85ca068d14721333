/** The options that every scenario has, with their defaults and units. */
import ms from "ms";
import * as z from "zod";
import { GUARDS, KEY_SCOPES, OwnLock, STRATEGY_NAMES, type StrategyName } from "../../worker/contract.ts";
import { ConfigError } from "../errors.ts";
import { FAULT_NAMES } from "./fault-theory.ts";

export const duration = z.string().regex(/^\d+(\.\d+)?(ms|s|m|h)$/, {
  error: ({ input }) => `${JSON.stringify(input)} is not a duration: write 250ms, 5s or 2m`,
});

/** What a user decides about the runs of a scenario: flags, HOLDFAST_* variables and values of the chart. */
export const CommonOptions = z.strictObject({
  strategies: z
    .array(z.string().min(1))
    .default([])
    .describe("strategies to run, in this order; empty: those of the scenario"),
  faults: z
    .array(z.enum(FAULT_NAMES))
    .default([])
    .describe("faults that the scenarios faults and soak make; empty: all that are possible here"),
  lock: z
    .array(z.string())
    .default([])
    .describe(
      "a lock of your own, as name=command, or name=unix:/path for the socket of its program; may be given several times; see docs/own-lock.md",
    ),
  workers: z.int().min(1).max(500).default(4).describe("workers in the fleet, each a process or a pod of its own"),
  concurrency: z.int().min(1).max(100).default(1).describe("concurrent loops in each worker"),
  duration: duration.default("5s").describe("how long the fleet changes the rows"),
  hold: duration.default("2ms").describe("time inside the critical section, between read and write"),
  pause: duration.default("0ms").describe("time between two operations of a loop"),
  rows: z
    .int()
    .min(1)
    .max(100_000)
    .default(1)
    .describe("number of rows (employees) to change; each operation picks one at random"),
  lockTtl: duration.default("2s").describe("TTL of a lock"),
  extend: z.boolean().default(true).describe("extend a held lock before its TTL ends"),
  lockTimeout: duration.default("10s").describe("how long one operation waits for its lock"),
  keyScope: z
    .enum(KEY_SCOPES)
    .default("row")
    .describe("what one lock guards: row (the row of an operation) or global (all rows)"),
  guard: z
    .enum(GUARDS)
    .default("none")
    .describe("extra condition in the write of a locked row: none, version, fence-write or fence-claim"),
  seed: z
    .int()
    .min(0)
    .max(2 ** 31 - 1)
    .default(1)
    .describe("seed of the random raises and waits"),
  repeat: z
    .int()
    .min(1)
    .max(100)
    .default(1)
    .describe("how often to make each run, in random order; from 4 on, numbers have an interval"),
  startDeadline: duration
    .default("60s")
    .describe("how long the fleet may take until all workers are ready and scraped"),
});
export type CommonOptions = z.infer<typeof CommonOptions>;

type DurationOption = "duration" | "hold" | "pause" | "lockTtl" | "lockTimeout" | "startDeadline";

/** The same options with durations in milliseconds. */
export interface RunSettings extends Omit<CommonOptions, DurationOption | "strategies" | "lock"> {
  /** All locks of the user's own are one strategy here, `own`. */
  readonly strategies: readonly StrategyName[];
  readonly locks: readonly OwnLock[];
  readonly durationMs: number;
  readonly holdMs: number;
  readonly pauseMs: number;
  readonly lockTtlMs: number;
  readonly lockTimeoutMs: number;
  readonly startDeadlineMs: number;
}

/** Throws ConfigError. */
export function toSettings(options: CommonOptions): RunSettings {
  const { strategies, lock, duration, hold, pause, lockTtl, lockTimeout, startDeadline, ...rest } = options;
  const locks = lock.map(readLock);
  const twice = locks.find(({ name }, index) => locks.findIndex((other) => other.name === name) < index);
  if (twice !== undefined) throw new ConfigError(`--lock: two locks are named "${twice.name}": rename one of them`);
  return {
    ...rest,
    strategies: strategies
      .map((name) => strategyNamed(name, locks))
      .filter((name, index, names) => name !== "own" || names.indexOf(name) === index),
    locks,
    durationMs: toMs(duration),
    holdMs: toMs(hold),
    pauseMs: toMs(pause),
    lockTtlMs: toMs(lockTtl),
    lockTimeoutMs: toMs(lockTimeout),
    startDeadlineMs: toMs(startDeadline),
  };
}

export const toMs = (text: string): number => ms(text as ms.StringValue);

/** `lockTtl` as the flag `lock-ttl`. */
export const kebabCase = (option: string) => option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

export const linesOf = (text: string) => text.split("\n").filter((line) => line.trim() !== "");

/** Throws ConfigError that lists all mistakes in one line. `what` names the source of the value, `fix` says what to do. */
export function parse<T>(schema: z.ZodType<T>, value: unknown, what: string, fix = "see --help"): T {
  const result = schema.safeParse(value, { error: describeIssue });
  if (result.success) return result.data;
  const issues = result.error.issues.map(({ path, message }) => {
    // The position in a list says nothing: the message quotes the value.
    const names = path.filter((part) => typeof part === "string");
    return names.length === 0 ? message : `${names.join(".")}: ${message}`;
  });
  throw new ConfigError(`${what}: ${issues.join("; ")}; ${fix}`);
}

/** Like `parse`, for environment variables. A chart or a Makefile passes an empty variable for one that is not set. */
export function readVariables<T>(schema: z.ZodType<T>, variables: NodeJS.ProcessEnv, what: string, fix?: string): T {
  const given = Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== ""));
  return parse(schema, given, what, fix);
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** The limit of Linux for the path of a Unix socket. */
const SOCKET_BYTES_MAX = 107;

function readLock(text: string): OwnLock {
  const { name = "", command = "" } = /^(?<name>[^=]*)=(?<command>.*)$/s.exec(text)?.groups ?? {};
  const mistake = (reason: string) => new ConfigError(`--lock ${JSON.stringify(text)}: ${reason}`);
  if (!OwnLock.shape.name.safeParse(name).success)
    throw mistake("write name=command; a name has 1 to 30 lower-case letters, digits and hyphens, a letter first");
  if (STRATEGY_NAMES.some((strategy) => strategy === name))
    throw mistake(`"${name}" is a built-in strategy: choose another name`);
  if (command.trim() === "") throw mistake(`the command is empty: write ${name}=command`);
  const socket = /^unix:(.*)$/s.exec(command)?.[1];
  if (socket !== undefined) {
    if (!socket.startsWith("/") || Buffer.byteLength(socket) > SOCKET_BYTES_MAX)
      throw mistake(`write ${name}=unix:/path, with a path of at most ${SOCKET_BYTES_MAX} bytes`);
    return { name, socket };
  }
  return { name, command: ["/bin/sh", "-c", command] };
}

function strategyNamed(name: string, locks: readonly OwnLock[]): StrategyName {
  if (locks.some((lock) => lock.name === name)) return "own";
  const known = STRATEGY_NAMES.find((strategy) => strategy === name);
  if (known !== undefined) return known;
  const names = [...STRATEGY_NAMES, ...locks.map((lock) => lock.name)].join(", ");
  throw new ConfigError(`--strategies: ${JSON.stringify(name)} is not one of ${names}; see --help`);
}

/** A mistake in words of the option; undefined keeps the message of the schema. */
function describeIssue(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case "invalid_type":
      if (issue.expected === "int" || issue.expected === "number") return "must be a whole number";
      if (issue.expected === "boolean") return "must be true or false";
      return undefined;
    case "too_small":
      return issue.origin === "string" ? "must not be empty" : `must be at least ${issue.minimum}`;
    case "too_big":
      return `must be at most ${issue.maximum}`;
    case "invalid_value":
      return `${JSON.stringify(issue.input)} is not one of ${issue.values.join(", ")}`;
    default:
      return undefined;
  }
}
