/**
 * holdfast-lock/1: the messages between a worker and the program of a user's own lock. One JSON object a line, UTF-8,
 * ended by LF, over standard input and output. docs/own-lock.md describes it for authors.
 */
import * as z from "zod";

export const PROTOCOL = "holdfast-lock/1";
/** A longer line is a protocol error, so that a broken program cannot fill the memory of the worker. */
export const LINE_BYTES_MAX = 64 * 1024;
/** How many `log` messages a program may send. */
export const LOG_MESSAGES_MAX = 10_000;
/** How long the answer to `init` may take. */
export const START_MS = 10_000;
/** How much longer than asked a wait may take. */
export const GRACE_MS = 2_000;
/** How long every other answer may take. */
export const REPLY_MS = 4_000;
/** How many pings measure the round trip. */
export const PINGS = 200;

const milliseconds = z.int().nonnegative();
const id = z.int().positive().describe("Number of the message, from 1, growing");
const re = z.int().positive().describe("The id of the message that this one answers");
const hold = z.string().min(1).describe("Name of one wait and of the hold that it may lead to; never used again");
const key = z.string().min(1).describe("What is locked");
const text = z.string().describe("For people");

// --- From the worker ------------------------------------------------------------------------------------------------

const request = <T extends string, S extends z.ZodRawShape>(type: T, fields: S) =>
  z.object({ type: z.literal(type), id, ...fields });

export const Request = z.discriminatedUnion("type", [
  request("init", {
    protocol: z.literal(PROTOCOL),
    run: z.string().describe("Name of the run, unique; a prefix for whatever the lock keeps"),
    worker: z.int().nonnegative().describe("Index of the worker in the fleet"),
    workers: z.int().positive().describe("Workers of the fleet, each with a program of its own"),
    ttl_ms: milliseconds.describe("For how long a lock is held without an extension, if it is a lease"),
    extend: z.boolean().describe("Whether a lease is extended while it is held"),
    timeout_ms: milliseconds.describe("How long a wait takes unless `acquire` says otherwise"),
    key_scope: z.enum(["row", "global"]).describe("What one lock guards: one row, or all rows"),
    seed: z.int().nonnegative().describe("For random choices that a run with the same seed repeats"),
  }).describe("The first message"),
  request("ping", {}).describe("Measures the round trip"),
  request("acquire", { key, hold, timeout_ms: milliseconds }).describe("Wait for the lock"),
  request("cancel", { hold }).describe(
    "The worker waits no longer for this hold; after `cancelled` its `acquire` gets no answer",
  ),
  request("release", { hold }).describe("Release the lock"),
  request("extend", { hold, ttl_ms: milliseconds }).describe("Restart the lease; sent only if `ready` claims `lease`"),
  request("check", { hold }).describe("Is it still held? Sent only if `ready` claims `check`"),
  request("close", {}).describe("Release everything and end; standard input ends after the answer"),
]);
export type Request = z.infer<typeof Request>;

// --- From the lock --------------------------------------------------------------------------------------------------

const reply = <T extends string, S extends z.ZodRawShape>(type: T, fields: S) =>
  z.object({ type: z.literal(type), re, ...fields });

export const Claims = z
  .object({
    exclusion: z.boolean().default(true).describe("At most one holder of a key at a time"),
    lease: z.boolean().default(false).describe("The lock ends by its TTL unless the worker sends `extend`"),
    fencing: z.boolean().default(false).describe("`fence` grows with every holder of a key"),
    fair: z.boolean().default(false).describe("Waiters get the lock in the order in which they asked"),
    check: z.boolean().default(false).describe("The lock answers `check`"),
  })
  .describe("What the author claims");
export type Claims = z.infer<typeof Claims>;

export const ERROR_CODES = [
  "unreachable",
  "busy",
  "internal",
  "denied",
  "config",
  "unsupported",
  "indefinite",
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];

export const Message = z.discriminatedUnion("type", [
  reply("ready", {
    name: z.string().min(1).max(60),
    version: z.string().max(60).default(""),
    language: z.string().max(60).default(""),
    concurrency: z.int().positive().default(1_000).describe("How many holds and waits it can have at once"),
    claims: Claims.default(Claims.parse({})),
  }).describe("The answer to `init`"),
  reply("pong", {}),
  reply("acquired", {
    hold,
    fence: z.int().positive().max(Number.MAX_SAFE_INTEGER).optional().describe("Fencing token"),
  }).describe("Held from now on; answers `acquire`, or a `cancel` that came too late"),
  reply("timeout", { hold }).describe("Nothing is held, and nothing waits"),
  reply("cancelled", { hold }).describe("Nothing is held, and nothing waits"),
  reply("released", { hold }),
  reply("extended", { hold }),
  reply("held", { hold }).describe("The answer to `check`"),
  reply("closed", {}),
  z
    .object({ type: z.literal("lost"), re: re.optional(), hold, text: text.default("") })
    .describe("The lock is no longer held, and others may have held it: an answer, or without `re` a notice"),
  reply("error", { code: z.enum(ERROR_CODES), text: text.default("") }).describe(
    "unreachable, busy, internal: nothing is held, and the run goes on; denied, config: the run ends; unsupported: the run is skipped; indefinite: the lock may be held until its TTL",
  ),
  z
    .object({ type: z.literal("log"), level: z.enum(["debug", "info", "warn", "error"]).default("info"), text })
    .describe("A notice for the report"),
]);
export type Message = z.infer<typeof Message>;
export type MessageType = Message["type"];

/** The types with which each request may be answered, besides `error`. */
export const ANSWERS: Readonly<Record<Request["type"], readonly MessageType[]>> = {
  init: ["ready"],
  ping: ["pong"],
  acquire: ["acquired", "timeout"],
  cancel: ["cancelled", "acquired"],
  release: ["released", "lost"],
  extend: ["extended", "lost"],
  check: ["held", "lost"],
  close: ["closed"],
};

/** Both directions as one JSON Schema (draft 2020-12). */
export function protocolJsonSchema(): Record<string, unknown> {
  const schemaOf = (schema: z.ZodType) => {
    const { $schema, ...rest } = z.toJSONSchema(schema, { target: "draft-2020-12", io: "input" });
    return rest;
  };
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: PROTOCOL,
    description: "One line of the protocol between a worker of Holdfast and a user's own lock.",
    $defs: { fromWorker: schemaOf(Request), fromLock: schemaOf(Message) },
    anyOf: [{ $ref: "#/$defs/fromWorker" }, { $ref: "#/$defs/fromLock" }],
  };
}
